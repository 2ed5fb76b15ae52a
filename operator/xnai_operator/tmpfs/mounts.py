"""The tmpfs mounts of a service: its own, those of its policies, and the implicit ones with a size. Pure."""

from collections.abc import Callable, Collection, Iterable
from typing import Final

from xnai_operator.api.conditions import Reason
from xnai_operator.api.quantity import to_bytes
from xnai_operator.api.resources import TmpfsPolicy, XnaiService
from xnai_operator.api.xnaiservice import TmpfsMount
from xnai_operator.errors import SpecError
from xnai_operator.tmpfs.rightsize import recommended

PAGE: Final = 4096

# Podman mounts an unlimited tmpfs (half of RAM, exec) on each of these paths of a read-only container where nothing
# else is mounted (pkg/specgen/generate/storage.go addReadWriteTmpfsMounts; no switch in the YAML; seen up to 5.8).
IMPLICIT: Final = tuple(TmpfsMount(mount_path=path, size="16Mi", mode="1777") for path in ("/tmp", "/run", "/var/tmp"))
# Every container has a /dev/shm. Podman's own has 62.5 MiB, which no admission would count.
SHARED_MEMORY: Final = TmpfsMount(mount_path="/dev/shm", size="16Mi", mode="1777")


def normalise_path(path: str) -> str:
    """One spelling for each path: no trailing slash; `/run` for `/var/run`, which the images of distributions link."""
    path = "/" + "/".join(part for part in path.split("/") if part)
    return "/run" + path[len("/var/run") :] if path == "/var/run" or path.startswith("/var/run/") else path


def whole_pages(size: int) -> int:
    """The bytes that a file of `size` bytes takes in a tmpfs."""
    return -(-size // PAGE) * PAGE


def size_of(mount: TmpfsMount) -> int:
    """The size of the mount as the kernel sets it: bytes, in whole pages."""
    return whole_pages(to_bytes(mount.size))


def selects(policy: TmpfsPolicy, service: XnaiService) -> bool:
    """Whether the policy applies to the service: it has the same namespace and all labels of the selector."""
    wanted = policy.spec.selector.match_labels
    return policy.namespace == service.namespace and all(service.labels.get(k) == v for k, v in wanted.items())


def _selecting(service: XnaiService, policies: Iterable[TmpfsPolicy]) -> list[TmpfsPolicy]:
    """The policies that apply to the service, the one with precedence over the others first."""
    return sorted((p for p in policies if selects(p, service)), key=lambda p: (-p.spec.precedence, p.name))


def merged(service: XnaiService, policies: Iterable[TmpfsPolicy], *, by_use: bool = True) -> list[TmpfsMount]:
    """The tmpfs mounts of the service, sorted by path, with normalised paths.

    A mount of the service overrides that of a policy, and a policy of higher precedence overrides a lower one.
    `by_use`: apply the sizes computed from observed use where a policy has `sizing.mode: Apply`. Raises SpecError
    (PolicyConflict) when two policies of one precedence differ on a path that is not set in the service.
    """
    own = {normalise_path(mount.mount_path): mount for mount in service.spec.storage.tmpfs}
    mounts: dict[str, TmpfsMount] = {}
    for path, (mount, policy) in _of_policies(service, policies, own).items():
        mounts[path] = _sized_by_use(service, path, mount, policy) if by_use else mount
    mounts |= own
    taken = set(mounts) | {normalise_path(path) for path in other_paths(service)}
    implicit = (SHARED_MEMORY, *(IMPLICIT if service.spec.security.read_only_root_filesystem else ()))
    mounts |= {mount.mount_path: mount for mount in implicit if mount.mount_path not in taken}
    return [mounts[path].model_copy(update={"mount_path": path}) for path in sorted(mounts)]


def merged_within(
    service: XnaiService, policies: Iterable[TmpfsPolicy], fits: Callable[[list[TmpfsMount]], bool]
) -> list[TmpfsMount]:
    """The tmpfs mounts of the service, with sizes by use when these `fits`, else with the sizes of the policies.

    Nobody wrote the sizes by use, so they must not make a service unstartable. Raises SpecError as `merged` does.
    """
    policies = tuple(policies)
    mounts = merged(service, policies)
    return mounts if fits(mounts) else merged(service, policies, by_use=False)


def _of_policies(
    service: XnaiService, policies: Iterable[TmpfsPolicy], own: Collection[str]
) -> dict[str, tuple[TmpfsMount, TmpfsPolicy]]:
    """Path -> mount and its policy, for the paths that the service does not set itself (`own`)."""
    chosen: dict[str, tuple[TmpfsMount, TmpfsPolicy]] = {}
    for policy in _selecting(service, policies):
        for mount in policy.spec.mounts:
            path = normalise_path(mount.mount_path)
            if path in own:
                continue
            first, holder = chosen.setdefault(path, (mount, policy))
            if first != mount and holder.spec.precedence == policy.spec.precedence:
                raise SpecError(
                    Reason.POLICY_CONFLICT,
                    f"TmpfsPolicies {holder.name} and {policy.name} both have precedence {policy.spec.precedence} "
                    f"and differ on {path}; give one a higher precedence, or set the mount in the service",
                )
    return chosen


def _sized_by_use(service: XnaiService, path: str, mount: TmpfsMount, policy: TmpfsPolicy) -> TmpfsMount:
    """The mount with the size recommended for its use, if its policy applies that; unchanged before its first use."""
    if policy.spec.sizing.mode != "Apply":
        return mount
    marks = {entry.mount_path: entry.high_water_bytes for entry in service.status.tmpfs}
    if not marks.get(path):
        return mount
    return mount.model_copy(update={"size": str(recommended(marks[path], policy.spec.sizing))})


def policy_of(service: XnaiService, path: str, policies: Iterable[TmpfsPolicy]) -> TmpfsPolicy | None:
    """The policy that the mount at `path` comes from; None for a mount of the service itself, or an implicit one."""
    if path in {normalise_path(mount.mount_path) for mount in service.spec.storage.tmpfs}:
        return None
    for policy in _selecting(service, policies):
        if path in {normalise_path(mount.mount_path) for mount in policy.spec.mounts}:
            return policy
    return None


def other_paths(service: XnaiService) -> list[str]:
    """The mount paths of the service that are not tmpfs: volumes, config, secrets, host paths."""
    storage = service.spec.storage
    groups = (storage.volumes, storage.config, storage.secrets, storage.host_paths)
    return [entry.mount_path for group in groups for entry in group]
