"""The prober: which probes are due, which run now, and what they have shown of each container's run."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

import structlog

from xnai_operator.api.resources import XnaiService
from xnai_operator.api.xnaiservice import Probe, XnaiServiceSpec
from xnai_operator.errors import BackendError
from xnai_operator.health import readiness
from xnai_operator.health.probe import ProbeRequest, ProbeResult, request
from xnai_operator.health.readiness import ProbeState
from xnai_operator.plan.observed import ContainerRun, ObservedPod

log = structlog.get_logger()

TICK_SECONDS: Final = 0.25
"""How often the prober looks which probes are due."""


class Prober:
    """Probes the running pods. It knows a container's run by its process, so that a restart begins anew.

    `services`: namespace and name -> the service. `probe`: runs one probe and raises BackendError when it cannot.
    `clock`: seconds since the epoch. `changed`: called when a probe changed what a pass would decide.
    """

    def __init__(
        self,
        *,
        services: Callable[[str, str], XnaiService | None],
        probe: Callable[[ObservedPod, ProbeRequest], Awaitable[ProbeResult]],
        clock: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._services = services
        self._probe = probe
        self._clock = clock
        self._changed = changed
        self._began = clock()
        self._pods: dict[ContainerRun, ObservedPod] = {}
        self._states: dict[ContainerRun, ProbeState] = {}
        self._probing: dict[ContainerRun, asyncio.Task[None]] = {}

    def states(self) -> dict[str, ProbeState]:
        """Pod name -> its state. A container whose probe has not answered yet has none."""
        return {run.pod: state for run, state in self._states.items()}

    def observe(self, pods: Iterable[ObservedPod]) -> None:
        """The pods as they are now. States of runs that are over are forgotten."""
        self._pods = {pod.run: pod for pod in pods if pod.running}
        self._states = {run: state for run, state in self._states.items() if run in self._pods}

    async def probe_due(self) -> None:
        """Run every probe that is due now and wait for their results."""
        self._start_due()
        await asyncio.gather(*self._probing.values())

    async def run(self) -> None:
        """Probe until cancelled."""
        try:
            while True:
                self._start_due()
                await asyncio.sleep(TICK_SECONDS)
        finally:
            tasks = list(self._probing.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _start_due(self) -> None:
        """A run has one probe at a time; a slow one holds up no other run."""
        self._probing = {run: task for run, task in self._probing.items() if not task.done()}
        for run, pod in self._pods.items():
            service = self._services(pod.namespace, pod.service)
            if run in self._probing or service is None:
                continue
            state = self._state(run, pod, service)
            probe = readiness.due(service.spec.health, state, self._clock())
            if probe is not None:
                self._probing[run] = asyncio.create_task(self._probe_one(pod, service.spec, state, probe))

    def _state(self, run: ContainerRun, pod: ObservedPod, service: XnaiService) -> ProbeState:
        """The state of a run; the first one of a service without probes is kept, as no answer will come."""
        if run in self._states:
            return self._states[run]
        state, health = self._first(service, pod), service.spec.health
        if state.ready and health.startup is None and health.readiness is None:
            self._states[run] = state
            self._changed()
        return state

    async def _probe_one(self, pod: ObservedPod, spec: XnaiServiceSpec, state: ProbeState, probe: Probe) -> None:
        try:
            result = await self._probe(pod, request(spec, probe))
        except BackendError as error:
            result = ProbeResult(False, error.message)
        except Exception:
            # A fault of ours must not end the probes of the other pods, nor leave this one Ready for ever.
            log.exception("probe failed", pod=pod.name)
            result = ProbeResult(False, "the operator could not probe; its log says why")
        if pod.run not in self._pods:
            return
        after = readiness.after(
            spec.health, state, probe, self._clock(), success=result.success, message=result.message
        )
        self._states[pod.run] = after
        # While it is not ready the message is in its condition; equal ones ask for no pass.
        told = not after.ready and after.message != state.message
        if told or (after.ready, after.started) != (state.ready, state.started):
            self._changed()

    def _first(self, service: XnaiService, pod: ObservedPod) -> ProbeState:
        """The state before the first answer, which is not kept until one comes. A container that started before this
        process has the stored one: its startup is over."""
        if pod.started_at < self._began and service.stored_ready():
            return ProbeState(started=True, ready=True)
        return readiness.initial(service.spec.health)
