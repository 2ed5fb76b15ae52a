"""A back end in memory, for tests of the layers above. It passes the same contract tests as the real one."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

from xnai_operator.api.conditions import Reason
from xnai_operator.api.host_ports import HostPort
from xnai_operator.api.images import image_id
from xnai_operator.backends.base import ExecResult, nothing
from xnai_operator.errors import BackendError
from xnai_operator.health.probe import ProbeRequest, ProbeResult
from xnai_operator.memory.allocation import Allocation
from xnai_operator.plan.observed import Observed, ObservedMount, ObservedPod, Usage
from xnai_operator.render import names
from xnai_operator.render.digest import sections_from_text
from xnai_operator.render.pod import RenderedPod
from xnai_operator.render.variant import Variant


class FakeBackend:
    """Both parts of a back end. `images` as in Observed. Tests read `starts` and `stops`, and set `failures` (pod name
    -> error of the next start) and `unhealthy` (pod names whose probes and commands fail)."""

    def __init__(self, images: dict[str, str]) -> None:
        self.images = dict(images)
        self.failures: dict[str, BackendError] = {}
        self.unhealthy: set[str] = set()
        self.starts: list[str] = []
        self.stops: list[str] = []
        self.hold: asyncio.Event | None = None
        """Stops wait for it."""
        self.init: asyncio.Event | None = None
        """Init containers wait for it."""
        self.resizes: list[str] = []
        self.told: dict[str, int] = {}
        """Pod name -> the step it was told last."""
        self.memory_used: dict[str, int] = {}
        """Pod name -> bytes its processes use."""
        self.ingress: dict[str, set[str]] = {}
        """Pod name -> pods that may connect to it."""
        self.used: dict[str, int] = {}
        """Mount path -> bytes in use."""
        self._pods: dict[str, ObservedPod] = {}
        self._volumes: set[str] = set()
        self._rendered: dict[str, RenderedPod] = {}
        self._pids = itertools.count(1000)
        self._change = asyncio.Condition()

    @property
    def runtime(self) -> "FakeBackend":
        """See Backend."""
        return self

    @property
    def node_agent(self) -> "FakeBackend":
        """See Backend."""
        return self

    async def observe(self) -> Observed:
        """See Runtime."""
        return Observed(dict(self._pods), dict(self.images), frozenset(self._volumes), runtime="fake 1")

    async def start(self, pod: RenderedPod, connected: Callable[[], Awaitable[None]] = nothing) -> None:
        """See Runtime."""
        for name in (pod.image, *pod.init_images):
            if image_id(self.images, name) is None:
                raise BackendError(Reason.IMAGE_MISSING, f"{name} is not on this machine")
        image = image_id(self.images, pod.image) or ""
        for volume in pod.volumes:
            if not volume.owned and volume.name not in self._volumes:
                raise BackendError(Reason.VOLUME_MISSING, f"volume {volume.name} is not there yet")
        self._pods.pop(pod.name, None)
        if pod.name in self.failures:
            raise self.failures.pop(pod.name)
        self._volumes |= {volume.name for volume in pod.volumes}
        pid, labels = next(self._pids), pod.document["metadata"]["labels"]
        started = ObservedPod(
            name=pod.name,
            namespace=pod.namespace,
            service=pod.service,
            uid=pod.uid,
            hash=pod.hash,
            running=True,
            pid=pid,
            network_pid=pid,
            started_at=float(pid),
            image_id=image,
            ports=frozenset(_ports(pod)),
            sections=sections_from_text(labels[names.LABEL_SECTIONS]),
            variant=Variant.from_text(labels.get(names.LABEL_VARIANT, "")),
            allocation=Allocation.from_text(labels[names.LABEL_ALLOCATION])
            if names.LABEL_ALLOCATION in labels
            else None,
        )
        self._rendered[pod.name] = pod
        init = [
            container["name"].removeprefix(names.INIT) for container in pod.document["spec"].get("initContainers", [])
        ]
        initialising = replace(started, running=False, pid=0, started_at=0.0, init_container=init[0] if init else "")
        self._pods[pod.name] = initialising
        await connected()
        if init and self.init is not None:
            await self._changed()
            await self.init.wait()
        self._pods[pod.name] = started
        self.starts.append(pod.name)
        await self._changed()

    async def stop(self, name: str, grace_seconds: int) -> None:
        """See Runtime."""
        if self.hold is not None:
            await self.hold.wait()
        self._pods.pop(name, None)
        self.stops.append(name)
        await self._changed()

    async def exit(self, name: str, code: int, seconds: float) -> None:
        """The container of a pod ends by itself, `seconds` after it started."""
        pod = self._pods[name]
        self._pods[name] = replace(
            pod, running=False, pid=0, network_pid=0, exit_code=code, finished_at=pod.started_at + seconds
        )
        await self._changed()

    async def mounts(self, pod: ObservedPod) -> list[ObservedMount]:
        """See NodeAgent."""
        return [
            ObservedMount(
                mount_path=tmpfs.mount_path,
                filesystem="tmpfs",
                size=tmpfs.size,
                used=self.used.get(tmpfs.mount_path, 0),
                mode=tmpfs.mode,
                uid=tmpfs.uid,
                gid=tmpfs.gid,
                flags=frozenset({"nosuid", "nodev"} | (set() if tmpfs.exec else {"noexec"})),
            )
            for tmpfs in self._rendered[pod.name].tmpfs
        ]

    async def resize(self, pod: RenderedPod) -> None:
        """See NodeAgent."""
        self.resizes.append(pod.name)
        self._rendered[pod.name] = pod

    async def signal_pressure(self, name: str, step: int) -> None:
        """See NodeAgent."""
        if name in self._rendered and self._rendered[name].signal is not None:
            self.told[name] = step

    async def allow_ingress_from(self, pod: ObservedPod, clients: list[ObservedPod]) -> None:
        """See NodeAgent."""
        self.ingress[pod.name] = {client.name for client in clients}

    async def usage(self, pod: ObservedPod) -> Usage:
        """See NodeAgent."""
        return Usage(self.memory_used.get(pod.name, 0), 0, sum(tmpfs.size for tmpfs in self._rendered[pod.name].tmpfs))

    async def probe(self, pod: ObservedPod, request: ProbeRequest) -> ProbeResult:
        """See NodeAgent."""
        healthy = pod.name not in self.unhealthy
        return ProbeResult(healthy, "answered" if healthy else "did not answer")

    async def logs(self, name: str, tail: int, init: str | None = None) -> str:
        """See Runtime."""
        if name not in self._pods:
            raise BackendError(Reason.POD_MISSING, f"there is no container {name}-{names.CONTAINER}")
        return ""

    async def exec(self, pod: ObservedPod, command: tuple[str, ...], timeout_seconds: float) -> ExecResult:
        """See Runtime."""
        if pod.name not in self._pods:
            raise BackendError(Reason.POD_MISSING, f"there is no container {pod.name}-{names.CONTAINER}")
        return ExecResult(exit_code=1 if pod.name in self.unhealthy else 0, output="")

    async def changes(self) -> AsyncIterator[None]:
        """See Runtime."""
        yield
        while True:
            async with self._change:
                await self._change.wait()
            yield

    async def _changed(self) -> None:
        async with self._change:
            self._change.notify_all()

    async def sweep(self, keep: set[str]) -> list[str]:
        """See NodeAgent."""
        return []

    async def close(self) -> None:
        """See Runtime."""


def _ports(pod: RenderedPod) -> list[HostPort]:
    containers = pod.document["spec"]["containers"]
    published = [port for container in containers for port in container.get("ports", []) if "hostPort" in port]
    return [HostPort(port["hostIP"], port["hostPort"], port["protocol"]) for port in published]
