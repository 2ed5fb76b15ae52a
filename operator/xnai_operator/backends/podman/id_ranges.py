"""User namespaces: which ids of Podman's own namespace are a pod's, where its mounts are made before it starts.

A range is (first id in the pod, first id outside, how many), as a line of /proc/PID/uid_map.
"""

import zlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from xnai_operator.api.conditions import Reason
from xnai_operator.errors import BackendError
from xnai_operator.render import names
from xnai_operator.render.pod import FileDirectory, RenderedPod, TmpfsDirectory
from xnai_operator.render.security import USERNS_ANNOTATION

Range = tuple[int, int, int]
D = TypeVar("D", TmpfsDirectory, FileDirectory)

IDS: Final = 65536
"""What useradd gives each user for containers (SUB_UID_COUNT)."""
NOBODY: Final = 65534
LOW: Final = 1024
"""The ids below belong to files of images and are all mapped; of those above it nobody and those the service names."""
SIZE: Final = 1280
RANGES: Final[Sequence[int]] = range(16384, 64000, SIZE)
"""Where the ids of Auto begin, outside: above what services that share Podman's namespace run as, and below nobody."""


def choose(name: str, taken: Collection[int], own: Collection[int] = ()) -> int:
    """The begin of the range in which no id is `taken`: the one with ids of the pod's `own` volumes, as what it left
    there may be copied with its owners; else at every start the same unless another has it, as Podman keeps a copy of
    the image for each. Raises BackendError when none is left."""
    first = zlib.crc32(name.encode()) % len(RANGES)
    free = [begin for begin in (*RANGES[first:], *RANGES[:first]) if not _any_within(taken, begin)]
    if not free:
        raise BackendError(
            Reason.START_FAILED,
            f"all {len(RANGES)} ranges of ids for userNamespace Auto are in use by pods and volumes; delete volumes "
            "that are not needed, or let a service share (Shared)",
        )
    return next((begin for begin in free if _any_within(own, begin)), free[0])


def _any_within(numbers: Collection[int], begin: int) -> bool:
    return any(begin <= number < begin + SIZE for number in numbers)


def placed(pod: RenderedPod, begin: int = 0) -> RenderedPod:
    """The pod with its owners as Podman's own namespace counts them. `begin`: of the range of an Auto pod.

    Podman is told that range: one of its own choice nobody knows before the container exists, begins where services
    that share its namespace have their ids, and is not to be had beside a KeepId pod, which takes all ids.
    """
    security = pod.security
    if security.user_namespace == "Shared":
        return pod
    if security.user_namespace == "KeepId":
        return _owned(pod, _kept(security.run_as_user), _kept(security.run_as_group))
    ids = {security.run_as_user, security.run_as_group}
    ids |= {number for tmpfs in pod.tmpfs for number in (tmpfs.uid, tmpfs.gid)}
    ranges = _apart(ids, begin)
    maps = [f"{kind}mapping={inside}:{out}:{many}" for kind in ("uid", "gid") for inside, out, many in ranges]
    metadata: dict[str, Any] = pod.document["metadata"]
    # Of so many ids, counted from 0, Podman chooses those that are not given: of one none, without a size of 1024.
    metadata = {
        **metadata,
        "labels": {**metadata["labels"], names.LABEL_IDS: str(begin)},
        "annotations": {**metadata["annotations"], USERNS_ANNOTATION: ",".join(["auto:size=1", *maps])},
    }
    return replace(_owned(pod, ranges, ranges), document={**pod.document, "metadata": metadata})


def _owned(pod: RenderedPod, uids: tuple[Range, ...], gids: tuple[Range, ...]) -> RenderedPod:
    def moved(directory: D) -> D:
        return replace(directory, uid=_outside(directory.uid, uids), gid=_outside(directory.gid, gids))

    return replace(pod, tmpfs=tuple(map(moved, pod.tmpfs)), files=tuple(map(moved, pod.files)))


def _outside(number: int, ranges: tuple[Range, ...]) -> int:
    return next(out + number - inside for inside, out, many in ranges if inside <= number < inside + many)


def _kept(own: int) -> tuple[Range, ...]:
    """keep-id gives the pod's user the place of Podman's root and moves those below it up by one (podman-run(1))."""
    return (0, 1, own), (own, 0, 1), (own + 1, own + 1, IDS - own)


def _apart(ids: Collection[int], begin: int) -> tuple[Range, ...]:
    above = sorted(number for number in {*ids, NOBODY} if number >= LOW)
    if len(above) > SIZE - LOW:
        message = f"userNamespace Auto has room for {SIZE - LOW} owners from {LOW} on, not for {len(above)}"
        raise BackendError(Reason.SPEC_INVALID, message)
    return (0, begin, LOW), *((number, begin + LOW + index, 1) for index, number in enumerate(above))
