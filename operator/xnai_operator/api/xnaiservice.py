"""XnaiService: one service, one pod. The source of `crds/xnai.dev_xnaiservices.yaml`."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import AfterValidator, Field

from xnai_operator.api.host_ports import HostPort, checked_address
from xnai_operator.api.quantity import MemoryQuantity, Quantity, SizeQuantity
from xnai_operator.api.types import AbsolutePath, ListMap, Mode, Name, Rule, Spec

VULKAN_DEVICE: Final = "/dev/dri/renderD128"
"""The render node of the GPU that `device: vulkan` gives to a service."""

Image = Annotated[str, Field(pattern=r"^\S+$", min_length=1, max_length=512)]
Argument = Annotated[str, Field(max_length=4096)]
PortNumber = Annotated[int, Field(ge=1, le=65535)]
Uid = Annotated[int, Field(ge=0, le=65534)]


class EnvVar(Spec):
    """An environment variable with a literal value. Pass secrets as files (`storage.secrets`):
    `podman inspect` shows the environment."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", max_length=256)]
    """The name of the variable."""
    value: Annotated[str, Field(max_length=32768)] = ""
    """The value of the variable. Nothing in it is expanded."""


class InitContainer(Spec):
    """A container that runs to its end before the container of the service starts. It has the same user and the same
    mounts, so the service finds the files that it wrote."""

    # No hyphen: Podman calls containers `<pod>-<container>`.
    name: Annotated[str, Field(pattern=r"^[a-z0-9]+$", max_length=30)]
    """The name of the container, unique in the service."""
    image: Image | None = None
    """The image. Defaults to the image of the service."""
    command: Annotated[list[Argument], Field(max_length=128)] = []
    """The entrypoint, instead of the one of the image."""
    args: Annotated[list[Argument], Field(max_length=128)] = []
    """The arguments of the entrypoint, instead of those of the image."""
    env: Annotated[list[EnvVar], Field(max_length=128), ListMap("name")] = []
    """Environment variables."""


class Port(Spec):
    """A port that the container listens on. It is published on the machine when `hostPort` is set."""

    rules: ClassVar = (
        Rule(
            "!has(self.hostIP) || self.hostIP == '' || isIP(self.hostIP)",
            "hostIP must be an IP address of this machine, such as 127.0.0.1 or ::1; a name is none",
        ),
    )
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=15)]
    """The name of the port, unique in the service."""
    container_port: PortNumber
    """The port that the program listens on."""
    protocol: Literal["TCP", "UDP"] = "TCP"
    """The protocol."""
    host_port: PortNumber | None = None
    """The port of the machine. Without it the port is not published."""
    host_ip: Annotated[str, Field(alias="hostIP", max_length=45), AfterValidator(checked_address)] = "127.0.0.1"
    """The address of the machine on which the port is published. Only this machine can reach the default, which an
    empty text also means."""

    @property
    def published(self) -> HostPort | None:
        """The port of the machine; None when the port is not published."""
        return None if self.host_port is None else HostPort(self.host_ip, self.host_port, self.protocol)


class MemoryRequest(Spec):
    """The memory that admission reserves for the service."""

    memory: MemoryQuantity | None = None
    """The memory that the processes need. Admission adds the sizes of the tmpfs mounts."""


class Limits(Spec):
    """The limits that the kernel enforces. Rootless cgroup v1 enforces none: see the condition LimitsEnforced."""

    memory: MemoryQuantity | None = None
    """The most memory that processes and tmpfs together may use. The kernel kills the container above it."""
    cpu: Quantity | None = None
    """The most CPU time, as a number of cores."""


class Resources(Spec):
    """Memory and CPU. The sizes of the tmpfs mounts count towards the memory limit."""

    requests: MemoryRequest = MemoryRequest()
    """The memory that admission reserves for the service."""
    limits: Limits = Limits()
    """The limits that the kernel enforces."""
    cpu_set: (
        Annotated[str, Field(pattern=r"^[0-9]{1,4}(-[0-9]{1,4})?(,[0-9]{1,4}(-[0-9]{1,4})?)*$", max_length=256)] | None
    ) = None
    """The CPUs that the service runs on, as in 0,2-3. No other service may name them. Defaults to all CPUs."""

    @property
    def cpus(self) -> frozenset[int]:
        """The numbers in `cpuSet`."""
        ranges = [part.split("-") for part in (self.cpu_set or "").split(",") if part]
        return frozenset(cpu for ends in ranges for cpu in range(int(ends[0]), int(ends[-1]) + 1))


class Model(Spec):
    """A GGUF file in the operator's models directory."""

    rules: ClassVar = (
        Rule(
            "!has(self.url) || has(self.sha256)",
            "a model with a url needs its sha256: set sha256 to the digest of the file",
        ),
    )
    file: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*\.gguf$", max_length=255)]
    """The name of the file."""
    url: Annotated[str, Field(pattern=r"^https?://", max_length=2048)] | None = None
    """The address of the file. Needs `sha256`."""
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    """The SHA-256 digest of the file, in hexadecimal digits."""


class Inference(Spec):
    """A llama.cpp workload. The container gets these fields as XNAI_MODEL, XNAI_CTX, XNAI_SLOTS, XNAI_THREADS,
    XNAI_KV_TYPE and XNAI_DEVICE, and the model file as a read-only mount."""

    rules: ClassVar = (
        Rule(
            "self.runtime != 'llama-cpp-python' || self.parallel == 1",
            "llama-cpp-python has one slot: parallel must be 1; use llama-server for more",
        ),
        Rule(
            "!has(self.minContextSize) || self.minContextSize <= self.contextSize",
            "minContextSize must not be greater than contextSize",
        ),
    )
    model: Model
    """The model file."""
    runtime: Literal["llama-cpp-python", "llama-server"] = "llama-cpp-python"
    """The inference runtime in the image."""
    context_size: Annotated[int, Field(ge=128, le=1048576)] = 2048
    """The context of each slot, in tokens."""
    min_context_size: Annotated[int, Field(ge=128, le=1048576)] | None = None
    """The smallest context while the machine is short of memory, in tokens. Defaults to a quarter of contextSize, at
    least 512. Set it to contextSize to keep the context."""
    parallel: Annotated[int, Field(ge=1, le=64)] = 1
    """The number of slots. Each slot answers one request at a time."""
    kv_cache_type: Literal["f32", "f16", "q8_0", "q4_0"] = "f16"
    """The type of the keys and values in the cache. q8_0 halves the memory that f16 takes."""
    threads: Annotated[int, Field(ge=1, le=512)] | None = None
    """The number of threads. Defaults to the CPU limit, rounded up, and at most to the cores of the machine."""
    device: Literal["cpu", "vulkan"] = "cpu"
    """The device that computes. vulkan is an integrated GPU: the service gets the render node of the GPU for itself."""


class TmpfsMount(Spec):
    """A tmpfs mount. Its size is a hard limit (ENOSPC). Its content is in memory and is lost with the pod."""

    mount_path: AbsolutePath
    """The path in the container."""
    size: SizeQuantity
    """The hard limit of the mount."""
    mode: Mode = "1777"
    """The mode of the directory at the mount path: 1777 for all users, 0700 for the owner."""
    owner: Uid | None = None
    """The user that owns the directory. Defaults to the user of the service."""
    group: Uid | None = None
    """The group that owns the directory. Defaults to the group of the service."""
    exec: bool = False
    """Whether programs on the mount may be run."""


class Volume(Spec):
    """A persistent volume. With `service`, it is the volume of that name which the other service declares."""

    name: Name
    """The name of the volume in the service that declares it."""
    mount_path: AbsolutePath
    """The path in the container."""
    service: Name | None = None
    """The service that declares the volume. Defaults to this service."""
    read_only: bool = False
    """Whether this service may only read the volume."""


class FileSource(Spec):
    """A ConfigMap or Secret, mounted read-only. Each key is a file."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$", max_length=253)]
    """The name of the ConfigMap or Secret."""
    mount_path: AbsolutePath
    """The directory of the files in the container."""
    keys: Annotated[
        list[Annotated[str, Field(pattern=r"^[-._a-zA-Z0-9]+$", max_length=253)]], Field(max_length=64)
    ] = []
    """The keys to mount. Defaults to all keys."""


class HostPath(Spec):
    """A directory or file of the machine. The user of the container must be able to read it: the operator does
    not change its owner."""

    path: AbsolutePath
    """The path on the machine."""
    mount_path: AbsolutePath
    """The path in the container."""
    read_only: bool = True
    """Whether the service may only read it."""


class Storage(Spec):
    """The mounts of the container. Each path may be used once."""

    tmpfs: Annotated[list[TmpfsMount], Field(max_length=32), ListMap("mountPath")] = []
    """Mounts in memory. A mount here replaces the mount of a policy at the same path."""
    volumes: Annotated[list[Volume], Field(max_length=32), ListMap("mountPath")] = []
    """Persistent volumes on disk. They stay when the service is deleted."""
    config: Annotated[list[FileSource], Field(max_length=32), ListMap("mountPath")] = []
    """ConfigMaps, mounted as read-only files."""
    secrets: Annotated[list[FileSource], Field(max_length=32), ListMap("mountPath")] = []
    """Secrets, mounted as read-only files in memory. They are never written to a disk."""
    host_paths: Annotated[list[HostPath], Field(max_length=16), ListMap("mountPath")] = []
    """Directories and files of the machine."""


class Security(Spec):
    """The user and the rights of the container. The defaults are restricted: not root, a read-only root file system, no
    capabilities, no privilege escalation."""

    run_as_user: Annotated[int, Field(ge=1, le=65534)] = 1001
    """The user id in the container. 0 is not allowed."""
    run_as_group: Annotated[int, Field(ge=1, le=65534)] = 1001
    """The group id in the container. 0 is not allowed."""
    read_only_root_filesystem: bool = True
    """Whether the container can write to its mounts only."""
    add_capabilities: Annotated[list[Literal["NET_BIND_SERVICE"]], Field(max_length=1)] = []
    """The capabilities that the container keeps. All others are dropped."""
    user_namespace: Literal["Shared", "KeepId", "Auto"] = "Shared"
    """How users of the container map to ids of the machine. Shared: as for all other Shared services. KeepId: the user
    of the service is the user who runs Podman, so the service can read and write their files in hostPaths. Auto: a
    range of ids that no other service has."""


class HttpGet(Spec):
    """An HTTP GET request. It succeeds with a status from 200 to 399."""

    path: Annotated[str, Field(pattern=r"^/[^\x00-\x1f\x7f]*$", max_length=1024)] = "/"
    """The path of the request, without control characters. The operator quotes blanks and what is not ASCII."""
    port: PortNumber
    """The port in the container."""


class TcpSocket(Spec):
    """A TCP connection. It succeeds when the port accepts it."""

    port: PortNumber
    """The port in the container."""


class ExecAction(Spec):
    """A command in the container. It succeeds with exit status 0."""

    command: Annotated[list[Argument], Field(min_length=1, max_length=64)]
    """The command and its arguments. No shell runs it."""


class Probe(Spec):
    """A check that the operator makes inside the network of the pod. The port need not be published."""

    rules: ClassVar = (
        Rule(
            "[has(self.httpGet), has(self.tcpSocket), has(self.exec)].filter(x, x).size() == 1",
            "exactly one of httpGet, tcpSocket and exec must be set",
        ),
    )
    http_get: HttpGet | None = None
    """An HTTP request."""
    tcp_socket: TcpSocket | None = None
    """A TCP connection."""
    exec: ExecAction | None = None
    """A command in the container."""
    period_seconds: Annotated[int, Field(ge=1, le=3600)] = 10
    """The seconds between two probes."""
    timeout_seconds: Annotated[int, Field(ge=1, le=300)] = 2
    """The seconds after which a probe without an answer has failed."""
    failure_threshold: Annotated[int, Field(ge=1, le=1000)] = 3
    """The number of failures in a row after which the service is not Ready."""


class Health(Spec):
    """The probes of the service. Without a startup probe the readiness probe is used from the start."""

    startup: Probe | None = None
    """The probe that must succeed once before the readiness probe begins."""
    readiness: Probe | None = None
    """The probe that decides whether the service is Ready."""


class Network(Spec):
    """The network of the pod and the services that it connects to."""

    mode: Literal["Namespace", "Alone"] = "Namespace"
    """Namespace: the pod shares a bridge with the services of its namespace, which find it by its name. Alone: the pod
    has a network of its own (pasta) and reaches no service."""
    peers: Annotated[list[Name], Field(max_length=32)] = []
    """Services of the namespace that this service connects to, besides those in dependsOn. A service accepts
    connections only from the services that name it."""


class XnaiServiceSpec(Spec):
    """What the service runs, what it needs, and how it is reached."""

    rules: ClassVar = (
        Rule(
            "!has(self.dependsOn) || size(self.dependsOn) == 0 || !has(self.network) || self.network.mode != 'Alone'",
            "a service alone on its network reaches no other service: "
            "remove dependsOn, or set network.mode to Namespace",
        ),
        Rule(
            "!has(self.network) || self.network.mode != 'Alone' || !has(self.network.peers) || "
            "size(self.network.peers) == 0",
            "a service alone on its network reaches no other service: "
            "remove network.peers, or set network.mode to Namespace",
        ),
    )
    image: Image
    """The image: a name with a tag or a digest, or an id of 64 digits. It must be on this machine."""
    command: Annotated[list[Argument], Field(max_length=128)] = []
    """The entrypoint, instead of the one of the image."""
    args: Annotated[list[Argument], Field(max_length=128)] = []
    """The arguments of the entrypoint, instead of those of the image."""
    env: Annotated[list[EnvVar], Field(max_length=128), ListMap("name")] = []
    """Environment variables."""
    init_containers: Annotated[list[InitContainer], Field(max_length=8)] = []
    """Containers that run to their end, one after another, before the container of the service starts. Together they
    may take ten minutes."""
    ports: Annotated[list[Port], Field(max_length=32), ListMap("name")] = []
    """The ports that the container listens on."""
    priority: Annotated[int, Field(ge=-1000000, le=1000000)] = 0
    """The importance of the service. When memory is short, a service of higher priority comes first."""
    resources: Resources = Resources()
    """Memory and CPU."""
    inference: Inference | None = None
    """The model of a llama.cpp workload, and how it is loaded."""
    storage: Storage = Storage()
    """The mounts of the container."""
    security: Security = Security()
    """The user and the rights of the container."""
    health: Health = Health()
    """The startup and readiness probes."""
    depends_on: Annotated[list[Name], Field(max_length=32)] = []
    """Services of the namespace that must be Ready before this service starts."""
    network: Network = Network()
    """The network of the pod, and the services that it connects to."""
    termination_grace_period_seconds: Annotated[int, Field(ge=0, le=3600)] = 10
    """The seconds from SIGTERM to SIGKILL when the pod is stopped."""
    suspend: bool = False
    """While true, the operator neither starts, changes nor stops the pod."""
