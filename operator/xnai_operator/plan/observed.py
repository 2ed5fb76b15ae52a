"""The runtime as it was found: pods, images, volumes, mounts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from xnai_operator.api.host_ports import HostPort
from xnai_operator.api.resources import key_of
from xnai_operator.memory.allocation import Allocation
from xnai_operator.render.variant import AS_DECLARED, Variant


@dataclass(frozen=True, kw_only=True)
class ObservedMount:
    """A tmpfs as it stands in the running container. Sizes in bytes; `used` and inodes from statvfs;
    the owner as the container counts it."""

    mount_path: str
    filesystem: str
    size: int
    used: int
    mode: str
    uid: int
    gid: int
    flags: frozenset[str]
    inodes: int = 0
    inodes_used: int = 0


@dataclass(frozen=True)
class Usage:
    """What a running pod uses, in bytes. `memory`: the proportional set size of its processes; `tmpfs_used` and
    `tmpfs_size`: the sums over its tmpfs mounts."""

    memory: int
    tmpfs_used: int
    tmpfs_size: int


class ContainerRun(NamedTuple):
    """One run of a service's container: a restart is another run. `started_at` in seconds since the epoch."""

    pod: str
    pid: int
    started_at: float


@dataclass(frozen=True, kw_only=True)
class ObservedPod:
    """A pod of ours as the runtime sees it.

    `running`: the service's container runs. `init_container`: the name of the init container that runs; empty when
    none does. `network_pid`: a process that has the pod's network, 0 when it has none. `started_at` and `finished_at`:
    seconds since the epoch, 0 for never. `pid`: 0 when the container does not run. `sections`: the digests of the pod's
    sections; empty when another version of the operator started it. `variant`: how it differs from what its resource
    declared. `allocation`: the memory it was admitted with, without its tmpfs; None when the label is missing.
    `ports`: the ports of the machine that it has, also while its container does not run."""

    name: str
    namespace: str
    service: str
    uid: str
    hash: str
    running: bool
    sections: Mapping[str, str] = field(default_factory=dict)
    variant: Variant = AS_DECLARED
    pid: int = 0
    network_pid: int = 0
    init_container: str = ""
    started_at: float = 0.0
    finished_at: float = 0.0
    exit_code: int = 0
    oom_killed: bool = False
    image_id: str = ""
    memory_limit: int = 0
    allocation: Allocation | None = None
    ports: frozenset[HostPort] = frozenset()

    @property
    def run(self) -> ContainerRun:
        """The run of the service's container."""
        return ContainerRun(self.name, self.pid, self.started_at)

    @property
    def key(self) -> str:
        """The key of the service it belongs to."""
        return key_of(self.namespace, self.service)


@dataclass(frozen=True)
class Observed:
    """The runtime at one moment. `images`: references that can be started without a pull -> image id."""

    pods: dict[str, ObservedPod]
    images: dict[str, str] = field(default_factory=dict)
    volumes: frozenset[str] = frozenset()
    limits_enforced: bool = True
    """False on rootless cgroup v1, or v2 without the memory controller delegated: Podman applies no memory limit."""
    missing_controllers: frozenset[str] = frozenset()
    """`memory`, `cpu`: where cgroup v2 has them not, crun fails to start a container with such a limit."""
    runtime: str = ""
    """What it is, and its version: `podman 5.4.2`."""
