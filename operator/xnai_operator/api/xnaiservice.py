"""XnaiService: one service, one pod. The source of `crds/xnai.dev_xnaiservices.yaml`."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from xnai_operator.api.quantity import Quantity
from xnai_operator.api.types import AbsolutePath, Mode, Name, Rule, Spec

VULKAN_DEVICE: Final = "/dev/dri/renderD128"
"""The render node of the GPU that `device: vulkan` gives to a service."""

Argument = Annotated[str, Field(max_length=4096)]
PortNumber = Annotated[int, Field(ge=1, le=65535)]
Uid = Annotated[int, Field(ge=0, le=65534)]


class EnvVar(Spec):
    """A literal environment variable. Secrets are files (`storage.secrets`): inspect shows the installation."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=256)]
    """The variable."""
    value: Annotated[str, Field(max_length=32768)] = ""
    """Its value, as it is: nothing is expanded."""


class InitContainer(Spec):
    """A container that runs to its end before the service's starts, with the same user and mounts: what it writes is
    there for the service."""

    # No hyphen: Podman calls containers `<pod>-<container>`.
    name: Annotated[str, Field(pattern=r"^[a-z0-9]+$", max_length=30)]
    """A name, once in a service."""
    image: Annotated[str, Field(min_length=1, max_length=512)] | None = None
    """The image; not set, the service's."""
    command: Annotated[list[Argument], Field(max_length=128)] = []
    """Replaces the image's entrypoint."""
    args: Annotated[list[Argument], Field(max_length=128)] = []
    """Replaces the image's command."""
    env: Annotated[list[EnvVar], Field(max_length=128)] = []
    """Installation variables."""


class Port(Spec):
    """A port the container listens on, published on the host when `hostPort` is set."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=15)]
    """A name, once in a service."""
    container_port: PortNumber
    """The port the program listens on."""
    protocol: Literal["TCP", "UDP"] = "TCP"
    """TCP or UDP."""
    host_port: PortNumber | None = None
    """The port of the machine; not set, the port is not published."""
    host_ip: Annotated[str, Field(alias="hostIP", max_length=45)] = "127.0.0.1"
    """The address of the machine it is published on; only this machine reaches the default."""


class MemoryRequest(Spec):
    """What the service is admitted with."""

    memory: Quantity | None = None
    """What the processes are expected to take; the tmpfs sizes come on top."""


class Limits(Spec):
    """What the kernel enforces (not on rootless cgroup v1; the condition LimitsEnforced says so)."""

    memory: Quantity | None = None
    """More than this ends the container (processes and tmpfs together)."""
    cpu: Quantity | None = None
    """CPU time, as a number of cores."""


class Resources(Spec):
    """Memory and CPU. tmpfs sizes count inside the memory limit."""

    requests: MemoryRequest = MemoryRequest()
    """What the service is admitted with."""
    limits: Limits = Limits()
    """What the kernel enforces."""
    cpu_set: (
        Annotated[str, Field(pattern=r"^[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*$", max_length=256)] | None
    ) = None
    """CPUs the service runs on and no other service may name, as in 0,2-3; not set, all."""

    @property
    def cpus(self) -> frozenset[int]:
        """The numbers in `cpuSet`."""
        ranges = [part.split("-") for part in (self.cpu_set or "").split(",") if part]
        return frozenset(cpu for ends in ranges for cpu in range(int(ends[0]), int(ends[-1]) + 1))


class Model(Spec):
    """A GGUF file in the operator's models directory."""

    rules: ClassVar = (Rule("!has(self.url) || has(self.sha256)", "a model fetched from a url needs its sha256"),)
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.gguf$", max_length=255)]
    """The name of the file."""
    url: Annotated[str, Field(pattern=r"^https?://", max_length=2048)] | None = None
    """Where it is from; with sha256."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """The SHA-256 of the file, in hexadecimal digits."""


class Inference(Spec):
    """A llama.cpp workload. Reaches the container as XNAI_MODEL, XNAI_CTX, XNAI_SLOTS, XNAI_THREADS,
    XNAI_KV_TYPE, XNAI_DEVICE and a read-only mount of the model file."""

    rules: ClassVar = (
        Rule(
            "self.runtime != 'llama-cpp-python' || self.parallel == 1",
            "llama-cpp-python serves one slot: parallel must be 1",
        ),
        Rule(
            "!has(self.minContextSize) || self.minContextSize <= self.contextSize",
            "minContextSize must not be more than contextSize",
        ),
    )
    model: Model
    """The model."""
    runtime: Literal["llama-cpp-python", "llama-server"] = "llama-cpp-python"
    """What runs it."""
    context_size: Annotated[int, Field(ge=128, le=1048576)] = 2048
    """Tokens of context for each slot."""
    min_context_size: Annotated[int, Field(ge=128, le=1048576)] | None = None
    """What the context may shrink to while the memory of the machine is short; not set, a quarter of contextSize, at
    least 512. As large as contextSize: it never shrinks."""
    parallel: Annotated[int, Field(ge=1, le=64)] = 1
    """Slots: requests answered at the same time."""
    kv_cache_type: Literal["f32", "f16", "q8_0", "q4_0"] = "f16"
    """The type of the keys and values kept; q8_0 halves their memory."""
    threads: Annotated[int, Field(ge=1, le=512)] | None = None
    """Threads; not set, the CPU limit rounded up, at most the machine's cores."""
    device: Literal["cpu", "vulkan"] = "cpu"
    """cpu, or vulkan for an integrated GPU: the service gets the GPU's render node for itself."""


class TmpfsMount(Spec):
    """One tmpfs: its size is a hard limit (ENOSPC), its content lives in memory and is lost with the pod."""

    mount_path: AbsolutePath
    """Where it is mounted."""
    size: Quantity
    """Its hard limit."""
    mode: Mode = "1777"
    """The mode of its root directory: 1777 for all users, 0700 for one."""
    owner: Uid | None = None
    """The user it belongs to; not set, the service's."""
    group: Uid | None = None
    """The group it belongs to; not set, the service's."""
    exec: bool = False
    """Whether programs on it may be run."""


class Volume(Spec):
    """A persistent volume. With `service` set it is another service's volume of that name."""

    name: Name
    """Its name in the service that declares it."""
    mount_path: AbsolutePath
    """Where it is mounted."""
    service: Name | None = None
    """The service that declares it; not set, this one."""
    read_only: bool = False
    """Whether this service may only read."""


class FileSource(Spec):
    """A ConfigMap or Secret mounted read-only as files, one a key."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
    """The name of the ConfigMap or Secret."""
    mount_path: AbsolutePath
    """The directory the files are in."""
    keys: Annotated[
        list[Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]], Field(max_length=64)
    ] = []
    """These keys only; empty means all."""


class HostPath(Spec):
    """A directory or file of the host. The container's user must be able to read it: nothing is chowned."""

    path: AbsolutePath
    """The path on the machine."""
    mount_path: AbsolutePath
    """Where it is mounted."""
    read_only: bool = True
    """Whether the service may only read."""


class Storage(Spec):
    """Everything that is mounted. A path may be mounted once."""

    tmpfs: Annotated[list[TmpfsMount], Field(max_length=32)] = []
    """Mounts in memory; they hold over those of policies."""
    volumes: Annotated[list[Volume], Field(max_length=32)] = []
    """Mounts on disk that stay when the service goes."""
    config: Annotated[list[FileSource], Field(max_length=32)] = []
    """ConfigMaps as read-only files."""
    secrets: Annotated[list[FileSource], Field(max_length=32)] = []
    """Secrets as read-only files that are never on a disk."""
    host_paths: Annotated[list[HostPath], Field(max_length=16)] = []
    """Directories and files of the machine."""


class Security(Spec):
    """Restricted by default: non-root, read-only root, every capability dropped, no privilege escalation."""

    run_as_user: Annotated[int, Field(ge=1, le=65534)] = 1001
    """The user in the container; never 0."""
    run_as_group: Annotated[int, Field(ge=1, le=65534)] = 1001
    """The group in the container; never 0."""
    read_only_root_filesystem: bool = True
    """Whether only mounts can be written to."""
    add_capabilities: Annotated[list[Literal["NET_BIND_SERVICE"]], Field(max_length=1)] = []
    """Capabilities kept although all are dropped."""
    user_namespace: Literal["Shared", "KeepId", "Auto"] = "Shared"
    """KeepId: the service's user is you on the machine, so that your files in hostPaths can be read and written.
    Auto: ids of its own on the machine, which no other service has."""


class HttpGet(Spec):
    """Succeeds on a status of 200 to 399."""

    path: Annotated[str, Field(pattern=r"^/", max_length=1024)] = "/"
    """The path asked for."""
    port: PortNumber
    """The port in the container."""


class TcpSocket(Spec):
    """Succeeds when the port accepts a connection."""

    port: PortNumber
    """The port in the container."""


class ExecAction(Spec):
    """Succeeds when the command ends with 0."""

    command: Annotated[list[Argument], Field(min_length=1, max_length=64)]
    """The command and its arguments; no shell."""


class Probe(Spec):
    """A check the operator runs in the pod's network namespace, published port or not."""

    rules: ClassVar = (
        Rule(
            "[has(self.httpGet), has(self.tcpSocket), has(self.exec)].filter(x, x).size() == 1",
            "exactly one of httpGet, tcpSocket and exec must be set",
        ),
    )
    http_get: HttpGet | None = None
    """An HTTP request."""
    tcp_socket: TcpSocket | None = None
    """A connection."""
    exec: ExecAction | None = None
    """A command in the container."""
    period_seconds: Annotated[int, Field(ge=1, le=3600)] = 10
    """Seconds between two."""
    timeout_seconds: Annotated[int, Field(ge=1, le=300)] = 2
    """Seconds until no answer is a failure."""
    failure_threshold: Annotated[int, Field(ge=1, le=1000)] = 3
    """Failures in a row that make the service not Ready."""


class Health(Spec):
    """`startup` is asked until it succeeds once, `readiness` ever after; without a startup probe readiness serves."""

    startup: Probe | None = None
    """Asked until it succeeds once."""
    readiness: Probe | None = None
    """Asked ever after; the service is Ready while it succeeds."""


class Network(Spec):
    """`Namespace`: a bridge shared with the other services of the namespace, which find it by name.
    `Alone`: a network of its own (pasta), no peers."""

    mode: Literal["Namespace", "Alone"] = "Namespace"
    """Which network the pod is on."""
    peers: Annotated[list[Name], Field(max_length=32)] = []
    """Services of the namespace this one connects to, besides those in dependsOn; a service is reached only by those
    that name it."""


class XnaiServiceSpec(Spec):
    """The specification."""

    rules: ClassVar = (
        Rule(
            "!has(self.dependsOn) || size(self.dependsOn) == 0 || !has(self.network) || self.network.mode != 'Alone'",
            "a service alone on its network reaches no peer: remove dependsOn or set network.mode to Namespace",
        ),
        Rule(
            "!has(self.network) || self.network.mode != 'Alone' || !has(self.network.peers) || "
            "size(self.network.peers) == 0",
            "a service alone on its network reaches no peer: remove network.peers or set network.mode to Namespace",
        ),
    )
    image: Annotated[str, Field(min_length=1, max_length=512)]
    """The image; it must be on the machine."""
    command: Annotated[list[Argument], Field(max_length=128)] = []
    """Replaces the image's entrypoint."""
    args: Annotated[list[Argument], Field(max_length=128)] = []
    """Replaces the image's command."""
    env: Annotated[list[EnvVar], Field(max_length=128)] = []
    """Installation variables."""
    init_containers: Annotated[list[InitContainer], Field(max_length=8)] = []
    """Run to their end, one after another, at every start before the service's container; ten minutes in all."""
    ports: Annotated[list[Port], Field(max_length=32)] = []
    """Ports the container listens on."""
    priority: Annotated[int, Field(ge=-1000000, le=1000000)] = 0
    """Who comes first when memory is short: the higher."""
    resources: Resources = Resources()
    """Memory and CPU."""
    inference: Inference | None = None
    """What a llama.cpp workload loads and how."""
    storage: Storage = Storage()
    """Everything that is mounted."""
    security: Security = Security()
    """Users and rights in the container."""
    health: Health = Health()
    """How it is known to work."""
    depends_on: Annotated[list[Name], Field(max_length=32)] = []
    """Services of the namespace that must be Ready before this one starts."""
    network: Network = Network()
    """How it is connected."""
    termination_grace_period_seconds: Annotated[int, Field(ge=0, le=3600)] = 10
    """Seconds from SIGTERM to SIGKILL."""
    suspend: bool = False
    """Nothing is started, changed or stopped while this is true."""
