"""Which services are admitted, which mounts go to disk, and which running pods keep running."""

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnai_operator.api.conditions import Reason
from xnai_operator.api.quantity import MI
from xnai_operator.memory.admission import Verdict, admit
from xnai_operator.memory.allocation import Allocation
from xnai_operator.memory.demand import Demand

RUNS = Demand("a", 0, "1", 50, 0, scheduled=True, allocation=Allocation(50))


def test_one_model_file_counts_once() -> None:
    one = Demand("a", 0, "1", 10, 0, mapped=100, model_file="m.gguf")
    verdicts = admit([one, replace(one, key="b")], 130)
    assert [verdict.admitted for verdict in verdicts.values()] == [True, True]


@pytest.mark.parametrize(
    ("priority", "running", "holder"),
    [
        pytest.param(0, False, "a", id="the older of peers"),
        pytest.param(1, False, "b", id="the more important"),
        pytest.param(0, True, "b", id="the running of peers"),
        pytest.param(-1, True, "a", id="not the running but less important"),
    ],
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


def test_the_message_is_the_sentence_and_the_account() -> None:
    needs = [
        Demand("a", 0, "1", 90 * MI, 30 * MI),
        Demand("b", 1, "1", 10 * MI, 0),
        Demand("c", 2, "1", 15 * MI, 5 * MI),
    ]
    found = admit(needs, 100 * MI)["a"]
    assert found.sentence == (
        "needs 120 MiB (90 MiB requested + 30 MiB tmpfs): 50 MiB short; lower its request or tmpfs, "
        "or stop another service"
    )
    assert found.account.splitlines() == ["100 MiB are for services; these come first:", "- 20 MiB c", "- 10 MiB b"]
    assert found.message == f"{found.sentence}\n{found.account}"


def test_a_message_without_an_account_is_the_sentence() -> None:
    found = admit([Demand("a", 0, "1", MI, 0)], 100 * MI)["a"]
    assert (found.account, found.message) == ("", found.sentence)


FALLBACK = Demand("a", 1, "1", 50, 30, movable_to_disk=30)


@pytest.mark.parametrize(
    ("demand", "others", "expected"),
    [
        pytest.param(FALLBACK, [], (True, False), id="fits in memory"),
        pytest.param(replace(FALLBACK, request=80), [], (True, True), id="fits on disk"),
        pytest.param(replace(FALLBACK, request=101), [], (False, False), id="does not fit"),
        pytest.param(FALLBACK, [replace(RUNS, key="b")], (True, True), id="before a running service is stopped"),
        pytest.param(
            FALLBACK,
            [replace(RUNS, key="b", request=60, allocation=Allocation(60))],
            (True, True),
            id="and a running service is stopped as well",
        ),
        pytest.param(FALLBACK, [Demand("b", 0, "1", 50, 0)], (True, False), id="a waiting service does not count"),
        pytest.param(
            replace(FALLBACK, scheduled=True, allocation=FALLBACK.requested),
            [replace(RUNS, key="b")],
            (True, False),
            id="an unchanged pod stays in memory",
        ),
    ],
)
def test_mounts_go_to_disk_before_others_are_stopped(
    demand: Demand, others: list[Demand], expected: tuple[bool, bool]
) -> None:
    verdict = admit([demand, *others], 100)["a"]
    assert (verdict.admitted, verdict.on_disk) == expected


def test_weights_that_two_peers_map_are_kept_free_once() -> None:
    held = Allocation(10, 30, "m.gguf")
    peers = [Demand(key, 0, "2", 10, 0, scheduled=True, allocation=held) for key in "bc"]
    assert admit([replace(RUNS, request=50, allocation=Allocation(40)), *peers], 100)["a"].admitted


def test_the_message_says_what_is_missing_with_the_mounts_on_disk() -> None:
    found = admit([Demand("a", 0, "1", 90 * MI, 30 * MI, movable_to_disk=20 * MI)], 95 * MI)["a"]
    assert ": 5 MiB short even with 20 MiB of its tmpfs on disk" in found.sentence


def test_the_account_of_a_change_has_its_peers() -> None:
    given = [
        replace(RUNS, request=50 * MI, allocation=Allocation(5 * MI)),
        Demand("b", 0, "2", 60 * MI, 0, scheduled=True),
    ]
    lines = admit(given, 100 * MI)["a"].message.splitlines()
    assert (lines[0].startswith("needs 50 MiB"), "10 MiB short" in lines[0], lines[2:]) == (True, True, ["- 60 MiB b"])


@pytest.mark.parametrize(
    ("order", "room", "admitted"),
    [
        pytest.param("dependant first", 110, {"dependency", "dependant"}, id="room for both"),
        pytest.param("dependant first", 70, {"dependency"}, id="room for the dependency"),
        pytest.param("peer between", 110, {"dependency", "dependant"}, id="a peer between them"),
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
        pytest.param({"request": 90}, [], (True, False), id="fits"),
        pytest.param({"request": 101}, [], (False, True), id="more than there is"),
        pytest.param({"request": 101}, [Demand("b", 1, "1", 60, 0)], (False, False), id="its old size does not fit"),
        pytest.param({"mapped": 60, "model_file": "m"}, [], (False, True), id="its new weights do not fit"),
        pytest.param({"request": 101}, [Demand("b", 0, "1", 60, 0)], (False, True), id="before a peer that waits"),
        pytest.param(
            {"device": "gpu"}, [Demand("b", 1, "1", 1, 0, device="gpu")], (False, True), id="the GPU is in use"
        ),
        pytest.param(
            {"device": "gpu", "allocation": Allocation(50, device="gpu")},
            [Demand("b", 1, "1", 1, 0, device="gpu")],
            (False, False),
            id="its own GPU is in use",
        ),
    ],
)
def test_a_change_that_does_not_fit_leaves_the_running_pod(
    change: dict[str, Any], others: list[Demand], expected: tuple[bool, bool]
) -> None:
    verdict = admit([replace(RUNS, **change), *others], 100)["a"]
    assert (verdict.admitted, verdict.keeps_running) == expected


def test_a_pod_that_keeps_running_takes_its_allocation() -> None:
    given = [replace(RUNS, request=101), Demand("b", 0, "2", 51, 0), Demand("c", 0, "3", 50, 0)]
    assert _admitted(given, 100) == {"c"}


WEIGHTS = {"": 0, "m.gguf": 40, "n.gguf": 30}


HELD = st.builds(
    lambda own, file: Allocation(own, WEIGHTS[file], file), st.integers(0, 150), st.sampled_from(sorted(WEIGHTS))
)
# A running pod has an allocation, which may differ from the present demand.
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
    """The memory in use when every verdict is carried out; counted in another way than admission counts it."""
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
            continue  # it takes nothing from a peer: the next test
        if not verdicts[waiting.key].admitted:
            rest = [d for d in given if d.priority >= waiting.priority and d.key != waiting.key]
            least = replace(waiting, tmpfs=waiting.tmpfs - waiting.movable_to_disk, movable_to_disk=0)
            assert _used([*rest, least], verdicts | {waiting.key: Verdict(Reason.FITS, "")}) > allocatable


@given(demands, room)
def test_no_peer_is_stopped_for_a_peer(given: list[Demand], allocatable: int) -> None:
    runs: list[Demand] = []
    for peer in given:  # its demand may be more than its allocation, or less
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
    """Orders verdicts by how much of its demand the service gets."""
    return 3 * verdict.admitted - verdict.on_disk + verdict.keeps_running
