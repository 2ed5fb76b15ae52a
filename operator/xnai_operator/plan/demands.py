"""The demands of all services on the node's memory, and which of their tmpfs mounts must be on disk. Sizes in bytes."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from xnai_operator.api.conditions import Reason
from xnai_operator.api.kinds import XNAI_SERVICE
from xnai_operator.api.resources import XnaiService
from xnai_operator.api.xnaiservice import TmpfsMount
from xnai_operator.checks.preflight import Violation
from xnai_operator.memory.allocation import Allocation
from xnai_operator.memory.demand import DEFAULT_REQUEST, Demand, Source, demand
from xnai_operator.memory.importance import budget_order, effective_priorities
from xnai_operator.plan.observed import ObservedPod
from xnai_operator.plan.types import Facts
from xnai_operator.tmpfs.fallback import Budgets, may_be_on_disk
from xnai_operator.tmpfs.mounts import size_of, whole_pages

UNTOUCHABLE_PRIORITY: Final = 1 << 31
"""A priority above every priority that a resource can have: such a pod is never stopped for another service."""


@dataclass(frozen=True)
class Demands:
    """By the service's key.

    `over_budget`: services whose mounts exceed the budget of a policy with `fallback: Deny`. `on_disk`: paths of mounts
    that must be on disk now, because their policy's budget is used up, or because moving back would lose the running
    pod's data. `movable_to_disk`: paths of mounts whose policy allows them to be on disk.
    """

    by_key: Mapping[str, Demand]
    over_budget: Mapping[str, Violation]
    on_disk: Mapping[str, frozenset[str]]
    movable_to_disk: Mapping[str, frozenset[str]]


def memory_high_water(service: XnaiService, used: int) -> int:
    """The highest memory use of the service's processes: the stored value, or `used` when that is more than 5 % above
    it, so that a slow growth does not write the status on every pass."""
    stored = service.status.memory_high_water_bytes or 0
    return used if used * 20 > stored * 21 else stored


def collect_demands(facts: Facts, mounts: Mapping[str, list[TmpfsMount]], faults: Collection[str]) -> Demands:
    """The demands of running services and of services that can start.

    `mounts`: key -> merged tmpfs mounts; a service without an entry is left out. A service in `faults` that does not
    run is left out too, so that nothing is preempted for a service that cannot start.
    """
    services, policies = facts.desired.services, facts.desired.policies
    priorities = effective_priorities(services)
    budgets = Budgets(facts.node.memory)
    demands: dict[str, Demand] = {}
    over_budget: dict[str, Violation] = {}
    on_disk: dict[str, frozenset[str]] = {}
    movable_to_disk: dict[str, frozenset[str]] = {}
    for service in budget_order((services[key] for key in mounts), priorities):
        key = service.key
        pod = facts.pod(service)
        running = pod is not None and pod.running
        if (service.spec.suspend or key in faults) and not running:
            continue
        movable = movable_to_disk[key] = may_be_on_disk(service, mounts[key], policies)
        moved = movable if pod is not None and pod.running and pod.variant.on_disk else frozenset[str]()
        exceeded = budgets.take(service, mounts[key], policies, moved)
        if exceeded is not None and exceeded.policy.spec.fallback == "Deny":
            over_budget[key] = Violation(Reason.TMPFS_BUDGET_EXCEEDED, exceeded.message, permanent=False)
            if not running:
                continue
        elif exceeded is not None:
            moved = movable
        on_disk[key] = moved
        in_memory = [mount for mount in mounts[key] if mount.mount_path not in moved]
        demands[key] = _demand(facts, service, in_memory, movable, priorities[key])
    return Demands(demands | _unmanaged(facts, demands), over_budget, on_disk, movable_to_disk)


def _demand(
    facts: Facts, service: XnaiService, in_memory: list[TmpfsMount], movable: frozenset[str], priority: int
) -> Demand:
    """The demand of a service whose mounts `in_memory` are tmpfs; those on a path in `movable` may go to disk."""
    pod = facts.pod(service)
    found = replace(
        demand(service, in_memory, facts.desired.header(service), high_water=memory_high_water(service, 0)),
        # A suspended service that runs is never stopped: its memory is taken, whatever other services need.
        priority=UNTOUCHABLE_PRIORITY if service.spec.suspend else priority,
        scheduled=pod is not None or service.key in facts.busy,
        files=_file_bytes(facts, service),
        movable_to_disk=sum(size_of(mount) for mount in in_memory if mount.mount_path in movable),
    )
    if pod is not None and pod.running:
        return replace(found, allocation=_allocation(facts, pod, found))
    return found


def _file_bytes(facts: Facts, service: XnaiService) -> int:
    """Bytes of the config and secrets that the operator writes for the service, in whole pages."""
    contents, storage = facts.desired.contents.get(service.namespace, {}), service.spec.storage
    total = 0
    for kind, sources in (("ConfigMap", storage.config), ("Secret", storage.secrets)):
        for source in sources:
            content = contents.get((kind, source.name), {})
            values = [content[key] for key in (source.keys or content) if key in content]
            total += sum(whole_pages(len(value)) for value in values)
    return total


def _allocation(facts: Facts, pod: ObservedPod, wanted: Demand) -> Allocation | None:
    """The allocation of a running pod, with its tmpfs mounts in their present sizes; None when its label is missing."""
    if pod.allocation is None:
        return None
    mounts = facts.mounts.get(pod.name)
    tmpfs = wanted.tmpfs if mounts is None else sum(mount.size for mount in mounts)
    private_bytes = pod.allocation.private_bytes + (0 if pod.allocation.includes_tmpfs else tmpfs)
    if wanted.source is Source.USE:  # its use may have grown since it was admitted
        private_bytes = max(private_bytes, wanted.request + wanted.files + tmpfs)
    return replace(pod.allocation, private_bytes=private_bytes, includes_tmpfs=False)


def _unmanaged(facts: Facts, demands: Mapping[str, Demand]) -> dict[str, Demand]:
    """Running pods without an entry in `demands` whose resource has become invalid: they keep running, so their memory
    is taken."""
    invalid = {refused.key for refused in facts.desired.invalid if refused.kind == XNAI_SERVICE.name}
    found: dict[str, Demand] = {}
    for pod in facts.observed.pods.values():
        service = facts.desired.services.get(pod.key)
        if not pod.running or pod.key in demands or (service is None and pod.key not in invalid):
            continue
        stored = service.status.memory_request_bytes if service is not None else None
        request = stored or pod.memory_limit or DEFAULT_REQUEST
        guess = Demand(pod.key, UNTOUCHABLE_PRIORITY, "", request, 0, scheduled=True)
        held = _allocation(facts, pod, guess)
        if held is not None:
            guess = replace(
                guess, request=held.private_bytes, mapped=held.mapped, model_file=held.model_file, device=held.device
            )
        found[pod.key] = guess
    return found
