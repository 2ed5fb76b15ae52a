"""The engine: one pass over the whole node at a time, whenever something marked it dirty.

gather -> decide -> act -> report. A pass starts actions and returns; the next one sees how far they came. The watches
run beside the passes and mark the node dirty when they see something that a pass acts on or reports.
"""

import asyncio
import contextlib
import platform
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from xnai_operator.api.conditions import Reason
from xnai_operator.api.host_ports import HostPort
from xnai_operator.backends.base import Backend
from xnai_operator.errors import BackendError
from xnai_operator.health.readiness import ProbeState
from xnai_operator.host import required
from xnai_operator.kube.cache import ObjectCache
from xnai_operator.memory.ladder import Step
from xnai_operator.metrics.prometheus import Metrics
from xnai_operator.models.fetch import ModelFetcher
from xnai_operator.models.folder import ModelFolder
from xnai_operator.plan.decide import decide
from xnai_operator.plan.observed import Observed, ObservedPod
from xnai_operator.plan.types import Action, Node, Plan, Resize, Start
from xnai_operator.reconcile.executor import Executor
from xnai_operator.reconcile.gather import Gatherer
from xnai_operator.reconcile.memory_watch import MemoryWatch
from xnai_operator.reconcile.mount_watch import MountWatch
from xnai_operator.reconcile.pod_sync import PodSync
from xnai_operator.reconcile.prober import Prober
from xnai_operator.reconcile.record import Outcome, Record
from xnai_operator.reconcile.reporter import Api, Reporter

log = structlog.get_logger()

RESYNC_SECONDS: Final = 60.0
"""The node is looked at this often even if nobody reported a change."""
MOUNT_SECONDS: Final = 5.0
"""How often the fill of tmpfs mounts is read: 2 ms a pod."""
USED_SECONDS: Final = 60.0
"""How old a reading of what pods use may be."""
MEMORY_SECONDS: Final = 1.0
"""How often the machine's memory is read: a pod can grow by 80 MiB in it; a reading takes 0.1 ms."""


@dataclass(frozen=True, kw_only=True)
class Connections:
    """What the engine works on. `clock` gives seconds since the epoch. `port_faults` and `path_faults`:
    as in Gatherer."""

    cache: ObjectCache
    backend: Backend
    api: Api
    node: Node
    memory: MemoryWatch
    metrics: Metrics
    clock: Callable[[], float]
    port_faults: Callable[[Iterable[HostPort]], Mapping[HostPort, str]] = required.port_faults
    path_faults: Callable[[Iterable[str]], Mapping[str, str]] = required.path_faults


class Engine:
    """Drives the back end towards the resources in the cache."""

    def __init__(self, connections: Connections) -> None:
        self._runtime = connections.backend.runtime
        self._node_agent = connections.backend.node_agent
        self._memory = connections.memory
        self._metrics = connections.metrics
        self._clock = connections.clock
        self._models = ModelFolder(Path(connections.node.models_dir), self._digest_known)
        self._fetcher = ModelFetcher(Path(connections.node.models_dir), self.mark_dirty)
        self._mounts = MountWatch(self._node_agent)
        self._sync = PodSync(self._node_agent)
        self._reporter = Reporter(connections.api, connections.cache, connections.metrics, connections.clock)
        self._executor = Executor(connections.backend, self._reporter, self._connected, self._action_ended)
        self._prober = Prober(
            services=connections.cache.service,
            probe=self._node_agent.probe,
            clock=self._clock,
            changed=self.mark_dirty,
        )
        self._gatherer = Gatherer(connections.cache, self._runtime, connections.node, self._models, self._mounts)
        self._gatherer.port_faults = connections.port_faults
        self._gatherer.path_faults = connections.path_faults
        self._gatherer.fetches = self._fetcher.want
        self._gatherer.verify = self._models.verify
        self._gatherer.busy = lambda: self._executor.busy
        self._gatherer.probes = self._probe_states
        self._gatherer.pressure = lambda: self._memory.facts(self._used)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._dirty = asyncio.Event()
        self._dirty.set()
        self._pods: Mapping[str, ObservedPod] = {}
        self._ingress: Mapping[str, frozenset[str]] = {}
        self._used: dict[str, int] = {}
        self._used_at = 0.0
        self._swept_at = 0.0
        self._wake_at: float | None = None
        self.first_pass_done = asyncio.Event()
        """Set after the first pass: from then on every status is true."""

    def _digest_known(self) -> None:
        """Called by the thread that computes digests."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self.mark_dirty)

    def mark_dirty(self) -> None:
        """Ask for a pass. Several calls before it begins are one."""
        self._dirty.set()

    async def run(self) -> None:
        """Pass after pass, until cancelled."""
        self._loop = asyncio.get_running_loop()
        await self.read_memory()  # the stored ladder may be old: no mitigation without a reading
        watches = (self._watch_runtime, self._prober.run, self._watch_mounts, self._watch_memory)
        beside = [asyncio.create_task(watch()) for watch in watches]
        failures = 0
        try:
            while True:
                await self._until_dirty()
                try:
                    await self.one_pass()
                except BackendError as error:
                    # Podman's list fails when a container is removed meanwhile ("no such container", 5.4 and 5.8): the
                    # first tries follow at once.
                    failures += 1
                    log.warning("pass failed", reason=error.reason.value, message=error.message)
                    await self._again_after(min(0.02 * 4**failures, 5.0))
                except Exception:
                    # A fault of ours must not end the operator: the pass is tried again, from fresh facts.
                    log.exception("pass failed")
                    await self._again_after(5.0)
                else:
                    failures = 0
                    self.first_pass_done.set()
        finally:
            self._loop = None
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await self._executor.close()
            await self._fetcher.close()

    async def _until_dirty(self) -> None:
        wait = RESYNC_SECONDS
        if self._wake_at is not None:
            wait = min(wait, max(self._wake_at - self._clock(), 0.05))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._dirty.wait(), wait)
        self._dirty.clear()

    async def _again_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        self.mark_dirty()

    async def one_pass(self) -> Plan:
        """One pass. Raises BackendError when the runtime cannot be observed; failed actions are reported."""
        connected = self._sync.connected
        facts = await self._gatherer.gather(self._swept_at)
        plan = decide(facts, self._clock())
        self._wake_at, self._pods, self._ingress = plan.wake_at, facts.observed.pods, plan.ingress
        self._metrics.pass_done(plan, facts.observed.runtime)
        # Statuses are written beside the actions: a pod need not wait for them.
        reported = asyncio.create_task(self._reporter.write(plan))
        await self._executor.begin(plan.actions, reported)
        await self._sync.apply(plan, self._pods, connected)
        await reported
        if plan.drop_caches:
            await asyncio.to_thread(self._memory.drop_caches, self._models.paths(plan.drop_caches))
        if plan.sweep:
            await self._sweep()
        return plan

    async def finished(self) -> None:
        """Until no action is under way."""
        await self._executor.finished()

    async def probe_due(self) -> None:
        """Run every probe that is due now."""
        await self._prober.probe_due()

    def _probe_states(self, observed: Observed) -> dict[str, ProbeState]:
        self._prober.observe(observed.pods.values())
        return self._prober.states()

    async def _connected(self) -> None:
        """The network of a pod that starts exists: filter it, and let its peers know it, before it sends a packet."""
        await self._sync.connect(self._ingress, self._runtime.observe)

    def _action_ended(self, action: Action, done: bool) -> None:
        if action.mitigates:
            self._memory.acted()
        if isinstance(action, Resize):
            self._mounts.forget(action.name)
        # A failed start is tried again after its stored delay; any other failed action at the next resync.
        if done or isinstance(action, Start):
            self.mark_dirty()

    async def _sweep(self) -> None:
        self._swept_at = self._clock()
        for path in await self._node_agent.sweep(set(self._pods)):
            log.info("leftover removed", path=path, reason=Reason.LEFTOVER_REMOVED.value)

    async def _watch_runtime(self) -> None:
        while True:
            try:
                async for _ in self._runtime.changes():
                    self.mark_dirty()
            except BackendError as error:
                log.warning("watching the runtime broke off", reason=error.reason.value, message=error.message)
            await asyncio.sleep(1.0)

    async def _watch_memory(self) -> None:
        while True:
            await self.read_memory()
            await asyncio.sleep(MEMORY_SECONDS)

    async def read_memory(self) -> None:
        """Read the machine's memory, report a step of the ladder, and ask for a pass."""
        before, dirty = self._memory.tick(self._pods.values())
        await self._read_used()
        step = self._memory.ladder.step
        self._metrics.memory(self._memory.reading, self._memory.ladder, entered=step is not before)
        if dirty:
            self.mark_dirty()
        if step is not before:
            await self._reporter.record(self._step_record(before, step))

    def _step_record(self, before: Step, step: Step) -> Record:
        verb = "rises" if step > before else "falls"
        return Record(
            at=self._clock(),
            kind="Node",
            namespace="default",
            name=platform.node(),
            action="watch",
            reason=Reason.PRESSURE_CHANGED,
            message=f"memory pressure {verb} from {before.word} to {step.word}: {self._memory.describe()}",
            outcome=Outcome.OBSERVED,
            warning=step > before,
        )

    async def _read_used(self) -> None:
        """The memory pods use. A reading takes a millisecond a process, so it is kept for a minute, unless the ladder
        may evict a service."""
        if self._clock() - self._used_at < USED_SECONDS and self._memory.ladder.step < Step.EVICT:
            return
        self._used_at, used = self._clock(), {}
        for pod in [pod for pod in self._pods.values() if pod.running]:
            with contextlib.suppress(BackendError):  # the container ended a moment ago
                used[pod.name] = (await self._node_agent.usage(pod)).memory
        self._used = used

    async def _watch_mounts(self) -> None:
        while True:
            await asyncio.sleep(MOUNT_SECONDS)
            try:
                await self.read_mounts()
            except BackendError as error:
                log.warning("mounts could not be read", reason=error.reason.value, message=error.message)

    async def read_mounts(self) -> None:
        """Read how full the mounts are, and ask for a pass when it acts on the change or reports it."""
        if await self._mounts.read(list(self._pods.values())):
            self.mark_dirty()
        running = [pod for pod in self._pods.values() if pod.running]
        self._metrics.memory_events((pod, self._memory.memory_events(pod)) for pod in running)
        self._metrics.mounts((pod, self._mounts.known(pod)) for pod in running)
