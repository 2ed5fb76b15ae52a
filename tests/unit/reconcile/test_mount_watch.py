"""Mounts are read beside pods that end."""

from typing import Any

import pytest

from xnai_operator.api.conditions import Reason
from xnai_operator.errors import BackendError
from xnai_operator.plan.observed import ObservedMount, ObservedPod
from xnai_operator.reconcile.mount_watch import MountWatch

MOUNT = ObservedMount(
    mount_path="/tmp", filesystem="tmpfs", size=4096, used=0, mode="1777", uid=0, gid=0, flags=frozenset()
)


def pod(name: str) -> ObservedPod:
    return ObservedPod(name=name, namespace="default", service=name, uid="u", hash="h", running=True, pid=7)


class NodeAgent:
    """Reads the mounts of every pod but `failing`."""

    def __init__(self, failing: str, reason: Reason) -> None:
        self.failing = failing
        self.reason = reason

    async def mounts(self, pod: ObservedPod) -> list[ObservedMount]:
        if pod.name == self.failing:
            raise BackendError(self.reason, "cannot be read")
        return [MOUNT]


async def test_a_pod_that_ended_hides_no_other_mounts() -> None:
    agent: Any = NodeAgent("ended", Reason.POD_MISSING)
    watch = MountWatch(agent)
    assert await watch.read([pod("ended"), pod("runs")]) is True
    assert (watch.known(pod("ended")), watch.known(pod("runs"))) == ((), (MOUNT,))


async def test_a_helper_that_fails_is_an_error() -> None:
    agent: Any = NodeAgent("runs", Reason.HELPER_FAILED)
    with pytest.raises(BackendError, match="cannot be read"):
        await MountWatch(agent).read([pod("runs")])
