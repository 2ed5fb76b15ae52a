"""User namespaces: which ids of Podman's own namespace are a pod's, where its mounts are made before it starts.

A range is (first id in the pod, first id outside, how many), as a line of /proc/PID/uid_map.
"""

import asyncio
import json
import zlib
from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Final, TypeVar

from xnai_operator.api.conditions import Reason
from xnai_operator.backends.podman.helper import protocol
from xnai_operator.backends.podman.helper_client import HelperClient
from xnai_operator.backends.podman.transport import Transport
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


class IdRanges:
    """The ranges of the pods that have ids of their own (userNamespace Auto)."""

    def __init__(self, transport: Transport, helper: HelperClient) -> None:
        self._transport = transport
        self._helper = helper
        self._chosen: dict[str, int] = {}

    async def place(self, pod: RenderedPod) -> RenderedPod:
        """The pod with its owners as they are where its mounts are made. An Auto pod gets a range of ids that no other
        pod has, nor a volume of a pod that does not run. Raises BackendError when none is left."""
        if pod.security.user_namespace != "Auto":
            return placed(pod)
        labelled = {"filters": json.dumps({"label": [names.LABEL_IDS]})}
        pods, volumes = await asyncio.gather(
            self._transport.call("GET", "/pods/json", params=labelled), self._transport.call("GET", "/volumes/json")
        )
        paths: dict[bool, list[str]] = {True: [], False: []}
        for volume in volumes or []:
            paths[volume["Name"].startswith(f"{pod.name}.")].append(volume["Mountpoint"])
        own = (await self._helper.call(protocol.OWNERS, protocol.Owners(paths=paths[True])))["uids"]
        taken = set((await self._helper.call(protocol.OWNERS, protocol.Owners(paths=paths[False])))["uids"])
        taken |= {int(each["Labels"][names.LABEL_IDS]) for each in pods or [] if each["Name"] != pod.name}
        # Nothing is awaited from here to the choice: starts go side by side, and Podman does not list them all yet.
        taken |= {begin for name, begin in self._chosen.items() if name != pod.name}
        self._chosen[pod.name] = choose(pod.name, taken, own)
        return placed(pod, self._chosen[pod.name])

    def release(self, name: str) -> None:
        """The pod of the name is gone."""
        self._chosen.pop(name, None)


def choose(name: str, taken: Collection[int], own: Collection[int] = ()) -> int:
    """The first id of a range in which no id is `taken`. Prefers the range that owns the pod's volumes (`own`: their
    owners); otherwise always the same one for a name, because Podman copies the image once per range. Raises
    BackendError when none is left."""
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

    We choose the range. Podman's own choice is unknown before the start, overlaps the ids of Shared services, and fails
    while a KeepId pod runs, which takes all ids.
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
    # `size=1` keeps Podman from adding ids of its own; without it, it adds 1024.
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
