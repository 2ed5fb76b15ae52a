"""Mounts that are on disk because memory or a budget does not suffice."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.conftest import make_service
from tests.unit.plan.states import GI, NOW, actions, changed, facts, on_disk, policy, ready, running, running_on
from xnai_operator.api.conditions import Reason, Type
from xnai_operator.api.quantity import MI
from xnai_operator.api.status import TmpfsMountStatus, XnaiServiceStatus
from xnai_operator.plan.decide import decide
from xnai_operator.render import names
from xnai_operator.render.installation import Installation

IMPLICIT = 64 * MI
"""/tmp, /run, /var/tmp and /dev/shm, which nobody asked for."""


SMALL: dict[str, Any] = {"resources": {"requests": {"memory": "1Gi"}}}
ON_DISK = [names.scratch("default", "redis", "/cache")]


@pytest.mark.parametrize(
    ("fallback", "room", "started", "disk"),
    [
        pytest.param("Deny", 3 * GI, True, [], id="Deny, room"),
        pytest.param("Deny", 2 * GI, False, [], id="Deny, no room"),
        pytest.param("Volume", 3 * GI, True, [], id="Volume, room"),
        pytest.param("Volume", 2 * GI, True, ON_DISK, id="Volume, room without the mount"),
        pytest.param("Volume", GI, False, [], id="Volume, no room without the mount"),
    ],
)
def test_without_room_the_policy_says_what_happens(
    fallback: str, room: int, started: bool, disk: list[str], installation: Installation
) -> None:
    given = facts(
        make_service(**SMALL), installation=installation, allocatable=room, policies=(policy(fallback=fallback),)
    )
    plan = decide(given, NOW)
    assert (bool(plan.actions), on_disk(plan, "redis")) == (started, disk)


def test_the_condition_says_that_it_is_on_disk(installation: Installation) -> None:
    given = facts(
        make_service(**SMALL), installation=installation, allocatable=2 * GI, policies=(policy(fallback="Volume"),)
    )
    pods = running_on(given)
    plan = decide(replace(given, observed=replace(given.observed, pods=pods), mounts={"default.redis": ()}), NOW)
    found = next(c for c in plan.services["default.redis"].conditions if c.type is Type.TMPFS_ENFORCED)
    assert (found.status, found.reason, "/cache is on disk" in found.message) == (False, Reason.TMPFS_ON_DISK, True)


@pytest.mark.parametrize(
    ("ended", "disk"), [pytest.param(False, ON_DISK, id="it runs"), pytest.param(True, [], id="it ended")]
)
def test_it_goes_back_to_memory_only_at_a_start_that_loses_nothing(
    ended: bool, disk: list[str], installation: Installation
) -> None:
    policies = (policy(fallback="Volume"),)
    tight = facts(make_service(**SMALL), installation=installation, allocatable=2 * GI, policies=policies)
    pods = changed(running_on(tight), running=not ended, finished_at=NOW - 5 if ended else 0.0)
    roomy = facts(make_service(**SMALL), installation=installation, allocatable=8 * GI, policies=policies, pods=pods)
    plan = decide(roomy, NOW)
    assert (on_disk(plan, "redis"), bool(plan.actions)) == (disk, ended)


def test_what_is_on_disk_is_not_told_as_memory(installation: Installation) -> None:
    policies = (policy(fallback="Volume"),)
    plan = decide(facts(make_service(**SMALL), installation=installation, allocatable=2 * GI, policies=policies), NOW)
    assert plan.services["default.redis"].fields["memoryRequestBytes"] == GI + IMPLICIT


def test_a_volume_of_the_service_is_never_one_that_stands_for_a_tmpfs() -> None:
    assert names.scratch("default", "redis", "/cache") != names.volume("default", "redis", "tmpfs-cache")
    assert names.scratch("default", "redis", "/a/b") != names.scratch("default", "redis", "/a_1b")


def test_a_budget_is_shared_by_importance(installation: Installation) -> None:
    low, high = make_service("low", **SMALL), make_service("high", priority=1, **SMALL)
    plan = decide(facts(low, high, installation=installation, policies=(policy(budget="1Gi"),)), NOW)
    assert actions(plan) == [("start", "default.high", Reason.POD_MISSING)]
    assert ready(plan, "low") == (False, Reason.TMPFS_BUDGET_EXCEEDED)
    message = plan.services["default.low"].conditions[0].message
    assert "need 1024 MiB, and other services use 1024 MiB of the budget of 1Gi" in message


@pytest.mark.parametrize(
    ("limit", "size"),
    [
        pytest.param("2Gi", 1536 * MI, id="the limit allows more"),
        pytest.param("300Mi", 100 * MI, id="the limit allows no more"),
    ],
)
def test_no_size_that_use_asks_for_makes_a_service_unstartable(
    limit: str, size: int, installation: Installation
) -> None:
    mounts = [{"mountPath": "/cache", "size": "100Mi"}]
    given = policy(mounts=mounts, sizing={"mode": "Apply", "max": "2Gi"})
    entry = TmpfsMountStatus(mount_path="/cache", size_bytes=100 * MI, high_water_bytes=1024 * MI)
    status = XnaiServiceStatus(tmpfs=[entry])
    service = make_service(resources={"requests": {"memory": "100Mi"}, "limits": {"memory": limit}})
    plan = decide(facts(replace(service, status=status), installation=installation, policies=(given,)), NOW)
    rendered = plan.rendered["default.redis"]
    assert [t.size for t in rendered.tmpfs if t.mount_path == "/cache"] == [size]


@pytest.mark.parametrize(
    ("share", "started"), [pytest.param("13%", True, id="13%"), pytest.param("12%", False, id="12%")]
)
def test_a_budget_may_be_a_share_of_the_machine(share: str, started: bool, installation: Installation) -> None:
    given = facts(make_service(**SMALL), installation=installation, policies=(policy(budget=share),))
    plan = decide(replace(given, node=replace(given.node, memory=8 * GI)), NOW)
    assert bool(plan.actions) == started
    if not started:
        assert (
            "of the budget of 12% of the node's memory, 983 MiB" in plan.services["default.redis"].conditions[0].message
        )


def test_over_the_budget_the_mounts_may_be_on_disk(installation: Installation) -> None:
    low, high = make_service("low", **SMALL), make_service("high", priority=1, **SMALL)
    given = facts(low, high, installation=installation, policies=(policy(budget="1Gi", fallback="Volume"),))
    plan = decide(given, NOW)
    assert (on_disk(plan, "high"), on_disk(plan, "low")) == ([], [names.scratch("default", "low", "/cache")])


@pytest.mark.parametrize(
    ("room", "stopped", "disk"),
    [
        pytest.param(5 * GI, [], [], id="room for all"),
        pytest.param(4 * GI, [], [names.scratch("default", "high", "/cache")], id="room without the mount"),
        pytest.param(3 * GI, ["default.low"], [names.scratch("default", "high", "/cache")], id="no room"),
    ],
)
def test_its_own_mounts_fall_back_before_a_less_important_service_is_stopped(
    room: int, stopped: list[str], disk: list[str], installation: Installation
) -> None:
    low = make_service("low", resources={"requests": {"memory": "2Gi"}})
    pods = running(low, installation=installation)
    high = replace(make_service("high", priority=1, **SMALL), labels={"app": "high"})
    policies = (policy(fallback="Volume", selector={"matchLabels": {"app": "high"}}),)
    given = facts(low, high, installation=installation, allocatable=room, policies=policies, pods=pods)
    plan = decide(given, NOW)
    assert [a.name for a in plan.actions if a.verb == "stop"] == stopped
    assert on_disk(plan, "high") == disk


def test_a_mount_of_the_service_itself_never_falls_back(installation: Installation) -> None:
    service = make_service(storage={"tmpfs": [{"mountPath": "/cache", "size": "1Gi"}]}, **SMALL)
    given = facts(service, installation=installation, allocatable=2 * GI, policies=(policy(fallback="Volume"),))
    assert decide(given, NOW).actions == ()


def test_the_more_important_stays_in_memory(installation: Installation) -> None:
    low, high = make_service("low", **SMALL), make_service("high", priority=1, **SMALL)
    room = 3 * GI + 2 * IMPLICIT
    given = facts(low, high, installation=installation, allocatable=room, policies=(policy(fallback="Volume"),))
    plan = decide(given, NOW)
    assert (on_disk(plan, "high"), on_disk(plan, "low")) == ([], [names.scratch("default", "low", "/cache")])
