"""Keeping each running pod's pressure signal and packet filter as the plan says."""

from collections.abc import Mapping

import structlog

from xnai_operator.backends.base import NodeAgent
from xnai_operator.errors import BackendError
from xnai_operator.memory.ladder import Step
from xnai_operator.plan.observed import ContainerRun, ObservedPod
from xnai_operator.plan.types import Plan

log = structlog.get_logger()


class PodSync:
    """Remembers what each container run was given, so that nothing is written twice."""

    def __init__(self, node_agent: NodeAgent) -> None:
        self._node_agent = node_agent
        self._steps: dict[ContainerRun, Step] = {}
        self._ingress: dict[ContainerRun, frozenset[ContainerRun]] = {}

    async def apply(self, plan: Plan, pods: Mapping[str, ObservedPod]) -> None:
        """The signals and filters of the plan for the running ones of `pods` (by name)."""
        running = {name: pod for name, pod in pods.items() if pod.running}
        runs = {pod.run for pod in running.values()}
        self._steps = {run: step for run, step in self._steps.items() if run in runs}
        self._ingress = {run: clients for run, clients in self._ingress.items() if run in runs}
        await self._signal_pressure(plan, running)
        await self._allow_ingress(plan, running)

    async def _signal_pressure(self, plan: Plan, running: Mapping[str, ObservedPod]) -> None:
        """Each run gets its step once; a run that is older than this process gets it as well."""
        for name, pod in running.items():
            step = plan.steps.get(name, Step.NORMAL)
            if self._steps.get(pod.run) is not step:
                await self._node_agent.signal_pressure(name, step)
                self._steps[pod.run] = step

    async def _allow_ingress(self, plan: Plan, running: Mapping[str, ObservedPod]) -> None:
        """Only its clients reach a pod. Addresses change with every start, of the pod or of a client."""
        for name, pod in running.items():
            if name not in plan.ingress:
                continue
            clients = [running[client] for client in sorted(plan.ingress[name]) if client in running]
            wanted = frozenset(client.run for client in clients)
            if self._ingress.get(pod.run) == wanted:
                continue
            try:
                await self._node_agent.allow_ingress_from(pod, clients)
            except BackendError as error:  # it ended a moment ago, or nft is missing: the next pass tries again
                log.warning("network not restricted", pod=name, reason=error.reason.value, message=error.message)
            else:
                self._ingress[pod.run] = wanted
