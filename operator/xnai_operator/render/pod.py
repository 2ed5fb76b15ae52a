"""What a back end needs to run a service: the pod document and everything to prepare before it is played."""

from dataclasses import dataclass, field
from typing import Any

from xnai_operator.api.xnaiservice import Security


@dataclass(frozen=True)
class TmpfsDirectory:
    """A tmpfs the back end mounts at `source` on the host before the pod starts. `size` in bytes; `uid` and
    `gid` as the container counts them."""

    source: str
    mount_path: str
    size: int
    mode: str
    uid: int
    gid: int
    exec: bool


@dataclass(frozen=True)
class FileDirectory:
    """Files the back end writes into a read-only tmpfs directory `source`: contents of a ConfigMap or Secret."""

    source: str
    mount_path: str
    files: dict[str, bytes] = field(repr=False)
    uid: int
    gid: int
    secret: bool


@dataclass(frozen=True)
class PersistentVolume:
    """A named volume. `owned`: this service's own, made when missing; else another's, which must exist. `instead_of`:
    the tmpfs directory it stands for; then it is as empty at a start as that would be, unless it takes over what the
    directory holds for the pod that is replaced."""

    name: str
    owned: bool
    instead_of: str | None = None


@dataclass(frozen=True)
class NetworkAttachment:
    """The bridge `name` with `aliases`; without a name a network of its own (pasta)."""

    name: str | None
    aliases: tuple[str, ...] = ()
    mtu: int = 1500


@dataclass(frozen=True)
class RenderedPod:
    """One service, rendered. `hash` covers everything here, file contents included, and is the pod's label. `signal`:
    the directory of the host in which the pod reads the step of the pressure ladder. `cpus`: those its processes are
    bound to after the start; empty: all. `init_images`: those of its init containers."""

    namespace: str
    service: str
    uid: str
    document: dict[str, Any]
    hash: str
    image: str
    tmpfs: tuple[TmpfsDirectory, ...]
    files: tuple[FileDirectory, ...]
    volumes: tuple[PersistentVolume, ...]
    network: NetworkAttachment
    security: Security
    model_file: str | None = None
    signal: str | None = None
    cpus: frozenset[int] = frozenset()
    init_images: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The pod's name."""
        return str(self.document["metadata"]["name"])
