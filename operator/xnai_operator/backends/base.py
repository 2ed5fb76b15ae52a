"""What the engine asks of a runtime. Every call returns soon: a start is begun, not awaited until ready."""

from collections.abc import AsyncIterator
from typing import Protocol

from xnai_operator.health.probe import ProbeRequest, ProbeResult
from xnai_operator.plan.observed import Observed, ObservedMount, ObservedPod, Usage
from xnai_operator.render.pod import RenderedPod

__all__ = ["Backend", "Observed", "ObservedMount", "ObservedPod", "Usage"]


class Backend(Protocol):
    """A runtime. Every method raises BackendError when the runtime fails, with what to do in the message."""

    async def observe(self) -> Observed:
        """All pods of ours, images and volumes, in a few milliseconds."""

    async def start(self, pod: RenderedPod) -> None:
        """Make ready what the pod needs and start it. An older pod of the name is removed first; after a failure
        nothing of the pod is left but its persistent volumes."""

    async def stop(self, name: str, grace_seconds: int) -> None:
        """Remove the pod and its tmpfs and file directories. Persistent volumes stay. No error when it is gone."""

    async def mounts(self, pod: ObservedPod) -> list[ObservedMount]:
        """The tmpfs mounts of the running container, read there."""

    async def resize(self, pod: RenderedPod) -> None:
        """Give the tmpfs mounts of the running pod the sizes of `pod`, with what is in them."""

    async def signal_pressure(self, name: str, step: int) -> None:
        """Let the pod read the step of the pressure ladder it is to follow. Nothing when it takes no such signal."""

    async def allow_ingress_from(self, pod: ObservedPod, clients: list[ObservedPod]) -> None:
        """From now on only these pods may open connections to the pod, and who uses its published ports."""

    async def usage(self, pod: ObservedPod) -> Usage:
        """Memory and tmpfs in use now."""

    async def probe(self, pod: ObservedPod, request: ProbeRequest) -> ProbeResult:
        """Run one probe in the pod's network namespace (or the command in its container)."""

    async def logs(self, name: str, tail: int) -> str:
        """The last `tail` lines of the service's output."""

    def changes(self) -> AsyncIterator[None]:
        """One item when watching has begun and one whenever a container started or ended. Raises when it breaks."""

    async def sweep(self, keep: set[str]) -> list[str]:
        """Remove tmpfs and file directories of pods not in `keep` (by pod name), and volumes that stood for a tmpfs and
        that no pod has any more; what was removed."""

    async def close(self) -> None:
        """Release connections and helper processes. Pods stay."""
