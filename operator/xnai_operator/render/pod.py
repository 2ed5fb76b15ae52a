"""What a back end needs to run a service: the pod document, and what it prepares before the pod starts."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xnai_operator.api.xnaiservice import Security
from xnai_operator.render.variant import Variant


@dataclass(frozen=True)
class TmpfsDirectory:
    """A tmpfs that the back end mounts at `source` on the host before the pod starts. `size` in bytes. `uid` and `gid`
    are ids inside the container."""

    source: str
    mount_path: str
    size: int
    mode: str
    uid: int
    gid: int
    exec: bool


@dataclass(frozen=True)
class FileDirectory:
    """The files of one ConfigMap or Secret. The back end writes them into a read-only tmpfs at `source` on the host.
    `uid` and `gid` are ids inside the container."""

    source: str
    mount_path: str
    files: dict[str, bytes] = field(repr=False)
    uid: int
    gid: int
    secret: bool


@dataclass(frozen=True)
class PersistentVolume:
    """A named volume. `owned`: it belongs to this service, and the back end makes it when it is missing; a volume of
    another service must exist. `instead_of`: the tmpfs directory that the volume replaces. The back end makes such a
    volume anew at each start; when it replaces the tmpfs of a running pod, the content is copied first."""

    name: str
    owned: bool
    instead_of: str | None = None


@dataclass(frozen=True)
class NetworkAttachment:
    """The bridge `name` and the pod's `aliases` on it. Without a name the pod has a network of its own (pasta)."""

    name: str | None
    aliases: tuple[str, ...] = ()
    mtu: int = 1500


@dataclass(frozen=True, kw_only=True)
class RenderedPod:
    """One service, rendered.

    `hash`: keyed digest of everything here but the sizes of tmpfs, the contents of files included; a label of the pod.
    `sections`: the same by section (`image`, `env` and so on), also a label. `variant`: how the pod differs from what
    its resource declares. `signal`: the directory on the host from which the pod reads the step of the pressure
    ladder. `cpus`: the CPUs to which the back end binds the pod's processes after the start; empty means all.
    `init_images`: the images of the init containers."""

    namespace: str
    service: str
    uid: str
    document: dict[str, Any]
    hash: str
    sections: Mapping[str, str]
    variant: Variant
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
