"""Keeping each pod's pressure signal and packet filter as the plan says."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Final, NamedTuple

import structlog

from xnai_operator.backends.base import NodeAgent
from xnai_operator.errors import BackendError
from xnai_operator.memory.ladder import Step
from xnai_operator.plan.observed import ContainerRun, Observed, ObservedPod
from xnai_operator.plan.types import Plan

log = structlog.get_logger()

Ingress = Mapping[str, frozenset[str]]
"""Pod -> the pods that may connect to it."""
OBSERVE_TRIES: Final = 5


class Network(NamedTuple):
    """The network of one start of a pod."""

    pod: str
    pid: int


class PodSync:
    """Remembers what each container run was given, so that nothing is written twice."""

    def __init__(self, node_agent: NodeAgent) -> None:
        self._node_agent = node_agent
        self._steps: dict[ContainerRun, Step] = {}
        self._ingress: dict[Network, frozenset[Network]] = {}
        self._filtering = asyncio.Lock()
        self.connected = 0
        """How many networks were connected."""

    async def apply(self, plan: Plan, pods: Mapping[str, ObservedPod], connected: int) -> None:
        """The signals and filters of the plan for `pods` (by name). `connected`: the count when they were observed; a
        network that was connected since is not among them, and the next pass is for it."""
        running = {name: pod for name, pod in pods.items() if pod.running}
        runs = {pod.run for pod in running.values()}
        self._steps = {run: step for run, step in self._steps.items() if run in runs}
        await self._signal_pressure(plan, running)
        async with self._filtering:
            if connected == self.connected:
                await self._allow_ingress(plan.ingress, pods)

    async def _signal_pressure(self, plan: Plan, running: Mapping[str, ObservedPod]) -> None:
        """Each run gets its step once; a run that is older than this process gets it as well."""
        for name, pod in running.items():
            step = plan.steps.get(name, Step.NORMAL)
            if self._steps.get(pod.run) is not step:
                await self._node_agent.signal_pressure(name, step)
                self._steps[pod.run] = step

    async def connect(self, ingress: Ingress, observe: Callable[[], Awaitable[Observed]]) -> None:
        """A pod's network exists: filter it, and let it through the filters of its peers. Raises BackendError when the
        pods cannot be observed."""
        async with self._filtering:
            self.connected += 1
            await self._allow_ingress(ingress, (await _observed(observe)).pods)

    async def _allow_ingress(self, ingress: Ingress, pods: Mapping[str, ObservedPod]) -> None:
        """Only its clients reach a pod. Addresses change with every start, of the pod or of a client."""
        networks = {name: Network(name, pod.network_pid) for name, pod in pods.items() if pod.network_pid}
        existing = set(networks.values())
        self._ingress = {network: clients for network, clients in self._ingress.items() if network in existing}
        for name, network in networks.items():
            if name not in ingress:
                continue
            clients = sorted(client for client in ingress[name] if client in networks)
            wanted = frozenset(networks[client] for client in clients)
            if self._ingress.get(network) == wanted:
                continue
            try:
                await self._node_agent.allow_ingress_from(pods[name], [pods[client] for client in clients])
            except BackendError as error:  # it ended a moment ago, or nft is missing: the next pass tries again
                log.warning("network not restricted", pod=name, reason=error.reason.value, message=error.message)
            else:
                self._ingress[network] = wanted


async def _observed(observe: Callable[[], Awaitable[Observed]]) -> Observed:
    """Podman's list fails when a container is removed meanwhile ("no such container", 5.4 and 5.8)."""
    for _ in range(OBSERVE_TRIES - 1):
        try:
            return await observe()
        except BackendError:
            await asyncio.sleep(0.05)
    return await observe()
