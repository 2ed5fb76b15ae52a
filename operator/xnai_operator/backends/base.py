"""What the engine asks of a back end, in two parts: `Runtime`, which every back end has, and `NodeAgent`, which a
Kubernetes cluster does not have."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol

from xnai_operator.health.probe import ProbeRequest, ProbeResult
from xnai_operator.plan.observed import Observed, ObservedMount, ObservedPod, Usage
from xnai_operator.render.pod import RenderedPod

__all__ = ["Backend", "ExecResult", "NodeAgent", "Observed", "ObservedMount", "ObservedPod", "Runtime", "Usage"]


@dataclass(frozen=True, kw_only=True)
class ExecResult:
    """`exit_code`: None when the command did not end in time. `output`: standard output and error, mixed."""

    exit_code: int | None
    output: str


async def nothing() -> None:
    """Waits for nothing."""


class Runtime(Protocol):
    """Runs pods. Every method raises BackendError when the runtime fails, with what to do in the message. A start is
    begun, not awaited until the pod is ready."""

    async def observe(self) -> Observed:
        """All pods of ours, images and volumes, in a few milliseconds."""

    async def start(self, pod: RenderedPod, connected: Callable[[], Awaitable[None]] = nothing) -> None:
        """Prepare what the pod needs, run its init containers one after another, and start the service's container.

        `connected` is awaited when the pod's network exists, before the first container of the service runs. An older
        pod of the name is removed first; after a failure nothing of the pod is left but its persistent volumes. A start
        may be cancelled from then on, and the pod is to be stopped or started anew."""

    async def stop(self, name: str, grace_seconds: int) -> None:
        """Remove the pod and its tmpfs and file directories. Persistent volumes stay. No error when it is gone."""

    async def logs(self, name: str, tail: int, init: str | None = None) -> str:
        """The last `tail` lines of the output of the service, or of its init container `init`."""

    async def exec(self, pod: ObservedPod, command: tuple[str, ...], timeout_seconds: float) -> ExecResult:
        """Run a command in the service's container."""

    def changes(self) -> AsyncIterator[None]:
        """One item when watching has begun and one whenever a container started or ended. Raises when it breaks."""

    async def close(self) -> None:
        """Release connections and helper processes. Pods stay."""


class NodeAgent(Protocol):
    """Acts on the pods of this node. Every method raises BackendError, with what to do in the message."""

    async def mounts(self, pod: ObservedPod) -> list[ObservedMount]:
        """The tmpfs mounts of the running container, read there."""

    async def resize(self, pod: RenderedPod) -> None:
        """Give the tmpfs mounts of the running pod the sizes of `pod`; their content stays."""

    async def signal_pressure(self, name: str, step: int) -> None:
        """Write the step of the pressure ladder that the pod follows. Nothing when the pod takes no such signal."""

    async def allow_ingress_from(self, pod: ObservedPod, clients: list[ObservedPod]) -> None:
        """Allow new connections only from these pods and through published ports."""

    async def usage(self, pod: ObservedPod) -> Usage:
        """Memory and tmpfs in use now."""

    async def probe(self, pod: ObservedPod, request: ProbeRequest) -> ProbeResult:
        """Run one probe in the pod's network namespace (or the command in its container)."""

    async def sweep(self, keep: set[str]) -> list[str]:
        """Remove tmpfs and file directories of pods not in `keep` (by pod name), volumes that stood for a tmpfs and
        that no pod has, and networks of namespaces without a pod. Returns what was removed."""


class Backend(Protocol):
    """Both parts, which may share connections; `runtime.close` releases them."""

    @property
    def runtime(self) -> Runtime:
        """Runs pods."""

    @property
    def node_agent(self) -> NodeAgent:
        """Acts on the pods of this node."""
