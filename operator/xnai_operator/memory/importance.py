"""Which service comes first: priorities, the orders of decision, budgets, admission and eviction, and cycles.

Every order puts the more important service first, but eviction. A cycle of dependencies, which the pre-flight checks
refuse, must not break an order: the other services go on. So `graphlib.TopologicalSorter`, which raises on a cycle
and knows no priorities, cannot make these orders; the tests use it to check them.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from xnai_operator.api.resources import XnaiService, key_of
from xnai_operator.memory.demand import Demand


def dependency_keys(service: XnaiService) -> list[str]:
    """Keys of the services that the service depends on, in the order of `spec.dependsOn`."""
    return [key_of(service.namespace, name) for name in service.spec.depends_on]


def effective_priorities(services: Mapping[str, XnaiService]) -> dict[str, int]:
    """Key -> the highest priority among the service and all services that depend on it, directly or not."""
    priorities: dict[str, int] = {}
    for service in sorted(services.values(), key=lambda s: -s.spec.priority):
        pending = [service.key]
        while pending:
            found = pending.pop()
            if found in services and found not in priorities:
                priorities[found] = service.spec.priority
                pending += dependency_keys(services[found])
    return priorities


def decision_order(services: Mapping[str, XnaiService]) -> list[XnaiService]:
    """The order in which services are decided: own priority, age, key; a dependency before its dependants."""
    ranked = sorted(services.values(), key=lambda s: (-s.spec.priority, s.created, s.key))
    dependencies = {s.key: [found for found in dependency_keys(s) if found in services] for s in ranked}
    return [services[found] for found in _dependencies_first(dependencies)]


def budget_order(services: Iterable[XnaiService], priorities: Mapping[str, int]) -> list[XnaiService]:
    """The order in which services use up the budgets of policies: effective priority, age, key."""
    return sorted(services, key=lambda s: (-priorities[s.key], s.created, s.key))


def admission_order(demands: Iterable[Demand]) -> list[Demand]:
    """The order in which demands are admitted: priority, then those that are scheduled, then age, key.

    Among peers (same priority, both scheduled or both not) a dependency comes before its dependants.
    """
    ranked = sorted(demands, key=lambda d: (-d.priority, not d.scheduled, d.created, d.key))
    by_key = {demand.key: demand for demand in ranked}
    dependencies = {d.key: [k for k in sorted(d.after & by_key.keys()) if _peers(by_key[k], d)] for d in ranked}
    return [by_key[found] for found in _dependencies_first(dependencies)]


def _peers(one: Demand, other: Demand) -> bool:
    return (one.priority, one.scheduled) == (other.priority, other.scheduled)


@dataclass(frozen=True, order=True)
class EvictionRank:
    """Sorts the least important service first. `within_request`: bytes of its demand less what it uses, negative
    when it uses more than its demand."""

    effective_priority: int
    priority: int
    within_request: int
    key: str


def dependency_cycle(start: XnaiService, services: Mapping[str, XnaiService]) -> list[str]:
    """Names of the services on the first cycle of dependencies through `start`, with `start` first and last; empty
    when there is none."""
    trail = [(start.name, iter(start.spec.depends_on))]
    seen = {start.name}
    while trail:
        name = next(trail[-1][1], None)
        if name is None:
            trail.pop()
        elif name == start.name:
            return [*(passed for passed, _ in trail), name]
        elif name not in seen and (other := services.get(key_of(start.namespace, name))) is not None:
            seen.add(name)
            trail.append((name, iter(other.spec.depends_on)))
    return []


def _dependencies_first(dependencies: Mapping[str, Iterable[str]]) -> list[str]:
    """The keys in their order, but each after its dependencies, depth first. A dependency that closes a cycle is
    ignored. No recursion: a chain of a thousand services exceeds Python's limit."""
    order: list[str] = []
    begun: set[str] = set()
    for root in dependencies:
        trail = [] if root in begun else [(root, iter(dependencies[root]))]
        begun.add(root)
        while trail:
            following = next((found for found in trail[-1][1] if found not in begun), None)
            if following is None:
                order.append(trail.pop()[0])
            else:
                begun.add(following)
                trail.append((following, iter(dependencies[following])))
    return order
