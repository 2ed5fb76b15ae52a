"""The operations of the helper with their requests and answers; both ends import them.

A message is one line of JSON. The helper begins with `{"pid": 7}`. A request is `{"id": 1, "operation": "resize",
"request": {...}}`, its reply `{"id": 1, "answer": {...}}` or `{"id": 1, "error": "..."}`.

TypedDict, because a dataclass imports `inspect`, which takes 2 MiB.
"""

from typing import Final, Generic, TypedDict, TypeVar

R = TypeVar("R")
A = TypeVar("A")


class Operation(Generic[R, A]):
    """An operation that takes an `R` and gives an `A`. `beside`: the helper runs it in a thread beside the others;
    mounts follow one another. `seconds`: the client gives up after them."""

    def __init__(self, name: str, *, beside: bool = False, seconds: float = 30.0) -> None:
        self.name = name
        self.beside = beside
        self.seconds = seconds


class Empty(TypedDict):
    """The answer of an operation that has nothing to tell."""


class TmpfsMount(TypedDict):
    """An empty tmpfs to mount at `path`. `size` in bytes, `mode` octal, the owner as Podman's namespace counts it."""

    path: str
    size: int
    mode: str
    uid: int
    gid: int
    exec: bool


class FileMount(TypedDict):
    """A read-only tmpfs to mount at `path` with `files` (name -> base64), which the owner (a secret) or all read."""

    path: str
    files: dict[str, str]
    uid: int
    gid: int
    secret: bool


class Prepare(TypedDict):
    """All directories of a pod."""

    tmpfs: list[TmpfsMount]
    files: list[FileMount]


class Resize(TypedDict):
    """The tmpfs mounted at `path` gets another size, in bytes."""

    path: str
    size: int


class Remove(TypedDict):
    """A directory of this program to unmount and remove. No error when it is gone."""

    path: str


class Copy(TypedDict):
    """What is in the tmpfs at `source` goes into the directory `target`; nothing when no tmpfs is at `source`."""

    source: str
    target: str


class Room(TypedDict):
    """Asks whether the tmpfs at `sources` fit on the disk of `target`."""

    sources: list[str]
    target: str


class RoomAnswer(TypedDict):
    """Bytes: `used` in the sources with a tenth added, `free` at the target."""

    used: int
    free: int


class ListDirectory(TypedDict):
    """Asks for what is directly below `path`."""

    path: str


class Paths(TypedDict):
    """Absolute paths, sorted. Empty when the directory is missing."""

    paths: list[str]


class Owners(TypedDict):
    """Asks who owns these directories."""

    paths: list[str]


class Uids(TypedDict):
    """User ids, sorted. A directory that is gone or not readable has none."""

    uids: list[int]


class ContainerMounts(TypedDict):
    """Asks for the tmpfs mounts of the container with the process `pid`."""

    pid: int


class Mount(TypedDict):
    """A line of proc_pid_mountinfo(5). `root`: the directory of the file system that is mounted."""

    path: str
    root: str
    filesystem: str
    flags: list[str]


class MountUse(Mount):
    """A mount with its use: sizes in bytes, `mode` octal, the owner as the container counts it."""

    size: int
    used: int
    inodes: int
    inodes_used: int
    mode: str
    uid: int
    gid: int


class MountUses(TypedDict):
    """Every tmpfs of a container."""

    mounts: list[MountUse]


class MemoryUse(TypedDict):
    """Asks for the memory of the container with the process `pid`."""

    pid: int


class Memory(TypedDict):
    """`pss`: the proportional set size of all its processes in bytes."""

    pss: int


class BindCpus(TypedDict):
    """Every thread of the container with the process `pid` runs on these CPUs only."""

    pid: int
    cpus: list[int]


class EndExec(TypedDict):
    """Kill the process `exec_pid` with its session and its descendants, in the container with the process `pid`."""

    pid: int
    exec_pid: int


class Probe(TypedDict):
    """Connect to `port` in the pod of the process `pid`; with a `path` send an HTTP GET. `seconds`: the time for all of
    it. `reached`: others reach the port, so the address is the pod's own, else the loopback address."""

    pid: int
    port: int
    path: str | None
    seconds: float
    reached: bool


class ProbeAnswer(TypedDict):
    """`message` says what was seen: `HTTP 503 from :80/`."""

    success: bool
    message: str


class AllowIngress(TypedDict):
    """New connections from the bridge to the pod of the process `pid` are allowed from the pods of the processes
    `clients` only."""

    pid: int
    clients: list[int]


PREPARE: Final = Operation[Prepare, Empty]("prepare")
RESIZE: Final = Operation[Resize, Empty]("resize")
REMOVE: Final = Operation[Remove, Empty]("remove")
COPY: Final = Operation[Copy, Empty]("copy", beside=True, seconds=600.0)  # 1 GiB to a memory card
ROOM: Final = Operation[Room, RoomAnswer]("room")
LIST_DIRECTORY: Final = Operation[ListDirectory, Paths]("list_directory")
OWNERS: Final = Operation[Owners, Uids]("owners")
CONTAINER_MOUNTS: Final = Operation[ContainerMounts, MountUses]("container_mounts")
MEMORY: Final = Operation[MemoryUse, Memory]("memory")
BIND_CPUS: Final = Operation[BindCpus, Empty]("bind_cpus")
END_EXEC: Final = Operation[EndExec, Empty]("end_exec", beside=True)
PROBE: Final = Operation[Probe, ProbeAnswer]("probe", beside=True)
ALLOW_INGRESS: Final = Operation[AllowIngress, Empty]("allow_ingress")
