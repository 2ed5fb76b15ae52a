"""What is to be done and said about the tmpfs mounts of a running pod, from what was seen in the container."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from xnai_operator.api.conditions import Condition, Reason, Type
from xnai_operator.api.resources import TmpfsPolicy, XnaiService
from xnai_operator.api.tmpfspolicy import FillThresholds, Sizing
from xnai_operator.plan.observed import ObservedMount
from xnai_operator.plan.verify import differences
from xnai_operator.render.pod import TmpfsDirectory
from xnai_operator.tmpfs.mounts import policy_of
from xnai_operator.tmpfs.rightsize import mount_high_water, recommended


@dataclass(frozen=True)
class MountReport:
    """`resize`: what to say of the sizes to be changed now; empty when none is. `status`: the field `tmpfs`."""

    conditions: tuple[Condition, ...]
    resize: str
    status: list[dict[str, Any]]


def check_mounts(
    service: XnaiService,
    wanted: tuple[TmpfsDirectory, ...],
    found: tuple[ObservedMount, ...],
    policies: Iterable[TmpfsPolicy],
    on_disk: Iterable[str] = (),
    *,
    may_grow: bool = True,
) -> MountReport:
    """Sizes that can be changed are; a mount is never made smaller than what is in it, nor larger than there is memory
    for (`may_grow`)."""
    on_disk, policies = sorted(on_disk), tuple(policies)
    paths = {w.mount_path for w in wanted}
    found = tuple(mount for mount in found if mount.mount_path in paths)
    have = {mount.mount_path: mount for mount in found}
    other = [w for w in wanted if w.mount_path in have and have[w.mount_path].size != w.size]
    blocked = [w for w in other if have[w.mount_path].used > w.size]
    faults = [fault for fault in differences(wanted, found) if " has size " not in fault]
    faults += [
        f"{w.mount_path} cannot shrink to {w.size} bytes: {have[w.mount_path].used - w.size} bytes are in the way"
        for w in blocked
    ]
    denied = [] if may_grow else [w for w in other if have[w.mount_path].size < w.size]
    faults += [
        f"{w.mount_path} stays at {have[w.mount_path].size} bytes: there is no memory for {w.size}" for w in denied
    ]
    faults += [f"{path} is on disk: the memory did not suffice when the pod was started" for path in on_disk]
    reason = (
        Reason.TMPFS_ON_DISK
        if on_disk
        else Reason.TMPFS_IN_USE
        if blocked
        else Reason.INSUFFICIENT_MEMORY
        if denied
        else Reason.MOUNT_DIFFERS
        if faults
        else Reason.MOUNTS_VERIFIED
    )
    # One that is in the way holds back the others: the pod gets all of its sizes or none.
    changes = [f"{w.mount_path} {have[w.mount_path].size} -> {w.size}" for w in other]
    resize = "" if blocked or denied else ", ".join(changes)
    if resize:
        reason, faults = Reason.MOUNT_RESIZED, [*faults, f"is being resized: {resize}"]
    said = "; ".join(faults) or f"{len(wanted)} tmpfs mounts are as wanted in the running container"
    conditions = [Condition(Type.TMPFS_ENFORCED, not faults, reason, said)]
    conditions += _filling(service, found, policies)
    return MountReport(tuple(conditions), resize, _status(service, wanted, have, on_disk, policies))


def _filling(
    service: XnaiService, found: tuple[ObservedMount, ...], policies: tuple[TmpfsPolicy, ...]
) -> list[Condition]:
    """What fills is told before it is full."""
    full, told = False, []
    for mount in found:
        policy = policy_of(service, mount.mount_path, policies)
        pressure = policy.spec.thresholds if policy is not None else FillThresholds()
        bytes_used = 100 * mount.used // max(mount.size, 1)
        inodes_used = 100 * mount.inodes_used // max(mount.inodes, 1)
        fill = max(bytes_used, inodes_used)
        full |= fill >= pressure.full_percent
        if fill >= pressure.alert_percent:
            # In fives: a status is not written for every byte.
            told.append(
                f"{mount.mount_path}: {bytes_used // 5 * 5} % of {mount.size} bytes and "
                f"{inodes_used // 5 * 5} % of {mount.inodes} inodes are in use"
            )
    reason = Reason.TMPFS_FULL if full else Reason.TMPFS_FILLING
    return [Condition(Type.TMPFS_FULL, full, reason, "; ".join(told))] if told else []


def _status(
    service: XnaiService,
    wanted: tuple[TmpfsDirectory, ...],
    have: dict[str, ObservedMount],
    on_disk: list[str],
    policies: tuple[TmpfsPolicy, ...],
) -> list[dict[str, Any]]:
    before = {entry["mountPath"]: entry for entry in service.status.get("tmpfs", [])}
    # What is on disk now will be in memory again, with its mark.
    entries = [before[path] for path in on_disk if path in before]
    for directory in wanted:
        path = directory.mount_path
        if path not in have:
            continue
        mark = mount_high_water(int(before.get(path, {}).get("highWaterBytes", 0)), have[path].used)
        entry: dict[str, Any] = {"mountPath": path, "sizeBytes": have[path].size, "highWaterBytes": mark}
        policy = policy_of(service, path, policies)
        sizing = policy.spec.sizing if policy is not None else Sizing()
        if sizing.mode != "Off" and mark:
            entry["recommendedBytes"] = recommended(mark, sizing)
            entry["recommendation"] = f"1.5 x the {mark} bytes that were in use, between {sizing.min} and {sizing.max}"
        entries.append(entry)
    return sorted(entries, key=lambda entry: str(entry["mountPath"]))
