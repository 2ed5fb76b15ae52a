"""The engine: one pass over the whole node at a time, whenever something marked it dirty.

gather -> decide -> act -> report. A pass starts things and returns; the next one sees how far they came. Probes
run beside the passes and only mark the node dirty when a verdict changed.
"""

import asyncio
import contextlib
import platform
from collections.abc import Callable
from pathlib import Path
from typing import Any

import structlog

from xnai_operator.api.conditions import Condition, Reason, Type
from xnai_operator.api.resources import XnaiService
from xnai_operator.backends.base import Backend, ObservedMount, ObservedPod
from xnai_operator.errors import ApiError, BackendError
from xnai_operator.health import probe as probing
from xnai_operator.health import readiness
from xnai_operator.kube.cache import ObjectCache
from xnai_operator.memory.ladder import Step
from xnai_operator.metrics.prometheus import Metrics
from xnai_operator.models.folder import ModelFolder
from xnai_operator.plan import backoff
from xnai_operator.plan.decide import decide
from xnai_operator.plan.types import Action, Facts, Node, Plan, Report
from xnai_operator.reconcile.gather import desired
from xnai_operator.reconcile.memory_watch import MemoryWatch
from xnai_operator.reconcile.writer import Api, event_for, status_for
from xnai_operator.render.pod import RenderedPod

log = structlog.get_logger()

RESYNC_SECONDS = 60.0
"""The node is looked at this often even if nobody reported a change."""

MOUNT_SECONDS = 5.0
"""How often the fill of tmpfs mounts is read: 2 ms a pod."""

USED_SECONDS = 60.0
"""How old a reading of what pods use may be."""

MEMORY_SECONDS = 1.0
"""How often the machine's memory is read: a pod can grow by 80 MiB in it; a reading takes 0.1 ms."""

PROBE_TICK_SECONDS = 0.25
"""How often it is looked which probes are due."""

WARNED = frozenset({Type.TMPFS_FULL, Type.LIMIT_TIGHT})
"""Conditions that are told by an event too, once a reason: nothing is done about them."""

ContainerRun = tuple[str, int, float]
"""A container's run: pod name, process id, start time."""


class Engine:
    """Drives one backend towards what the store holds. `clock` gives seconds since the epoch."""

    def __init__(
        self,
        store: ObjectCache,
        backend: Backend,
        api: Api,
        node: Node,
        pressure: MemoryWatch,
        metrics: Metrics,
        clock: Callable[[], float],
    ) -> None:
        self.store = store
        self._backend = backend
        self._api = api
        self._node = node
        self._pressure = pressure
        self._metrics = metrics
        self._used: dict[str, int] = {}
        self._used_at = 0.0
        self._told: dict[ContainerRun, Step] = {}
        self._restricted: dict[ContainerRun, frozenset[ContainerRun]] = {}
        self._clock = clock
        self._dirty = asyncio.Event()
        self._dirty.set()
        self._probes: dict[ContainerRun, readiness.ProbeState] = {}
        self._mounts: dict[ContainerRun, tuple[ObservedMount, ...]] = {}
        self._acting: dict[str, asyncio.Task[None]] = {}
        self._began = clock()
        self._swept_at = 0.0
        self._models = ModelFolder(Path(node.installation.models_dir))
        self._plan: Plan | None = None
        self.passed = asyncio.Event()
        """Set after the first pass: from then on every status tells what is."""
        self._pods: dict[str, ObservedPod] = {}

    def mark_dirty(self) -> None:
        """Ask for a pass. Calls before it starts are one."""
        self._dirty.set()

    async def run(self) -> None:
        """Pass after pass, until cancelled."""
        await self.read_memory()  # where the ladder stood may be long ago: no measure without a reading
        beside = [
            asyncio.create_task(work())
            for work in (self._watch_runtime, self._probe_forever, self._watch_mounts, self._watch_memory)
        ]
        failures = 0
        try:
            while True:
                wait = RESYNC_SECONDS
                if self._plan is not None and self._plan.wake_at is not None:
                    wait = min(wait, max(self._plan.wake_at - self._clock(), 0.05))
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._dirty.wait(), wait)
                self._dirty.clear()
                try:
                    await self.one_pass()
                    self.passed.set()
                    failures = 0
                except BackendError as error:
                    # Podman's list fails when a container is removed meanwhile ("no such container", 5.4 and 5.8): the
                    # first tries follow at once.
                    failures += 1
                    log.warning("pass failed", reason=error.reason.value, message=error.message)
                    await asyncio.sleep(min(0.02 * 4**failures, 5.0))
                    self.mark_dirty()
                except Exception:
                    # A fault of ours must not end the operator: the pass is tried again, from fresh facts.
                    log.exception("pass failed")
                    await asyncio.sleep(5.0)
                    self.mark_dirty()
        finally:
            acting = list(self._acting.values())
            for task in [*beside, *acting]:
                task.cancel()
            await asyncio.gather(*beside, *acting, return_exceptions=True)

    async def one_pass(self) -> Plan:
        """One pass. Raises BackendError when the runtime cannot be observed; failed actions are reported."""
        facts = await self._gather()
        plan = decide(facts, self._clock())
        self._plan = plan
        self._pods = facts.observed.pods
        self._metrics.passed(plan, facts.observed.runtime)
        # What is said and what is done go side by side: a pod need not wait for a status to be written.
        reported = asyncio.create_task(self._report(plan))
        for action in plan.actions:
            # A stop takes as long as its grace: no pass waits for it, and a pod has one action at a time.
            if action.name not in self._acting:
                self._metrics.begun(action)
                self._acting[action.name] = asyncio.create_task(self._act(action, reported))
        await self._signal_pressure(plan)
        await self._allow_ingress(plan)
        await reported
        if not self._acting:
            await self._sweep(facts)
        return plan

    async def _signal_pressure(self, plan: Plan) -> None:
        """Each pod is told its step once; one that was there before this process, too."""
        running = {_run_of(pod): pod for pod in self._pods.values() if pod.running}
        self._told = {life: step for life, step in self._told.items() if life in running}
        for life, pod in running.items():
            step = plan.steps.get(pod.name, Step.NORMAL)
            if self._told.get(life) is not step:
                await self._backend.signal_pressure(pod.name, step)
                self._told[life] = step

    async def _allow_ingress(self, plan: Plan) -> None:
        """Each pod is reached by its clients only. Addresses change with every start, of the pod or of a client."""
        running = {pod.name: pod for pod in self._pods.values() if pod.running}
        lives = {_run_of(pod) for pod in running.values()}
        self._restricted = {life: known for life, known in self._restricted.items() if life in lives}
        for name, pod in running.items():
            if name not in plan.ingress:
                continue
            clients = [running[client] for client in sorted(plan.ingress[name]) if client in running]
            wanted = frozenset(_run_of(client) for client in clients)
            if self._restricted.get(_run_of(pod)) == wanted:
                continue
            try:
                await self._backend.allow_ingress_from(pod, clients)
            except BackendError as error:  # it ended a moment ago, or nft is missing: the next pass tries again
                log.warning("network not restricted", pod=name, reason=error.reason.value, message=error.message)
            else:
                self._restricted[_run_of(pod)] = wanted

    async def finished(self) -> None:
        """Until no action is under way."""
        while self._acting:
            await asyncio.gather(*self._acting.values())

    async def _sweep(self, facts: Facts) -> None:
        """Once a minute: directories of pods that somebody removed by hand hold memory."""
        if self._clock() - self._swept_at < RESYNC_SECONDS:
            return
        self._swept_at = self._clock()
        for path in await self._backend.sweep(set(facts.observed.pods)):
            log.info("leftover removed", path=path, reason=Reason.LEFTOVER_REMOVED.value)

    async def _gather(self) -> Facts:
        acting = set(self._acting)  # what ends while the runtime is observed was seen half done
        observed = await self._backend.observe()
        lives = {_run_of(pod): pod for pod in observed.pods.values() if pod.running}
        self._probes = {life: state for life, state in self._probes.items() if life in lives}
        self._mounts = {life: found for life, found in self._mounts.items() if life in lives}
        for life, pod in lives.items():
            if life not in self._mounts:
                with contextlib.suppress(BackendError):  # it ended a moment ago
                    self._mounts[life] = tuple(await self._backend.mounts(pod))
        models = await asyncio.to_thread(self._models.read)
        return Facts(
            desired=desired(self.store, models),
            observed=observed,
            node=self._node,
            probes={life[0]: state for life, state in self._probes.items()},
            mounts={life[0]: found for life, found in self._mounts.items()},
            busy=frozenset(acting | set(self._acting)),
            pressure=self._pressure.facts(self._used),
        )

    async def _read_used(self) -> None:
        """What pods use. It takes a millisecond a process, so what is known is kept for a minute, unless the ladder may
        stop one."""
        if self._clock() - self._used_at < USED_SECONDS and self._pressure.ladder.step < Step.EVICT:
            return
        self._used_at, used = self._clock(), {}
        for pod in [pod for pod in self._pods.values() if pod.running]:
            with contextlib.suppress(BackendError):  # it ended a moment ago
                used[pod.name] = (await self._backend.usage(pod)).memory
        self._used = used

    async def _act(self, action: Action, reported: asyncio.Task[None]) -> None:
        done = False
        try:
            done = await self._carry_out(action, reported)
        except Exception:
            log.exception("action failed", action=action.kind, pod=action.name)
        finally:
            del self._acting[action.name]
            # What failed is tried again, but for a start, whose delay is stored, not before the next look at the node.
            if done or action.kind == "start":
                self.mark_dirty()

    async def _carry_out(self, action: Action, reported: asyncio.Task[None]) -> bool:
        """Whether it was done."""
        log.info(action.kind, pod=action.name, reason=action.reason.value, message=action.message)
        failure: BackendError | None = None
        try:
            if action.kind == "start":
                assert action.pod is not None
                await self._backend.start(action.pod)
            elif action.kind == "resize":
                assert action.pod is not None
                await self._backend.resize(action.pod)
                self._mounts = {life: found for life, found in self._mounts.items() if life[0] != action.name}
            else:
                await self._backend.stop(action.name, action.grace_seconds)
        except BackendError as error:
            failure = error
            log.warning(
                "action failed", action=action.kind, pod=action.name, reason=error.reason.value, message=error.message
            )
        if action.relief:
            self._pressure.acted()
        await reported  # what came of it is written over what was planned
        namespace, name = action.name.split(".", 1)
        body = self.store.get("XnaiService", namespace, name)
        if body is None or (action.kind != "start" and failure is not None):
            return failure is None
        now = self._clock()
        if failure is None:
            verb = action.kind.capitalize()
            warning = action.relief and action.reason is not Reason.MODEL_RESTORED
            await self._record(event_for(body, action.reason.value, action.message, verb, now, warning=warning))
            return True
        await self._record(event_for(body, failure.reason.value, failure.message, "Start", now, warning=True))
        restarts = int((body.get("status") or {}).get("restarts", 0)) + 1
        retry_at = int(now + backoff.delay(restarts) + 1)
        ready = Condition(Type.READY, False, failure.reason, failure.message)
        progress = Condition(Type.RECONCILING, True, failure.reason, failure.message)
        await self._write(
            "XnaiService", body, Report((ready, progress), {"restarts": restarts, "retryAtSeconds": retry_at})
        )
        return False

    async def _record(self, event: dict[str, Any]) -> None:
        try:
            await self._api.create_event(event["metadata"]["namespace"], event)
        except ApiError as error:  # an event is told to people: nothing depends on it
            log.warning("event not recorded", reason=error.reason.value, message=error.message)

    async def _report(self, plan: Plan) -> None:
        for kind, reports in (("XnaiService", plan.services), ("TmpfsPolicy", plan.policies)):
            for key, report in reports.items():
                namespace, name = key.split(".", 1)
                body = self.store.get(kind, namespace, name)
                if body is not None:
                    await self._write(kind, body, report)

    async def _write(self, kind: str, body: dict[str, object], report: Report) -> None:
        status = status_for(body, report, self._clock())
        if status is None:
            return
        metadata = body["metadata"]
        assert isinstance(metadata, dict)
        try:
            stored = await self._api.patch_status(kind, metadata["namespace"], metadata["name"], status)
        except ApiError as error:  # one status refused or late must not keep the others from being written
            log.warning("status not written", kind=kind, reason=error.reason.value, message=error.message)
            return
        if stored is None:
            return
        self.store.observe(stored)
        current = (body.get("status") or {}).get("conditions") or []  # type: ignore[attr-defined]
        before = {(c["type"], c["reason"]) for c in current}
        for condition in report.conditions:
            if condition.type in WARNED and (condition.type.value, condition.reason.value) not in before:
                event = event_for(body, condition.reason.value, condition.message, "Watch", self._clock(), warning=True)
                await self._record(event)

    async def _watch_runtime(self) -> None:
        while True:
            try:
                async for _ in self._backend.changes():
                    self.mark_dirty()
            except BackendError as error:
                log.warning("watching the runtime broke off", reason=error.reason.value, message=error.message)
            await asyncio.sleep(1.0)

    async def _watch_memory(self) -> None:
        while True:
            await self.read_memory()
            await asyncio.sleep(MEMORY_SECONDS)

    async def read_memory(self) -> None:
        """Read how the machine's memory is; tell of a step of the ladder, and ask for a pass."""
        watch = self._pressure
        before, dirty = watch.tick(self._pods.values())
        await self._read_used()
        step = watch.ladder.step
        self._metrics.memory(watch.reading, watch.ladder, entered=step is not before)
        if dirty:
            self.mark_dirty()
        if step is before:
            return
        verb = "rises" if step > before else "falls"
        message = f"memory pressure {verb} from {before.word} to {step.word}: {watch.describe()}"
        log.info("pressure", step=step.word, message=message, reason=Reason.MEMORY_PRESSURE.value)
        node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": platform.node(), "namespace": "default"}}
        warning = step > before
        reason = Reason.MEMORY_PRESSURE.value
        await self._record(event_for(node, reason, message, "Watch", self._clock(), warning=warning))
        if before is Step.NORMAL:
            loaded = {Path(pod.model_file).name for pod in self._loaded() if pod.model_file is not None}
            await asyncio.to_thread(watch.drop_caches, self._models.files(without=loaded))

    def _loaded(self) -> list[RenderedPod]:
        rendered = self._plan.rendered if self._plan is not None else {}
        return [rendered[key] for key, pod in self._pods.items() if pod.running and key in rendered]

    async def _watch_mounts(self) -> None:
        while True:
            await asyncio.sleep(MOUNT_SECONDS)
            try:
                await self.read_mounts()
            except BackendError as error:
                log.warning("mounts could not be read", reason=error.reason.value, message=error.message)

    async def read_mounts(self) -> None:
        """Read how full the mounts are; ask for a pass when it is something to act on or to tell."""
        for pod in list(self._pods.values()):
            if not pod.running:
                continue
            before = self._mounts.get(_run_of(pod), ())
            found = tuple(await self._backend.mounts(pod))
            self._mounts[_run_of(pod)] = found
            if [_step(mount) for mount in found] != [_step(mount) for mount in before]:
                self.mark_dirty()
        running = [pod for pod in self._pods.values() if pod.running]
        self._metrics.memory_events((pod, self._pressure.memory_events(pod)) for pod in running)
        self._metrics.mounts((pod, self._mounts.get(_run_of(pod), ())) for pod in running)

    async def _probe_forever(self) -> None:
        running: dict[ContainerRun, asyncio.Task[None]] = {}
        while True:
            for pod in self._pods.values():
                life = _run_of(pod)
                if pod.running and life not in running:
                    running[life] = asyncio.create_task(self._probe(pod, life))
            running = {life: task for life, task in running.items() if not task.done()}
            await asyncio.sleep(PROBE_TICK_SECONDS)

    def _first(self, service: XnaiService, pod: ObservedPod) -> readiness.ProbeState:
        """The state before the first answer, not kept until one comes. For a container that was there before this
        process it is what is stored: its startup is over."""
        if pod.started_at < self._began and service.stored_ready():
            return readiness.ProbeState(started=True, ready=True)
        return readiness.initial(service.spec.health)

    async def probe_once(self) -> None:
        """Every probe that is due now."""
        await asyncio.gather(*(self._probe(pod, _run_of(pod)) for pod in self._pods.values() if pod.running))

    async def _probe(self, pod: ObservedPod, life: ContainerRun) -> None:
        service = self.store.service(pod.namespace, pod.service)
        if service is None:
            return
        health = service.spec.health
        state = self._probes.get(life) or self._first(service, pod)
        if life not in self._probes and state.ready and health.startup is None and health.readiness is None:
            self._probes[life] = state
            self.mark_dirty()
        due = readiness.due(health, state, self._clock())
        if due is None:
            return
        try:
            result = await self._backend.probe(pod, probing.request(due))
        except BackendError as error:
            result = probing.ProbeResult(False, error.message)
        after = readiness.after(health, state, due, self._clock(), success=result.success, message=result.message)
        self._probes[life] = after
        if (after.ready, after.started) != (state.ready, state.started) or (not after.ready and after.failures == 1):
            self.mark_dirty()


def _step(mount: ObservedMount) -> tuple[object, ...]:
    """What of a mount is worth a pass: everything but the bytes in use, of these the twentieths."""
    twentieths = (mount.used * 20 // max(mount.size, 1), mount.inodes_used * 20 // max(mount.inodes, 1))
    return (mount.mount_path, mount.size, mount.mode, mount.uid, mount.gid, mount.flags, *twentieths)


def _run_of(pod: ObservedPod) -> ContainerRun:
    return (pod.name, pod.pid, pod.started_at)
