"""What is to be done and said about the tmpfs mounts of a running pod, from what was seen in the container."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from xnai_operator.api.conditions import Condition, Reason, Type
from xnai_operator.api.resources import TmpfsPolicy, XnaiService
from xnai_operator.api.tmpfspolicy import Sizing
from xnai_operator.plan.observed import ObservedMount
from xnai_operator.plan.verify import differences
from xnai_operator.render.pod import TmpfsDirectory
from xnai_operator.tmpfs.mounts import policy_of
from xnai_operator.tmpfs.sizing import FULL, high_water, recommended


@dataclass(frozen=True)
class Findings:
    """`resize`: what to say of the sizes to be changed now; empty when none is. `status`: the field `tmpfs`."""

    conditions: tuple[Condition, ...]
    resize: str
    status: list[dict[str, Any]]


def look(
    service: XnaiService,
    wanted: tuple[TmpfsDirectory, ...],
    found: tuple[ObservedMount, ...],
    policies: Iterable[TmpfsPolicy],
    on_disk: Iterable[str] = (),
) -> Findings:
    """Sizes that can be changed are; a mount is never made smaller than what is in it."""
    on_disk = sorted(on_disk)
    have = {mount.mount_path: mount for mount in found}
    other = [w for w in wanted if w.mount_path in have and have[w.mount_path].size != w.size]
    blocked = [w for w in other if have[w.mount_path].used > w.size]
    faults = [fault for fault in differences(wanted, found) if " has size " not in fault]
    faults += [
        f"{w.mount_path} cannot shrink to {w.size} bytes: {have[w.mount_path].used - w.size} bytes are in the way"
        for w in blocked
    ]
    faults += [f"{path} is on disk: the memory did not suffice when the pod was started" for path in on_disk]
    reason = (
        Reason.TMPFS_ON_DISK
        if on_disk
        else Reason.TMPFS_IN_USE
        if blocked
        else Reason.MOUNT_DIFFERS
        if faults
        else Reason.MOUNTS_VERIFIED
    )
    # One that is in the way holds back the others: the pod gets all of its sizes or none.
    resize = "" if blocked else ", ".join(f"{w.mount_path} {have[w.mount_path].size} -> {w.size}" for w in other)
    said = "; ".join(faults) or f"{len(wanted)} tmpfs mounts are as wanted in the running container"
    conditions = [Condition(Type.TMPFS_ENFORCED, not (faults or resize), reason, said)]
    full = [text for mount in found if (text := _full(mount))]
    if full:
        conditions.append(Condition(Type.TMPFS_FULL, True, Reason.TMPFS_FULL, "; ".join(full)))
    return Findings(tuple(conditions), resize, _status(service, wanted, have, tuple(policies)))


def _full(mount: ObservedMount) -> str:
    bytes_full = mount.used >= FULL * mount.size
    inodes_full = mount.inodes > 0 and mount.inodes_used >= FULL * mount.inodes
    if not (bytes_full or inodes_full):
        return ""
    return (
        f"{mount.mount_path}: {mount.used} of {mount.size} bytes, {mount.inodes_used} of {mount.inodes} inodes in use"
    )


def _status(
    service: XnaiService,
    wanted: tuple[TmpfsDirectory, ...],
    have: dict[str, ObservedMount],
    policies: tuple[TmpfsPolicy, ...],
) -> list[dict[str, Any]]:
    before = {entry["mountPath"]: entry for entry in service.status.get("tmpfs", [])}
    entries = []
    for directory in wanted:
        path = directory.mount_path
        if path not in have:
            continue
        mark = high_water(int(before.get(path, {}).get("highWaterBytes", 0)), have[path].used)
        entry: dict[str, Any] = {"mountPath": path, "sizeBytes": have[path].size, "highWaterBytes": mark}
        policy = policy_of(service, path, policies)
        sizing = policy.spec.sizing if policy is not None else Sizing()
        if sizing.mode != "Off" and mark:
            entry["recommendedBytes"] = recommended(mark, sizing)
            entry["recommendation"] = f"1.5 x the {mark} bytes that were in use, between {sizing.min} and {sizing.max}"
        entries.append(entry)
    return entries
