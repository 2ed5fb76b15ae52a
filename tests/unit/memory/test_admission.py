"""Who is admitted."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.conftest import make_service
from tests.unit.memory.test_sizing import GEMMA
from xnai_operator.api.conditions import Reason
from xnai_operator.api.xnaiservice import TmpfsMount
from xnai_operator.memory.admission import MI, Demand, admit, demand, effective_priorities
from xnai_operator.memory.sizing import Load, size

GI = 1 << 30
TMPFS = [TmpfsMount(mount_path="/a", size="10Mi"), TmpfsMount(mount_path="/b", size="20Mi")]
INFERENCE = {"model": {"file": "m.gguf"}}


@pytest.mark.parametrize(
    ("spec", "request_bytes"),
    [
        ({"resources": {"requests": {"memory": "100Mi"}}}, 100 * MI),
        ({"resources": {"limits": {"memory": "100Mi"}}}, 70 * MI),
        ({"resources": {"limits": {"memory": "10Mi"}}}, 0),
        ({}, 64 * MI),
        ({"inference": INFERENCE}, size(GEMMA, Load()).anonymous),
        ({"inference": INFERENCE, "resources": {"requests": {"memory": "1Gi"}}}, GI),
    ],
)
def test_the_request(spec: dict[str, object], request_bytes: int) -> None:
    found = demand(make_service(**spec), TMPFS, GEMMA)
    assert (found.request, found.tmpfs) == (request_bytes, 30 * MI)


@pytest.mark.parametrize(("history", "request_mib"), [(0, 64), (10 * MI, 64), (200 * MI, 200)])
def test_what_declares_nothing_is_admitted_with_the_most_it_used(history: int, request_mib: int) -> None:
    assert demand(make_service(), (), history=history).request == request_mib * MI
    assert demand(make_service(resources={"requests": {"memory": "1Mi"}}), (), history=history).request == MI


def test_a_dependency_is_as_important_as_whoever_needs_it() -> None:
    services = [
        make_service("a"),
        make_service("b", dependsOn=["a"]),
        make_service("c", priority=7, dependsOn=["b"]),
        make_service("d", priority=3, dependsOn=["a"]),
    ]
    found = effective_priorities({service.key: service for service in services})
    assert [found[f"default.{name}"] for name in "abcd"] == [7, 7, 7, 3]


def test_priorities_of_a_cycle_come_to_an_end() -> None:
    services = [make_service("a", dependsOn=["b"]), make_service("b", priority=5, dependsOn=["a"])]
    assert set(effective_priorities({s.key: s for s in services}).values()) == {5}


def test_one_model_file_counts_once() -> None:
    one = Demand("a", 0, "1", 10, 0, mapped=100, model_file="m.gguf")
    verdicts = admit([one, replace(one, key="b")], 130)
    assert [verdict.admitted for verdict in verdicts.values()] == [True, True]


@pytest.mark.parametrize(
    ("priority", "running", "holder"), [(0, False, "a"), (1, False, "b"), (0, True, "b"), (-1, True, "a")]
)
def test_a_gpu_is_one_service_s(priority: int, running: bool, holder: str) -> None:
    first = Demand("a", 0, "1", 10, 0, device="gpu")
    second = Demand("b", priority, "2", 10, 0, device="gpu", running=running)
    found = admit([first, second, Demand("c", 9, "3", 10, 0)], 1000)
    assert {key for key, verdict in found.items() if verdict.admitted} == {holder, "c"}
    refused = next(verdict for verdict in found.values() if not verdict.admitted)
    assert (refused.reason, f"in use by {holder}" in refused.message) == (Reason.DEVICE_IN_USE, True)


def test_a_peer_that_runs_is_not_stopped_for_an_older_one() -> None:
    running, older = Demand("young", 0, "2", 60, 0, running=True), Demand("old", 0, "1", 60, 0)
    assert {key: v.admitted for key, v in admit([older, running], 100).items()} == {"young": True, "old": False}


def test_the_message_has_the_sum() -> None:
    needs = Demand("a", 0, "1", 90 * MI, 30 * MI)
    assert admit([needs], 100 * MI)["a"].message.startswith(
        "needs 120 MiB (90 MiB requested + 30 MiB tmpfs); 0 MiB of 100 MiB go to more important services; 20 MiB short"
    )


demands = st.lists(
    st.builds(
        Demand,
        key=st.uuids().map(str),
        priority=st.integers(-3, 3),
        created=st.sampled_from(["1", "2"]),
        request=st.integers(0, 100),
        tmpfs=st.integers(0, 50),
        running=st.booleans(),
    ).flatmap(lambda d: st.sampled_from([d, replace(d, mapped=40, model_file="m.gguf")])),
    unique_by=lambda d: d.key,
    max_size=8,
)
room = st.integers(0, 400)


def _used(given: list[Demand], admitted: set[str]) -> int:
    taken = [d for d in given if d.key in admitted]
    return sum(d.request + d.tmpfs for d in taken) + max((d.mapped for d in taken), default=0)


def _admitted(given: list[Demand], allocatable: int) -> set[str]:
    return {key for key, verdict in admit(given, allocatable).items() if verdict.admitted}


@given(demands, room)
def test_never_more_than_there_is(given: list[Demand], allocatable: int) -> None:
    assert _used(given, _admitted(given, allocatable)) <= allocatable


@given(demands, room)
def test_nobody_waits_for_a_less_important_one(given: list[Demand], allocatable: int) -> None:
    admitted = _admitted(given, allocatable)
    for waiting in given:
        if waiting.key not in admitted:
            above = {d.key for d in given if d.key in admitted and d.priority >= waiting.priority}
            assert _used(given, above | {waiting.key}) > allocatable


@given(demands, room, st.randoms())
def test_the_order_of_the_input_does_not_matter(given: list[Demand], allocatable: int, random: object) -> None:
    shuffled = list(given)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert _admitted(given, allocatable) == _admitted(shuffled, allocatable)


@given(demands, room, st.integers(0, 200))
def test_more_memory_stops_nobody_but_for_one_more_important(given: list[Demand], allocatable: int, more: int) -> None:
    before, after = _admitted(given, allocatable), _admitted(given, allocatable + more)
    order = sorted(given, key=lambda d: (-d.priority, not d.running, d.created, d.key))
    for stopped in before - after:
        ahead = {d.key for d in order[: [d.key for d in order].index(stopped)]}
        assert (after & ahead) - before
