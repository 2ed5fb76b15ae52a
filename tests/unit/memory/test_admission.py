"""Who is admitted."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.conftest import make_service
from tests.unit.memory.test_model_size import GEMMA
from xnai_operator.api.conditions import Reason
from xnai_operator.api.quantity import MI
from xnai_operator.api.xnaiservice import TmpfsMount
from xnai_operator.memory.admission import Verdict, admit
from xnai_operator.memory.allocation import Allocation
from xnai_operator.memory.demand import Demand, demand
from xnai_operator.memory.importance import effective_priorities
from xnai_operator.memory.model_size import ModelOptions, size

GI = 1 << 30
TMPFS = [TmpfsMount(mount_path="/a", size="10Mi"), TmpfsMount(mount_path="/b", size="20Mi")]
RUNS = Demand("a", 0, "1", 50, 0, scheduled=True, allocation=Allocation(50))
INFERENCE = {"model": {"file": "m.gguf"}}


@pytest.mark.parametrize(
    ("spec", "request_bytes"),
    [
        ({"resources": {"requests": {"memory": "100Mi"}}}, 100 * MI),
        ({"resources": {"limits": {"memory": "100Mi"}}}, 70 * MI),
        ({"resources": {"limits": {"memory": "10Mi"}}}, 0),
        ({}, 64 * MI),
        ({"inference": INFERENCE}, size(GEMMA, ModelOptions()).anonymous),
        ({"inference": INFERENCE, "resources": {"requests": {"memory": "1Gi"}}}, GI),
    ],
)
def test_the_request(spec: dict[str, object], request_bytes: int) -> None:
    found = demand(make_service(**spec), TMPFS, GEMMA)
    assert (found.request, found.tmpfs) == (request_bytes, 30 * MI)


@pytest.mark.parametrize(("history", "request_mib"), [(0, 64), (10 * MI, 64), (200 * MI, 200)])
def test_what_declares_nothing_is_admitted_with_the_most_it_used(history: int, request_mib: int) -> None:
    assert demand(make_service(), (), high_water=history).request == request_mib * MI
    assert demand(make_service(resources={"requests": {"memory": "1Mi"}}), (), high_water=history).request == MI


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
    second = Demand("b", priority, "2", 10, 0, device="gpu", scheduled=running)
    found = admit([first, second, Demand("c", 9, "3", 10, 0)], 1000)
    assert {key for key, verdict in found.items() if verdict.admitted} == {holder, "c"}
    refused = next(verdict for verdict in found.values() if not verdict.admitted)
    assert (refused.reason, f"in use by {holder}" in refused.message) == (Reason.DEVICE_IN_USE, True)


def test_a_peer_that_runs_is_not_stopped_for_an_older_one() -> None:
    running, older = Demand("young", 0, "2", 60, 0, scheduled=True), Demand("old", 0, "1", 60, 0)
    assert {key: v.admitted for key, v in admit([older, running], 100).items()} == {"young": True, "old": False}


def test_the_message_has_the_sum() -> None:
    needs = [
        Demand("a", 0, "1", 90 * MI, 30 * MI),
        Demand("b", 1, "1", 10 * MI, 0),
        Demand("c", 2, "1", 15 * MI, 5 * MI),
    ]
    assert admit(needs, 100 * MI)["a"].message.splitlines() == [
        "needs 120 MiB (90 MiB requested + 30 MiB tmpfs): 50 MiB short; lower its request or tmpfs, or stop another service",
        "100 MiB are for services; these come first:",
        "- 20 MiB c",
        "- 10 MiB b",
    ]


def test_the_sum_of_a_change_has_its_peers() -> None:
    given = [
        replace(RUNS, request=50 * MI, allocation=Allocation(5 * MI)),
        Demand("b", 0, "2", 60 * MI, 0, scheduled=True),
    ]
    lines = admit(given, 100 * MI)["a"].message.splitlines()
    assert (lines[0].startswith("needs 50 MiB"), "10 MiB short" in lines[0], lines[2:]) == (True, True, ["- 60 MiB b"])


def test_a_long_sum_names_the_largest() -> None:
    needs = [Demand(f"s{i:02}", 1, "1", i * MI, 0) for i in range(1, 13)]
    lines = admit([*needs, Demand("z", 0, "1", 100 * MI, 0)], 80 * MI)["z"].message.splitlines()
    assert (len(lines), lines[2], lines[-1]) == (11, "- 12 MiB s12", "- 10 MiB 4 others")


@pytest.mark.parametrize(
    ("order", "room", "admitted"),
    [
        ("dependant first", 110, {"dependency", "dependant"}),
        ("dependant first", 70, {"dependency"}),
        ("peer between", 110, {"dependency", "dependant"}),
    ],
)
def test_a_dependency_comes_before_its_dependant(order: str, room: int, admitted: set[str]) -> None:
    given = [
        Demand("dependant", 0, "1", 50, 0, after=frozenset({"dependency"})),
        Demand("dependency", 0, "3", 60, 0),
        *([Demand("peer", 0, "2", 60, 0)] if order == "peer between" else []),
    ]
    assert _admitted(given, room) == admitted


def test_a_cycle_of_dependencies_comes_to_an_end() -> None:
    given = [Demand("a", 0, "1", 1, 0, after=frozenset({"b"})), Demand("b", 0, "1", 1, 0, after=frozenset({"a"}))]
    assert _admitted(given, 10) == {"a", "b"}


@pytest.mark.parametrize(
    ("change", "others", "expected"),
    [
        ({"request": 90}, [], (True, False)),
        ({"request": 101}, [], (False, True)),
        ({"request": 101}, [Demand("b", 1, "1", 60, 0)], (False, False)),
        ({"mapped": 60, "model_file": "m"}, [], (False, True)),
        ({"request": 101}, [Demand("b", 0, "1", 60, 0)], (False, True)),
        ({"device": "gpu"}, [Demand("b", 1, "1", 1, 0, device="gpu")], (False, True)),
        (
            {"device": "gpu", "allocation": Allocation(50, device="gpu")},
            [Demand("b", 1, "1", 1, 0, device="gpu")],
            (False, False),
        ),
    ],
)
def test_a_change_that_does_not_fit_leaves_what_runs(
    change: dict[str, Any], others: list[Demand], expected: tuple[bool, bool]
) -> None:
    verdict = admit([replace(RUNS, **change), *others], 100)["a"]
    assert (verdict.admitted, verdict.keeps_running) == expected


def test_what_goes_on_as_it_was_takes_what_it_holds() -> None:
    given = [replace(RUNS, request=101), Demand("b", 0, "2", 51, 0), Demand("c", 0, "3", 50, 0)]
    assert _admitted(given, 100) == {"c"}


@pytest.mark.parametrize(
    "allocation",
    [Allocation(5), Allocation(5, 7, "m.gguf", "/dev/dri/renderD128"), Allocation(5, model_file='a "b".gguf')],
)
def test_a_holding_is_written_and_read(allocation: Allocation) -> None:
    assert Allocation.from_text(allocation.to_text()) == allocation


@pytest.mark.parametrize("text", ["", "5", "[]", "[1,2]", '["x",0,"",""]'])
def test_a_holding_that_is_something_else_is_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        Allocation.from_text(text)


WEIGHTS = {"": 0, "m.gguf": 40, "n.gguf": 30}


HELD = st.builds(
    lambda own, file: Allocation(own, WEIGHTS[file], file), st.integers(0, 150), st.sampled_from(sorted(WEIGHTS))
)
# One that runs holds something, which may be other than what it asks for by now.
demands = st.lists(
    st.builds(
        Demand,
        key=st.sampled_from("abcdef"),
        priority=st.integers(-1, 1),
        created=st.sampled_from(["1", "2"]),
        request=st.integers(0, 100),
        tmpfs=st.integers(20, 50),
        model_file=st.sampled_from(sorted(WEIGHTS)),
        movable_to_disk=st.sampled_from([0, 20]),
        after=st.frozensets(st.sampled_from("abcdef"), max_size=2),
        scheduled=st.booleans(),
        allocation=st.none() | HELD,
    ).map(lambda d: replace(d, mapped=WEIGHTS[d.model_file], scheduled=d.scheduled or d.allocation is not None)),
    unique_by=lambda d: d.key,
    max_size=6,
)
room = st.integers(0, 400)


def _used(given: Iterable[Demand], verdicts: dict[str, Verdict]) -> int:
    """Counted another way than admission does: what runs when every verdict is followed."""
    own, files = 0, set()
    for item in given:
        verdict = verdicts[item.key]
        if verdict.admitted:
            own += item.private_bytes - (item.movable_to_disk if verdict.on_disk else 0)
            files.add(item.model_file)
        elif verdict.keeps_running:
            assert item.allocation is not None
            own += item.allocation.private_bytes
            files.add(item.allocation.model_file)
    return own + sum(WEIGHTS[file] for file in files)


def _admitted(given: Iterable[Demand], allocatable: int) -> set[str]:
    return {key for key, verdict in admit(given, allocatable).items() if verdict.admitted}


@given(demands, room)
def test_never_more_than_there_is(given: list[Demand], allocatable: int) -> None:
    assert _used(given, admit(given, allocatable)) <= allocatable


@given(demands, room)
def test_nobody_waits_for_a_less_important_one(given: list[Demand], allocatable: int) -> None:
    verdicts = admit(given, allocatable)
    for waiting in given:
        peers = [d for d in given if d.scheduled and d.priority == waiting.priority]
        if waiting.scheduled and any(d.allocation != d.requested for d in peers):
            continue  # nor does it take anything from a peer: below
        if not verdicts[waiting.key].admitted:
            rest = [d for d in given if d.priority >= waiting.priority and d.key != waiting.key]
            least = replace(waiting, tmpfs=waiting.tmpfs - waiting.movable_to_disk, movable_to_disk=0)
            assert _used([*rest, least], verdicts | {waiting.key: Verdict(Reason.FITS, "")}) > allocatable


@given(demands, room)
def test_no_peer_is_stopped_for_a_peer(given: list[Demand], allocatable: int) -> None:
    runs: list[Demand] = []
    for peer in given:  # what is asked for may be more than what it holds, or less
        together = [d.allocation for d in (*runs, peer) if d.allocation is not None]
        held = sum(h.private_bytes for h in together) + sum(WEIGHTS[file] for file in {h.model_file for h in together})
        if peer.allocation is not None and held <= allocatable:
            runs.append(replace(peer, priority=0))
    verdicts = admit([*runs, *(replace(d, priority=0) for d in given if not d.scheduled)], allocatable)
    assert [d.key for d in runs if not (verdicts[d.key].admitted or verdicts[d.key].keeps_running)] == []


@given(demands, room, st.randoms())
def test_the_order_of_the_input_does_not_matter(given: list[Demand], allocatable: int, random: Any) -> None:
    shuffled = list(given)
    random.shuffle(shuffled)
    assert admit(given, allocatable) == admit(shuffled, allocatable)


@given(demands, room, st.integers(0, 200))
def test_more_memory_stops_nobody_but_for_one_more_important(given: list[Demand], allocatable: int, more: int) -> None:
    before, after = admit(given, allocatable), admit(given, allocatable + more)
    for stopped in [d for d in given if before[d.key].admitted and not after[d.key].admitted]:
        ahead = [d.key for d in given if d.priority >= stopped.priority and d.key != stopped.key]
        gained = [key for key in ahead if _rank(after[key]) > _rank(before[key])]
        assert gained


def _rank(verdict: Verdict) -> int:
    """How much of what a service asks for it gets."""
    return 3 * verdict.admitted - verdict.on_disk + verdict.keeps_running
