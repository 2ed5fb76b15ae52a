"""Which service comes first. `graphlib` is the oracle: an order is topological, a cycle is found where it finds one."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.conftest import make_service
from xnai_operator.api.resources import XnaiService, key_of
from xnai_operator.memory.demand import Demand
from xnai_operator.memory.importance import (
    EvictionRank,
    admission_order,
    budget_order,
    decision_order,
    dependency_cycle,
    dependency_keys,
    effective_priorities,
)

NAMES = "abcdefgh"
OLD, YOUNG = "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"


def service(name: str, *depends_on: str, priority: int = 0, created: str = OLD) -> XnaiService:
    return make_service(name, created, priority=priority, dependsOn=list(depends_on))


def by_key(services: Iterable[XnaiService]) -> dict[str, XnaiService]:
    return {service.key: service for service in services}


def names(services: Iterable[XnaiService]) -> str:
    return " ".join(service.name for service in services)


def demand(key: str, *after: str, priority: int = 0, created: str = "1", scheduled: bool = False) -> Demand:
    return Demand(key, priority, created, 1, 0, scheduled=scheduled, after=frozenset(after))


def graphs() -> st.SearchStrategy[dict[str, XnaiService]]:
    """Services with any dependencies: cycles, missing ones, a service on itself, another namespace."""
    base = make_service()

    def build(name: str, namespace: str, priority: int, created: str, depends_on: list[str]) -> XnaiService:
        spec = base.spec.model_copy(update={"priority": priority, "depends_on": depends_on})
        return replace(base, name=name, namespace=namespace, created=created, spec=spec)

    one = st.builds(
        build, st.sampled_from(NAMES), st.sampled_from(["default", "other"]), st.integers(-1, 1), st.sampled_from([OLD, YOUNG]),
        st.lists(st.sampled_from(NAMES), max_size=3),
    )  # fmt: skip
    return st.lists(one, unique_by=lambda s: s.key, max_size=8).map(by_key)


def acyclic(services: Mapping[str, XnaiService]) -> dict[str, XnaiService]:
    """The same services, with dependencies on names earlier in the alphabet only."""
    return by_key(
        replace(s, spec=s.spec.model_copy(update={"depends_on": [d for d in s.spec.depends_on if d < s.name]}))
        for s in services.values()
    )


def dependencies(services: Mapping[str, XnaiService]) -> dict[str, list[str]]:
    return {key: [found for found in dependency_keys(s) if found in services] for key, s in services.items()}


def assert_topological(order: Iterable[str], graph: Mapping[str, Iterable[str]]) -> None:
    sorter = TopologicalSorter(graph)
    sorter.prepare()
    ready: set[str] = set()
    for key in order:
        ready |= set(sorter.get_ready())
        assert key in ready
        sorter.done(key)
    assert not sorter.is_active()


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        pytest.param([service("a", priority=3)], {"a": 3}, id="own"),
        pytest.param([service("a"), service("b", "a", priority=7)], {"a": 7, "b": 7}, id="of its dependant"),
        pytest.param([service("a", priority=9), service("b", "a", priority=7)], {"a": 9, "b": 7}, id="own is higher"),
        pytest.param(
            [service("a"), service("b", "a"), service("c", "b", priority=7), service("d", "a", priority=3)],
            {"a": 7, "b": 7, "c": 7, "d": 3},
            id="of its most important indirect dependant",
        ),
        pytest.param([service("a", "b"), service("b", "a", priority=5)], {"a": 5, "b": 5}, id="cycle"),
        pytest.param([service("a", "gone", priority=2)], {"a": 2}, id="missing dependency"),
        pytest.param(
            [replace(service("a"), namespace="other"), service("b", "a", priority=2)],
            {"a": 0, "b": 2},
            id="same name in another namespace",
        ),
    ],
)
def test_a_dependency_is_as_important_as_its_dependants(services: list[XnaiService], expected: dict[str, int]) -> None:
    found = effective_priorities(by_key(services))
    assert {s.name: found[s.key] for s in services} == expected


@given(graphs())
def test_an_effective_priority_is_the_highest_of_all_dependants(services: dict[str, XnaiService]) -> None:
    found = effective_priorities(services)
    graph = dependencies(services)
    assert found.keys() == services.keys()
    assert all(found[key] >= services[key].spec.priority for key in services)
    assert all(found[dependency] >= found[key] for key in graph for dependency in graph[key])
    assert set(found.values()) <= {s.spec.priority for s in services.values()}


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        pytest.param([service("a"), service("b", priority=1)], "b a", id="priority"),
        pytest.param([service("a", created=YOUNG), service("b")], "b a", id="age"),
        pytest.param([service("b"), service("a")], "a b", id="key"),
        pytest.param([service("a", "b"), service("b")], "b a", id="dependency first"),
        pytest.param(
            [service("a", "b", priority=2), service("b", priority=-1), service("c", priority=1)],
            "b a c",
            id="dependency goes with its dependant",
        ),
        pytest.param(
            [service("a", "c", "b"), service("b", priority=-1), service("c", priority=-2)],
            "c b a",
            id="dependencies in the order of the spec",
        ),
        pytest.param([service("a", "gone"), service("b")], "a b", id="missing dependency"),
        pytest.param([service("a", "b"), service("b", "a"), service("c", "a")], "b a c", id="cycle"),
        pytest.param([service("a", "a"), service("b")], "a b", id="depends on itself"),
    ],
)
def test_the_order_of_decisions(services: list[XnaiService], expected: str) -> None:
    assert names(decision_order(by_key(services))) == expected


@given(graphs())
def test_no_cycle_loses_a_service(services: dict[str, XnaiService]) -> None:
    assert sorted(s.key for s in decision_order(services)) == sorted(services)


@given(graphs())
def test_decisions_come_after_those_they_depend_on(services: dict[str, XnaiService]) -> None:
    services = acyclic(services)
    assert_topological([s.key for s in decision_order(services)], dependencies(services))


@given(graphs(), st.randoms())
def test_the_order_of_decisions_depends_on_no_order_of_the_input(services: dict[str, XnaiService], random: Any) -> None:
    shuffled = list(services.values())
    random.shuffle(shuffled)
    assert decision_order(by_key(shuffled)) == decision_order(services)


def test_a_chain_of_thousands_has_an_order_and_no_cycle() -> None:
    services = by_key(service(f"s{i}", *([f"s{i + 1}"] if i < 2999 else [])) for i in range(3000))
    assert names(decision_order(services)).split() == [f"s{i}" for i in reversed(range(3000))]
    assert dependency_cycle(services["default.s0"], services) == []


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        pytest.param([service("a"), service("b", priority=1)], "b a", id="priority"),
        pytest.param(
            [service("a", created=YOUNG), service("b", priority=1), service("c", "a", priority=2)],
            "c a b",
            id="effective priority, then age",
        ),
        pytest.param([service("a", created=YOUNG), service("b")], "b a", id="age"),
        pytest.param([service("b"), service("a")], "a b", id="key"),
    ],
)
def test_the_order_of_budgets(services: list[XnaiService], expected: str) -> None:
    assert names(budget_order(services, effective_priorities(by_key(services)))) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param([demand("a"), demand("b", priority=1)], "b a", id="priority"),
        pytest.param([demand("a"), demand("b", scheduled=True)], "b a", id="scheduled"),
        pytest.param([demand("a", scheduled=True), demand("b", priority=1)], "b a", id="priority before scheduled"),
        pytest.param([demand("a", created="2"), demand("b")], "b a", id="age"),
        pytest.param([demand("b"), demand("a")], "a b", id="key"),
        pytest.param([demand("a", "b"), demand("b", created="2")], "b a", id="dependency first among peers"),
        pytest.param([demand("a", "c", "b"), demand("b"), demand("c")], "b c a", id="dependencies by key"),
        pytest.param([demand("a", "b", scheduled=True), demand("b")], "a b", id="a scheduled dependant is no peer"),
        pytest.param([demand("a", "b", priority=1), demand("b")], "a b", id="a more important dependant is no peer"),
        pytest.param([demand("a", "b"), demand("b", "a"), demand("c")], "b a c", id="cycle"),
        pytest.param([demand("a", "gone")], "a", id="missing dependency"),
    ],
)
def test_the_order_of_admission(given: list[Demand], expected: str) -> None:
    assert " ".join(d.key for d in admission_order(given)) == expected


demands = st.lists(
    st.builds(
        Demand, st.sampled_from(NAMES), st.integers(-1, 1), st.sampled_from("12"), st.just(1), st.just(0),
        scheduled=st.booleans(), after=st.frozensets(st.sampled_from(NAMES), max_size=3),
    ),
    unique_by=lambda d: d.key,
    max_size=8,
)  # fmt: skip


@given(demands)
def test_no_dependency_carries_a_demand_over_its_rank(given: list[Demand]) -> None:
    ranks = [(-d.priority, not d.scheduled) for d in admission_order(given)]
    assert (ranks, len(ranks)) == (sorted(ranks), len(given))


@given(demands)
def test_peers_are_admitted_after_those_they_depend_on(given: list[Demand]) -> None:
    peers = [replace(d, priority=0, scheduled=False, after=frozenset(k for k in d.after if k < d.key)) for d in given]
    keys = {d.key for d in peers}
    assert_topological([d.key for d in admission_order(peers)], {d.key: d.after & keys for d in peers})


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(EvictionRank(0, 9, 0, "z"), EvictionRank(1, 0, -9, "a"), id="effective priority"),
        pytest.param(EvictionRank(1, 0, 9, "z"), EvictionRank(1, 1, -9, "a"), id="own priority"),
        pytest.param(EvictionRank(1, 1, -9, "z"), EvictionRank(1, 1, -8, "a"), id="most above its request"),
        pytest.param(EvictionRank(1, 1, 0, "a"), EvictionRank(1, 1, 0, "b"), id="key"),
    ],
)
def test_the_order_of_eviction(first: EvictionRank, second: EvictionRank) -> None:
    assert sorted([second, first]) == [first, second]


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        pytest.param([service("a", "b"), service("b")], "", id="none"),
        pytest.param([service("a", "a")], "a a", id="itself"),
        pytest.param([service("a", "b"), service("b", "c"), service("c", "a")], "a b c a", id="three"),
        pytest.param([service("a", "b"), service("b", "c"), service("c", "b")], "", id="not through it"),
        pytest.param(
            [service("a", "b", "c"), service("b"), service("c", "d", "a"), service("d", "a")],
            "a c d a",
            id="first in the order of the spec",
        ),
        pytest.param([service("a", "b"), replace(service("b", "a"), namespace="other")], "", id="another namespace"),
    ],
)
def test_the_cycle_through_a_service(services: list[XnaiService], expected: str) -> None:
    assert " ".join(dependency_cycle(services[0], by_key(services))) == expected


def a_cycle(graph: Mapping[str, Iterable[str]]) -> list[str]:
    """One cycle as `graphlib` finds it; empty when there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


@given(graphs())
def test_a_cycle_is_found_where_there_is_one(services: dict[str, XnaiService]) -> None:
    found = {key for key, service in services.items() if dependency_cycle(service, services)}
    cycle = set(a_cycle(dependencies(services)))
    assert (cycle <= found, bool(found)) == (True, bool(cycle))


@given(graphs())
def test_a_cycle_is_a_simple_path_of_dependencies_back_to_its_start(services: dict[str, XnaiService]) -> None:
    for start in services.values():
        cycle = [key_of(start.namespace, name) for name in dependency_cycle(start, services)]
        if not cycle:
            continue
        assert (cycle[0], cycle[-1], len(set(cycle))) == (start.key, start.key, len(cycle) - 1)
        assert all(dependency in dependencies(services)[key] for key, dependency in pairwise(cycle))


class Counting(dict[str, XnaiService]):
    """Counts the look-ups."""

    count = 0

    def get(self, key: str, default: Any = None) -> Any:
        self.count += 1
        return super().get(key, default)


def test_each_dependency_is_followed_once() -> None:
    """Ten layers of two services each have 1,024 paths, but 36 dependencies."""
    layers = [[f"a{i}", f"b{i}"] for i in range(10)]
    services = Counting(
        by_key(service(name, *(layers[i + 1] if i < 9 else [])) for i, layer in enumerate(layers) for name in layer)
    )
    assert dependency_cycle(services["default.a0"], services) == []
    assert services.count <= 36
