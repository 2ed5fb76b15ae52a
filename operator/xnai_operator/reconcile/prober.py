"""Running the probes of all services, each at its own time."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from xnai_operator.api.resources import XnaiService
from xnai_operator.errors import BackendError
from xnai_operator.health import readiness
from xnai_operator.health.probe import ProbeRequest, ProbeResult, request
from xnai_operator.health.readiness import ProbeState
from xnai_operator.plan.observed import ContainerRun, ObservedPod

TICK_SECONDS: Final = 0.25
"""How often due probes are looked for."""


class Prober:
    """Probe states by container run. `services`: (namespace, name) -> the service, None when it is gone or invalid.
    `clock` gives seconds since the epoch. `changed` is called when a pass is needed."""

    def __init__(
        self,
        services: Callable[[str, str], XnaiService | None],
        probe: Callable[[ObservedPod, ProbeRequest], Awaitable[ProbeResult]],
        clock: Callable[[], float],
        changed: Callable[[], None],
    ) -> None:
        self._services = services
        self._probe_once = probe
        self._clock = clock
        self._changed = changed
        self._began = clock()
        self._pods: list[ObservedPod] = []
        self._states: dict[ContainerRun, ProbeState] = {}

    def observe(self, pods: Iterable[ObservedPod]) -> None:
        """The pods as observed now. States of runs that are over are forgotten."""
        self._pods = [pod for pod in pods if pod.running]
        runs = {pod.run for pod in self._pods}
        self._states = {run: state for run, state in self._states.items() if run in runs}

    def states(self) -> dict[str, ProbeState]:
        """Pod name -> state, of pods with an answer."""
        return {run.pod: state for run, state in self._states.items()}

    async def run(self) -> None:
        """Probe until cancelled."""
        probing: dict[ContainerRun, asyncio.Task[None]] = {}
        while True:
            for pod in self._pods:
                if pod.run not in probing:
                    probing[pod.run] = asyncio.create_task(self._probe(pod))
            probing = {run: task for run, task in probing.items() if not task.done()}
            await asyncio.sleep(TICK_SECONDS)

    async def probe_due(self) -> None:
        """Run every probe that is due now."""
        await asyncio.gather(*(self._probe(pod) for pod in self._pods))

    async def _probe(self, pod: ObservedPod) -> None:
        service = self._services(pod.namespace, pod.service)
        if service is None:
            return
        health = service.spec.health
        state = self._states.get(pod.run) or self._initial(service, pod)
        if pod.run not in self._states and state.ready and health.startup is None and health.readiness is None:
            self._states[pod.run] = state
            self._changed()
        due = readiness.due(health, state, self._clock())
        if due is None:
            return
        try:
            result = await self._probe_once(pod, request(due))
        except BackendError as error:
            result = ProbeResult(False, error.message)
        after = readiness.after(health, state, due, self._clock(), success=result.success, message=result.message)
        self._states[pod.run] = after
        if (after.ready, after.started) != (state.ready, state.started) or (not after.ready and after.failures == 1):
            self._changed()

    def _initial(self, service: XnaiService, pod: ObservedPod) -> ProbeState:
        """The state before the first answer. A container that is older than this process keeps its stored readiness:
        its startup is over."""
        if pod.started_at < self._began and service.stored_ready():
            return ProbeState(started=True, ready=True)
        return readiness.initial(service.spec.health)
