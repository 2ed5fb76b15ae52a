"""Who starts, waits or is stopped when the memory of the node is short."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.conftest import make_service
from tests.unit.plan.states import (
    BIG,
    GI,
    NOW,
    READY,
    actions,
    changed,
    ended,
    facts,
    mounted,
    ready,
    running,
    sized,
    started,
)
from xnai_operator.api.conditions import Reason, Type
from xnai_operator.api.status import XnaiServiceStatus
from xnai_operator.memory.allocation import Allocation
from xnai_operator.plan.decide import decide
from xnai_operator.plan.demands import collect_demands
from xnai_operator.plan.observed import ObservedPod
from xnai_operator.plan.types import Invalid
from xnai_operator.render.installation import Installation
from xnai_operator.tmpfs.mounts import merged


def test_the_less_important_service_waits_for_memory(installation: Installation) -> None:
    low, high = make_service("low", **BIG), make_service("high", priority=10, **BIG)
    plan = decide(facts(low, high, installation=installation, allocatable=4 * GI), NOW)
    assert [a.name for a in plan.actions] == ["default.high"]
    assert ready(plan, "low") == (False, Reason.INSUFFICIENT_MEMORY)


def test_a_more_important_service_takes_the_place_of_a_running_one_in_two_steps(installation: Installation) -> None:
    low, high = make_service("low", **BIG), make_service("high", priority=10, **BIG)
    pods = running(low, installation=installation)
    stops = decide(facts(low, high, installation=installation, allocatable=4 * GI, pods=pods), NOW)
    assert actions(stops) == [("stop", "default.low", Reason.PREEMPTED)]
    starts = decide(facts(low, high, installation=installation, allocatable=4 * GI), NOW)
    assert [a.name for a in starts.actions] == ["default.high"]


def test_nothing_takes_a_place_that_is_not_free_yet(installation: Installation) -> None:
    low, high = make_service("low", **BIG), make_service("high", priority=10, **BIG)
    pods = running(low, installation=installation)
    both = facts(low, high, installation=installation, allocatable=4 * GI, pods=pods)
    assert decide(replace(both, busy=frozenset(pods)), NOW).actions == ()


def test_a_peer_is_not_stopped(installation: Installation) -> None:
    young = make_service("young", created="2026-02-01T00:00:00Z", **BIG)
    pods = running(young, installation=installation)
    both = facts(young, make_service("old", **BIG), installation=installation, allocatable=4 * GI, pods=pods)
    plan = decide(both, NOW)
    assert (plan.actions, ready(plan, "old")) == ((), (False, Reason.INSUFFICIENT_MEMORY))


def test_nobody_is_stopped_for_what_cannot_start(installation: Installation) -> None:
    low = sized("low", "3Gi")
    pods = running(low, installation=installation)
    high = sized("high", "3Gi", priority=10, image="localhost/typo:1")
    plan = decide(facts(low, high, installation=installation, allocatable=4 * GI, pods=pods), NOW)
    assert (plan.actions, ready(plan, "high")) == ((), (False, Reason.IMAGE_MISSING))


def test_a_running_service_with_a_fault_gives_way_too(installation: Installation) -> None:
    low = make_service("low", image="localhost/gone:1", **BIG)
    both = facts(
        low,
        make_service("high", priority=10, **BIG),
        installation=installation,
        allocatable=4 * GI,
        pods=running(make_service("low", **BIG), installation=installation),
    )
    assert actions(decide(both, NOW)) == [("stop", "default.low", Reason.PREEMPTED)]


@pytest.mark.parametrize("busy", [pytest.param(True, id="its start is under way"), pytest.param(False, id="it ended")])
def test_what_is_started_again_keeps_its_place_among_peers(busy: bool, installation: Installation) -> None:
    app, older = sized("app", "3Gi", created="2026-02-01T00:00:00Z"), sized("older", "3Gi")
    pods = {} if busy else changed(ended(running(app, installation=installation), 0), pid=0)
    given = facts(app, older, installation=installation, allocatable=4 * GI, pods=pods)
    plan = decide(replace(given, busy=frozenset({"default.app"} if busy else ())), NOW)
    assert plan.actions == ()
    assert ready(plan, "older") == (False, Reason.INSUFFICIENT_MEMORY)


@pytest.mark.parametrize("hashed", [pytest.param(True, id="a restart"), pytest.param(False, id="a resize")])
def test_a_change_there_is_no_memory_for_leaves_the_running_pod_alone(hashed: bool, installation: Installation) -> None:
    before = sized("app", "1Gi")
    pods = running(before, installation=installation)
    # A tmpfs size is changed while the pod runs, and is not in its hash.
    grown = [{"mountPath": "/tmp", "size": "100Gi"}]
    after = sized("app", "100Gi") if hashed else sized("app", "1Gi", storage={"tmpfs": grown})
    mounts = mounted(started(before, installation=installation)["default.app"])
    probes = {"default.app": READY}
    needs_it = sized("needs-it", "1Gi", dependsOn=["app"])
    given = facts(after, needs_it, installation=installation, allocatable=4 * GI, pods=pods, probes=probes)
    plan = decide(replace(given, mounts={"default.app": mounts}), NOW)
    assert [a.name for a in plan.actions] == ["default.needs-it"]
    said = {c.type: c for c in plan.services["default.app"].conditions}
    assert (said[Type.ADMITTED].status, said[Type.ADMITTED].reason) == (False, Reason.INSUFFICIENT_MEMORY)
    assert said[Type.READY].status is not hashed


def test_a_change_that_fits_in_the_place_of_what_runs_is_made(installation: Installation) -> None:
    pods = running(sized("app", "3Gi"), installation=installation)
    given = facts(sized("app", "3500Mi"), installation=installation, allocatable=4 * GI, pods=pods)
    assert actions(decide(given, NOW)) == [("start", "default.app", Reason.SPEC_CHANGED)]


def test_what_declares_nothing_keeps_what_it_came_to_use(installation: Installation) -> None:
    pods = running(make_service("grown"), installation=installation)
    grown = replace(make_service("grown"), status=XnaiServiceStatus(memory_high_water_bytes=2 * GI))
    high = sized("high", "3Gi", priority=10)
    given = facts(grown, high, installation=installation, allocatable=4 * GI, pods=pods)
    assert actions(decide(given, NOW)) == [("stop", "default.grown", Reason.PREEMPTED)]


@pytest.mark.parametrize("size", ["100Mi", "100M"])
@pytest.mark.parametrize(
    "resources",
    [
        pytest.param({"limits": {"memory": "1Gi"}}, id="a limit"),
        pytest.param({"requests": {"memory": "1Gi"}}, id="a request"),
        pytest.param({}, id="neither"),
    ],
)
def test_what_runs_as_it_is_asked_for_holds_what_it_asks_for(
    resources: dict[str, Any], size: str, installation: Installation
) -> None:
    service = make_service(storage={"tmpfs": [{"mountPath": "/c", "size": size}]}, resources=resources)
    mounts = mounted(started(service, installation=installation)["default.redis"])
    given = facts(service, installation=installation, pods=running(service, installation=installation))
    given = replace(given, mounts={"default.redis": mounts})
    (demand,) = collect_demands(given, {service.key: merged(service, ())}, ()).by_key.values()
    assert demand.allocation == demand.requested


def test_what_grew_within_its_limit_stops_no_peer(installation: Installation) -> None:
    services = [make_service(name, resources={"limits": {"memory": "1Gi"}}) for name in "ab"]
    pods = running(*services, installation=installation)
    grown = tuple(
        replace(mount, size=200 << 20) for mount in mounted(started(*services, installation=installation)["default.a"])
    )
    given = facts(*services, installation=installation, allocatable=2 * GI, pods=pods)
    plan = decide(replace(given, mounts=dict.fromkeys(pods, grown)), NOW)
    assert [a.verb for a in plan.actions] == ["resize", "resize"]


def test_config_and_secrets_take_memory_of_the_machine(installation: Installation) -> None:
    secret: dict[str, Any] = {"storage": {"secrets": [{"name": "s", "mountPath": "/s"}]}}
    contents = {"default": {("Secret", "s"): {"a": b"x" * 5000, "b": b"x"}}}
    plan = decide(facts(make_service(**secret), installation=installation, contents=contents), NOW)
    plain = decide(facts(make_service(), installation=installation), NOW)
    more = [p.services["default.redis"].fields["memoryRequestBytes"] for p in (plan, plain)]
    assert more[0] - more[1] == 3 * 4096


@pytest.mark.parametrize(
    ("limit", "allocation", "waits"),
    [
        pytest.param(3 * GI, None, True, id="a limit"),
        pytest.param(0, None, False, id="neither"),
        pytest.param(0, Allocation(3 * GI), True, id="an allocation"),
    ],
)
def test_what_runs_although_its_resource_is_wrong_takes_its_memory(
    limit: int, allocation: Allocation | None, waits: bool, installation: Installation
) -> None:
    wrong = ObservedPod(
        name="default.wrong",
        namespace="default",
        service="wrong",
        uid="uid",
        hash="h",
        running=True,
        pid=42,
        started_at=NOW - 5,
        memory_limit=limit,
        allocation=allocation,
    )
    given = facts(
        sized("new", "2Gi"),
        installation=installation,
        allocatable=4 * GI,
        pods={wrong.name: wrong},
        invalid=(Invalid("XnaiService", "default.wrong", "spec.image: Field required"),),
    )
    expected = [] if waits else [("start", "default.new", Reason.POD_MISSING)]
    assert actions(decide(given, NOW)) == expected
