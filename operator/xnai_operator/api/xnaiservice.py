"""XnaiService: one service, one pod. The source of `crds/xnai.dev_xnaiservices.yaml`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from xnai_operator.api.quantity import Quantity
from xnai_operator.api.types import AbsolutePath, Mode, Name, Rule, Spec

Argument = Annotated[str, Field(max_length=4096)]
PortNumber = Annotated[int, Field(ge=1, le=65535)]
Uid = Annotated[int, Field(ge=0, le=65534)]


class EnvVar(Spec):
    """A literal environment variable. Secrets are files (`storage.secrets`): inspect shows the environment."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=256)]
    value: Annotated[str, Field(max_length=32768)] = ""


class Port(Spec):
    """A port the container listens on, published on the host when `hostPort` is set."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=15)]
    container_port: PortNumber
    protocol: Literal["TCP", "UDP"] = "TCP"
    host_port: PortNumber | None = None
    host_ip: Annotated[str, Field(alias="hostIP", max_length=45)] = "127.0.0.1"


class MemoryRequest(Spec):
    """What the service is admitted with."""

    memory: Quantity | None = None


class Limits(Spec):
    """What the kernel enforces (not on rootless cgroup v1; the condition LimitsEnforced says so)."""

    memory: Quantity | None = None
    cpu: Quantity | None = None


class Resources(Spec):
    """Memory and CPU. tmpfs sizes count inside the memory limit."""

    requests: MemoryRequest = MemoryRequest()
    limits: Limits = Limits()


class Model(Spec):
    """A GGUF file in the operator's models directory."""

    rules: ClassVar = (Rule("!has(self.url) || has(self.sha256)", "a model fetched from a url needs its sha256"),)
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.gguf$", max_length=255)]
    url: Annotated[str, Field(pattern=r"^https?://", max_length=2048)] | None = None
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None


class Inference(Spec):
    """A llama.cpp workload. Reaches the container as XNAI_MODEL, XNAI_CTX, XNAI_SLOTS, XNAI_THREADS,
    XNAI_KV_TYPE, XNAI_DEVICE and a read-only mount of the model file."""

    rules: ClassVar = (
        Rule(
            "self.runtime != 'llama-cpp-python' || self.parallel == 1",
            "llama-cpp-python serves one slot: parallel must be 1",
        ),
    )
    model: Model
    runtime: Literal["llama-cpp-python", "llama-server"] = "llama-cpp-python"
    context_size: Annotated[int, Field(ge=128, le=1048576)] = 2048
    parallel: Annotated[int, Field(ge=1, le=64)] = 1
    kv_cache_type: Literal["f32", "f16", "q8_0", "q4_0"] = "f16"
    threads: Annotated[int, Field(ge=1, le=512)] | None = None
    device: Literal["cpu", "vulkan"] = "cpu"


class TmpfsMount(Spec):
    """One tmpfs: its size is a hard limit (ENOSPC), its content lives in memory and is lost with the pod."""

    mount_path: AbsolutePath
    size: Quantity
    mode: Mode = "1777"
    owner: Uid | None = None
    group: Uid | None = None
    exec: bool = False


class Volume(Spec):
    """A persistent volume. With `service` set it is another service's volume of that name."""

    name: Name
    mount_path: AbsolutePath
    service: Name | None = None
    read_only: bool = False


class FileSource(Spec):
    """A ConfigMap or Secret mounted read-only as files, one a key."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
    mount_path: AbsolutePath
    keys: Annotated[
        list[Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]], Field(max_length=64)
    ] = []


class HostPath(Spec):
    """A directory or file of the host. The container's user must be able to read it: nothing is chowned."""

    path: AbsolutePath
    mount_path: AbsolutePath
    read_only: bool = True


class Storage(Spec):
    """Everything that is mounted. A path may be mounted once."""

    tmpfs: Annotated[list[TmpfsMount], Field(max_length=32)] = []
    volumes: Annotated[list[Volume], Field(max_length=32)] = []
    config: Annotated[list[FileSource], Field(max_length=32)] = []
    secrets: Annotated[list[FileSource], Field(max_length=32)] = []
    host_paths: Annotated[list[HostPath], Field(max_length=16)] = []


class Security(Spec):
    """Restricted by default: non-root, read-only root, every capability dropped, no privilege escalation."""

    run_as_user: Annotated[int, Field(ge=1, le=65534)] = 1001
    run_as_group: Annotated[int, Field(ge=1, le=65534)] = 1001
    read_only_root_filesystem: bool = True
    add_capabilities: Annotated[list[Literal["NET_BIND_SERVICE"]], Field(max_length=1)] = []
    user_namespace: Literal["Shared", "Auto"] = "Shared"


class HttpGet(Spec):
    """Succeeds on a status of 200 to 399."""

    path: Annotated[str, Field(pattern=r"^/", max_length=1024)] = "/"
    port: PortNumber


class TcpSocket(Spec):
    """Succeeds when the port accepts a connection."""

    port: PortNumber


class ExecAction(Spec):
    """Succeeds when the command ends with 0."""

    command: Annotated[list[Argument], Field(min_length=1, max_length=64)]


class Probe(Spec):
    """A check the operator runs in the pod's network namespace, published port or not."""

    rules: ClassVar = (
        Rule(
            "[has(self.httpGet), has(self.tcpSocket), has(self.exec)].filter(x, x).size() == 1",
            "exactly one of httpGet, tcpSocket and exec must be set",
        ),
    )
    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    exec: ExecAction | None = None
    period_seconds: Annotated[int, Field(ge=1, le=3600)] = 10
    timeout_seconds: Annotated[int, Field(ge=1, le=300)] = 2
    failure_threshold: Annotated[int, Field(ge=1, le=1000)] = 3


class Health(Spec):
    """`startup` is asked until it succeeds once, `readiness` ever after; without a startup probe readiness serves."""

    startup: Probe | None = None
    readiness: Probe | None = None


class Network(Spec):
    """`Namespace`: a bridge shared with the other services of the namespace, which find it by name.
    `Alone`: a network of its own (pasta), no peers."""

    mode: Literal["Namespace", "Alone"] = "Namespace"


class XnaiServiceSpec(Spec):
    """The specification."""

    rules: ClassVar = (
        Rule(
            "!has(self.dependsOn) || size(self.dependsOn) == 0 || !has(self.network) || self.network.mode != 'Alone'",
            "a service alone on its network reaches no peer: remove dependsOn or set network.mode to Namespace",
        ),
    )
    image: Annotated[str, Field(min_length=1, max_length=512)]
    command: Annotated[list[Argument], Field(max_length=128)] = []
    args: Annotated[list[Argument], Field(max_length=128)] = []
    env: Annotated[list[EnvVar], Field(max_length=128)] = []
    ports: Annotated[list[Port], Field(max_length=32)] = []
    priority: Annotated[int, Field(ge=-1000000, le=1000000)] = 0
    resources: Resources = Resources()
    inference: Inference | None = None
    storage: Storage = Storage()
    security: Security = Security()
    health: Health = Health()
    depends_on: Annotated[list[Name], Field(max_length=32)] = []
    network: Network = Network()
    termination_grace_period_seconds: Annotated[int, Field(ge=0, le=3600)] = 10
    suspend: bool = False
