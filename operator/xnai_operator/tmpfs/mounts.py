"""The tmpfs mounts of a service: those of its policies, overridden by its own, and the implicit ones bounded."""

from collections.abc import Iterable
from typing import Final

from xnai_operator.api.conditions import Reason
from xnai_operator.api.quantity import to_bytes
from xnai_operator.api.resources import TmpfsPolicy, XnaiService
from xnai_operator.api.tmpfspolicy import Sizing
from xnai_operator.api.xnaiservice import TmpfsMount
from xnai_operator.errors import SpecError
from xnai_operator.tmpfs.rightsize import recommended

PAGE: Final = 4096

# Podman puts an unlimited tmpfs (half of RAM, exec) on these paths of a read-only container unless something is
# mounted there (pkg/specgen/generate/storage.go addReadWriteTmpfsMounts; no switch in the YAML, seen up to 5.8).
IMPLICIT: Final = tuple(TmpfsMount(mount_path=path, size="16Mi", mode="1777") for path in ("/tmp", "/run", "/var/tmp"))
# Every container has one; Podman's own has 62.5 MiB, of which no admission would know.
SHARED_MEMORY: Final = TmpfsMount(mount_path="/dev/shm", size="16Mi", mode="1777")


def normalise_path(path: str) -> str:
    """One spelling for one place: no trailing slash, `/var/run` is `/run` (a link in every distribution's image)."""
    path = "/" + "/".join(part for part in path.split("/") if part)
    return "/run" + path[len("/var/run") :] if path == "/var/run" or path.startswith("/var/run/") else path


def whole_pages(size: int) -> int:
    """What so many bytes take in a tmpfs."""
    return -(-size // PAGE) * PAGE


def size_of(mount: TmpfsMount) -> int:
    """Its size as the kernel has it: bytes, in whole pages."""
    return whole_pages(to_bytes(mount.size))


def selects(policy: TmpfsPolicy, service: XnaiService) -> bool:
    """Whether the policy holds for the service: same namespace, all labels equal."""
    wanted = policy.spec.selector.match_labels
    return policy.namespace == service.namespace and all(service.labels.get(k) == v for k, v in wanted.items())


def _selecting(service: XnaiService, policies: Iterable[TmpfsPolicy]) -> list[TmpfsPolicy]:
    """The policies that hold for the service, the first one over the others."""
    return sorted((p for p in policies if selects(p, service)), key=lambda p: (-p.spec.precedence, p.name))


def merged(service: XnaiService, policies: Iterable[TmpfsPolicy], *, by_use: bool = True) -> list[TmpfsMount]:
    """The service's tmpfs mounts, by path, paths normalised; with `by_use` of the sizes that `sizing: Apply` asks for.

    The service's own mount holds over a policy's, the higher precedence over the lower. Raises SpecError
    (PolicyConflict) when two policies of one precedence differ on a path the service does not settle itself.
    """
    chosen: dict[str, TmpfsMount] = {}
    source: dict[str, tuple[int, str]] = {}
    by: dict[str, Sizing] = {}
    own = {normalise_path(mount.mount_path): mount for mount in service.spec.storage.tmpfs}
    for policy in _selecting(service, policies):
        for mount in policy.spec.mounts:
            path = normalise_path(mount.mount_path)
            if path in own:
                continue
            if path not in chosen:
                by[path] = policy.spec.sizing
                chosen[path], source[path] = mount, (policy.spec.precedence, policy.name)
            elif source[path][0] == policy.spec.precedence and chosen[path] != mount:
                raise SpecError(
                    Reason.POLICY_CONFLICT,
                    f"TmpfsPolicies {source[path][1]} and {policy.name} both have precedence {policy.spec.precedence} "
                    f"and differ on {path}; give one a higher precedence or set the mount in the service",
                )
    if by_use:
        chosen = {path: _sized(service, path, mount, by.get(path)) for path, mount in chosen.items()}
    chosen |= own
    taken = set(chosen) | {normalise_path(path) for path in other_paths(service)}
    unasked = (SHARED_MEMORY, *(IMPLICIT if service.spec.security.read_only_root_filesystem else ()))
    chosen |= {mount.mount_path: mount for mount in unasked if mount.mount_path not in taken}
    return [chosen[path].model_copy(update={"mount_path": path}) for path in sorted(chosen)]


def _sized(service: XnaiService, path: str, mount: TmpfsMount, sizing: Sizing | None) -> TmpfsMount:
    """With `sizing: Apply` the size that the observed use asks for; what is written until there is some."""
    if sizing is None or sizing.mode != "Apply":
        return mount
    marks = {entry["mountPath"]: int(entry["highWaterBytes"]) for entry in service.status.get("tmpfs", [])}
    return mount.model_copy(update={"size": str(recommended(marks[path], sizing))}) if marks.get(path) else mount


def policy_of(service: XnaiService, path: str, policies: Iterable[TmpfsPolicy]) -> TmpfsPolicy | None:
    """The policy the mount at `path` comes from; None when it is the service's own, or one nobody asked for."""
    if path in {normalise_path(mount.mount_path) for mount in service.spec.storage.tmpfs}:
        return None
    for policy in _selecting(service, policies):
        if path in {normalise_path(mount.mount_path) for mount in policy.spec.mounts}:
            return policy
    return None


def other_paths(service: XnaiService) -> list[str]:
    """The mount paths of the service that are no tmpfs."""
    storage = service.spec.storage
    groups = (storage.volumes, storage.config, storage.secrets, storage.host_paths)
    return [entry.mount_path for group in groups for entry in group]
