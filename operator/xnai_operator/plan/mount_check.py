"""Compares the tmpfs mounts of a running container with the specified ones: what to resize, and what to report.

The observed mounts come from the container itself, not from the YAML.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from xnai_operator.api.conditions import Condition, Reason, Type
from xnai_operator.api.resources import TmpfsPolicy, XnaiService
from xnai_operator.api.status import TmpfsMountStatus
from xnai_operator.api.tmpfspolicy import FillThresholds, Sizing
from xnai_operator.plan.observed import ObservedMount
from xnai_operator.render.pod import TmpfsDirectory
from xnai_operator.tmpfs.mounts import policy_of
from xnai_operator.tmpfs.rightsize import HEADROOM, mount_high_water, recommended


@dataclass(frozen=True)
class MountReport:
    """`conditions`: TmpfsEnforced, and TmpfsFull when a mount is filling up. `resize`: the sizes to change now, for
    people; empty when nothing is to be resized. `status`: the value of `status.tmpfs`."""

    conditions: tuple[Condition, ...]
    resize: str
    status: list[TmpfsMountStatus]


@dataclass(frozen=True)
class _SizeChange:
    """A mount whose size in the container, `before`, is not the specified one, `after`. Bytes."""

    path: str
    before: int
    after: int
    used: int


def differences(wanted: Iterable[TmpfsDirectory], found: Iterable[ObservedMount], *, sizes: bool = True) -> list[str]:
    """One phrase for each property in which a mount differs from its specification; empty when all are as specified.
    `sizes`: compare the sizes too."""
    by_path = {mount.mount_path: mount for mount in found}
    phrases = []
    for want in wanted:
        have = by_path.get(want.mount_path)
        if have is None:
            phrases.append(f"{want.mount_path} is not mounted")
            continue
        flags = {"nosuid", "nodev"} | (set() if want.exec else {"noexec"})
        compared = [
            ("filesystem", "tmpfs", have.filesystem),
            ("size", str(want.size), str(have.size) if sizes else str(want.size)),
            ("mode", want.mode.lstrip("0"), have.mode.lstrip("0")),
            ("owner", f"{want.uid}:{want.gid}", f"{have.uid}:{have.gid}"),
            ("flags", ",".join(sorted(flags)), ",".join(sorted(flags & have.flags))),
        ]
        phrases += [f"{want.mount_path} has {what} {has}, not {wants}" for what, wants, has in compared if wants != has]
    return phrases


def check_mounts(
    service: XnaiService,
    wanted: tuple[TmpfsDirectory, ...],
    found: tuple[ObservedMount, ...],
    policies: Iterable[TmpfsPolicy],
    on_disk: Iterable[str] = (),
    *,
    may_grow: bool = True,
) -> MountReport:
    """What to resize and report for the mounts `found` in the container of the service.

    `on_disk`: paths whose tmpfs is a volume on disk. `may_grow`: whether the node has memory for larger mounts.
    A mount is never made smaller than its content.
    """
    on_disk, policies = sorted(on_disk), tuple(policies)
    specified = {want.mount_path: want for want in wanted}
    have = {mount.mount_path: mount for mount in found if mount.mount_path in specified}
    changes = [
        _SizeChange(path, have[path].size, want.size, have[path].used)
        for path, want in specified.items()
        if path in have and have[path].size != want.size
    ]
    moved = [f"{path} is on disk: the memory or a budget did not suffice at the start" for path in on_disk]
    blocked = _cannot_shrink(changes)
    denied = [] if may_grow else _cannot_grow(changes)
    # Resize all mounts or none: if one cannot be resized, none is changed.
    resize = "" if blocked or denied else ", ".join(f"{c.path} {c.before} -> {c.after}" for c in changes)
    findings = (
        (Reason.MOUNT_RESIZED, [f"is being resized: {resize}"] if resize else []),
        (Reason.TMPFS_ON_DISK, moved),
        (Reason.TMPFS_IN_USE, blocked),
        (Reason.INSUFFICIENT_MEMORY, denied),
        (Reason.MOUNT_DIFFERS, differences(wanted, have.values(), sizes=False)),
    )
    phrases = [phrase for _, group in findings for phrase in group]
    reason = next((reason for reason, group in findings if group), Reason.MOUNTS_VERIFIED)
    message = "; ".join(phrases) or f"all {len(wanted)} tmpfs mounts of the running container are as specified"
    enforced = Condition(Type.TMPFS_ENFORCED, not phrases, reason, message)
    conditions = (enforced, *_filling(service, have.values(), policies))
    return MountReport(conditions, resize, _status(service, have, on_disk, policies))


def _cannot_shrink(changes: Iterable[_SizeChange]) -> list[str]:
    return [
        f"{c.path} cannot shrink to {c.after} bytes while {c.used} bytes are in use; delete files in it"
        for c in changes
        if c.used > c.after
    ]


def _cannot_grow(changes: Iterable[_SizeChange]) -> list[str]:
    return [
        f"{c.path} stays at {c.before} bytes: there is no memory for {c.after} bytes"
        for c in changes
        if c.before < c.after
    ]


def _filling(
    service: XnaiService, mounts: Iterable[ObservedMount], policies: tuple[TmpfsPolicy, ...]
) -> list[Condition]:
    """A warning that mounts are filling up, by their bytes or their inodes."""
    full, phrases = False, []
    for mount in mounts:
        policy = policy_of(service, mount.mount_path, policies)
        thresholds = policy.spec.thresholds if policy is not None else FillThresholds()
        bytes_used = 100 * mount.used // max(mount.size, 1)
        inodes_used = 100 * mount.inodes_used // max(mount.inodes, 1)
        fill = max(bytes_used, inodes_used)
        full |= fill >= thresholds.full_percent
        if fill >= thresholds.alert_percent:
            # In steps of 5 %: the status must not be written for every byte.
            phrases.append(
                f"{mount.mount_path}: {bytes_used // 5 * 5} % of {mount.size} bytes and "
                f"{inodes_used // 5 * 5} % of {mount.inodes} inodes are in use"
            )
    reason = Reason.MOUNT_FULL if full else Reason.MOUNT_FILLING
    return [Condition(Type.TMPFS_FULL, full, reason, "; ".join(phrases))] if phrases else []


def _status(
    service: XnaiService,
    have: Mapping[str, ObservedMount],
    on_disk: list[str],
    policies: tuple[TmpfsPolicy, ...],
) -> list[TmpfsMountStatus]:
    """The entries of `status.tmpfs`, by path."""
    before = {entry.mount_path: entry for entry in service.status.tmpfs}
    # A mount on disk keeps its high-water mark for the time when it is in memory again.
    entries = [before[path] for path in on_disk if path in before]
    for path, mount in have.items():
        mark = mount_high_water(before[path].high_water_bytes if path in before else 0, mount.used)
        entry = TmpfsMountStatus(mount_path=path, size_bytes=mount.size, high_water_bytes=mark)
        policy = policy_of(service, path, policies)
        sizing = policy.spec.sizing if policy is not None else Sizing()
        if sizing.mode != "Off" and mark:
            why = f"{HEADROOM} x the {mark} bytes that were in use, between {sizing.min} and {sizing.max}"
            entry = entry.model_copy(update={"recommended_bytes": recommended(mark, sizing), "recommendation": why})
        entries.append(entry)
    return sorted(entries, key=lambda entry: entry.mount_path)
