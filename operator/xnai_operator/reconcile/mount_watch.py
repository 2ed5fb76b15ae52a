"""The tmpfs mounts of running containers, and how full they are."""

import contextlib
from collections.abc import Iterable

from xnai_operator.api.conditions import Reason
from xnai_operator.backends.base import NodeAgent
from xnai_operator.errors import BackendError
from xnai_operator.plan.observed import ContainerRun, Observed, ObservedMount, ObservedPod


class MountWatch:
    """Remembers the mounts of each container run until they are read again."""

    def __init__(self, node_agent: NodeAgent) -> None:
        self._node_agent = node_agent
        self._known: dict[ContainerRun, tuple[ObservedMount, ...]] = {}

    async def of(self, observed: Observed) -> dict[str, tuple[ObservedMount, ...]]:
        """Pod name -> its mounts, of all running pods; read where they are not known yet."""
        running = {pod.run: pod for pod in observed.pods.values() if pod.running}
        self._known = {run: mounts for run, mounts in self._known.items() if run in running}
        for run, pod in running.items():
            if run not in self._known:
                with contextlib.suppress(BackendError):  # the container ended a moment ago
                    self._known[run] = tuple(await self._node_agent.mounts(pod))
        return {run.pod: mounts for run, mounts in self._known.items()}

    def forget(self, pod: str) -> None:
        """The mounts of this pod have changed."""
        self._known = {run: mounts for run, mounts in self._known.items() if run.pod != pod}

    async def read(self, pods: Iterable[ObservedPod]) -> bool:
        """Read the mounts of all running pods. Whether something changed that a pass acts on or reports. Raises
        BackendError."""
        changed = False
        for pod in [pod for pod in pods if pod.running]:
            before = self._known.get(pod.run, ())
            try:
                self._known[pod.run] = tuple(await self._node_agent.mounts(pod))
            except BackendError as error:
                # The container ended a moment ago; the runtime tells of it.
                if error.reason is Reason.POD_MISSING:
                    continue
                raise
            changed |= [_significant(mount) for mount in self._known[pod.run]] != [_significant(m) for m in before]
        return changed

    def known(self, pod: ObservedPod) -> tuple[ObservedMount, ...]:
        """The mounts of the pod as last read."""
        return self._known.get(pod.run, ())


def _significant(mount: ObservedMount) -> tuple[object, ...]:
    """The fields of a mount that are worth a pass; of the bytes and inodes in use the twentieths."""
    twentieths = (mount.used * 20 // max(mount.size, 1), mount.inodes_used * 20 // max(mount.inodes, 1))
    return (mount.mount_path, mount.size, mount.mode, mount.uid, mount.gid, mount.flags, *twentieths)
