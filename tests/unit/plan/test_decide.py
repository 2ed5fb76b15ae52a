"""When a pod is started, replaced, stopped or left alone."""

from dataclasses import replace

import pytest

from tests.unit.conftest import make_service
from tests.unit.plan.states import NOW, actions, changed, ended, facts, ready, running
from xnai_operator.api.conditions import Reason, Type
from xnai_operator.api.status import XnaiServiceStatus
from xnai_operator.plan.decide import decide
from xnai_operator.plan.types import Invalid
from xnai_operator.render.installation import Installation


def test_a_new_service_is_started(installation: Installation) -> None:
    plan = decide(facts(make_service(), installation=installation), NOW)
    assert actions(plan) == [("start", "default.redis", Reason.POD_MISSING)]


def test_what_runs_unchanged_is_not_touched(installation: Installation) -> None:
    pods = running(make_service(), installation=installation)
    assert decide(facts(make_service(), installation=installation, pods=pods), NOW).actions == ()


def test_a_changed_spec_replaces_the_pod(installation: Installation) -> None:
    pods = running(make_service(), installation=installation)
    given = facts(make_service(args=["--new"]), installation=installation, pods=pods)
    assert actions(decide(given, NOW)) == [("start", "default.redis", Reason.SPEC_CHANGED)]


def test_a_changed_label_of_the_resource_restarts_nothing(installation: Installation) -> None:
    pods = running(make_service(), installation=installation)
    relabelled = replace(make_service(), labels={"new": "label"})
    assert decide(facts(relabelled, installation=installation, pods=pods), NOW).actions == ()


def test_a_pod_of_a_deleted_and_recreated_resource_is_replaced(installation: Installation) -> None:
    pods = changed(running(make_service(), installation=installation), uid="another")
    given = facts(make_service(), installation=installation, pods=pods)
    assert actions(decide(given, NOW)) == [("start", "default.redis", Reason.POD_MISSING)]


def test_a_pod_without_a_resource_is_stopped(installation: Installation) -> None:
    gone = facts(installation=installation, pods=running(make_service(), installation=installation))
    assert actions(decide(gone, NOW)) == [("stop", "default.redis", Reason.OWNER_GONE)]


def test_a_pod_of_a_resource_that_became_invalid_is_left_alone(installation: Installation) -> None:
    broken = facts(
        installation=installation,
        pods=running(make_service(), installation=installation),
        invalid=(Invalid("XnaiService", "default.redis", "spec.x: no"),),
    )
    plan = decide(broken, NOW)
    assert (plan.actions, ready(plan, "redis")) == ((), (False, Reason.SPEC_INVALID))


def test_a_missing_image_leaves_the_running_pod_alone(installation: Installation) -> None:
    pods = running(make_service(), installation=installation)
    plan = decide(facts(make_service(image="localhost/app:2"), installation=installation, pods=pods), NOW)
    assert (plan.actions, ready(plan, "redis")) == ((), (False, Reason.IMAGE_MISSING))


def test_a_refused_change_keeps_what_is_known_of_the_running_pod(installation: Installation) -> None:
    stored = {"status": "True", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    reasons = {"TmpfsEnforced": "MountsVerified", "MemoryPressure": "Thrashing", "LimitTight": "InsufficientHeadroom"}
    status = XnaiServiceStatus.parse({"conditions": [{**stored, "type": t, "reason": r} for t, r in reasons.items()]})
    pods = running(make_service(), installation=installation)
    refused = replace(make_service(image="localhost/gone:1"), status=status)
    plan = decide(facts(refused, installation=installation, pods=pods), NOW)
    found = [c.type for c in plan.services["default.redis"].conditions]
    assert found == [Type.READY, Type.RECONCILING, Type.TMPFS_ENFORCED, Type.MEMORY_PRESSURE]


def test_a_pod_on_which_something_is_done_is_left_alone(installation: Installation) -> None:
    pods = ended(running(make_service(), installation=installation), 9)
    given = facts(make_service(), installation=installation, pods=pods)
    plan = decide(replace(given, busy=frozenset(pods)), NOW)
    assert (plan.actions, plan.services) == ((), {})


@pytest.mark.parametrize(
    ("restarts", "ended_ago", "expected"),
    [
        pytest.param(0, 0.5, Reason.BACK_OFF, id="first exit, within 1 s"),
        pytest.param(0, 1.5, Reason.CONTAINER_EXITED, id="first exit, after 1 s"),
        pytest.param(3, 7.0, Reason.BACK_OFF, id="fourth exit, within 8 s"),
        pytest.param(3, 9.0, Reason.CONTAINER_EXITED, id="fourth exit, after 8 s"),
    ],
)
def test_an_exited_container_waits_longer_each_time(
    restarts: int, ended_ago: float, expected: Reason, installation: Installation
) -> None:
    service = replace(make_service(), status=XnaiServiceStatus(restarts=restarts, observed_generation=1))
    pods = ended(running(make_service(), installation=installation), ended_ago)
    plan = decide(facts(service, installation=installation, pods=pods), NOW)
    assert ready(plan, "redis") == (False, expected)
    assert bool(plan.actions) == (expected is Reason.CONTAINER_EXITED)
    assert (plan.wake_at is not None) == (expected is Reason.BACK_OFF)


def test_a_run_of_ten_minutes_resets_the_back_off(installation: Installation) -> None:
    service = replace(make_service(), status=XnaiServiceStatus(restarts=8, observed_generation=1))
    pods = ended(running(make_service(), installation=installation), 2, ran=700)
    plan = decide(facts(service, installation=installation, pods=pods), NOW)
    assert plan.services["default.redis"].fields["restarts"] == 1


def test_every_service_has_ready_from_the_first_pass(installation: Installation) -> None:
    services = [make_service("a"), make_service("b", image="none"), make_service("c", dependsOn=["c"])]
    plan = decide(facts(*services, installation=installation), NOW)
    assert [ready(plan, s.name)[0] for s in services] == [False, False, False]


def test_readiness_stands_until_the_first_answer_after_the_operator_restarted(installation: Installation) -> None:
    probe = {"readiness": {"tcpSocket": {"port": 6379}}}
    stored = {"type": "Ready", "status": "True", "reason": "ProbeSucceeded", "message": "HTTP 200"}
    status = XnaiServiceStatus.parse({"conditions": [stored | {"lastTransitionTime": "2026-01-01T00:00:00Z"}]})
    pods = running(make_service(health=probe), installation=installation)
    service = replace(make_service(health=probe), status=status)
    plan = decide(facts(service, installation=installation, pods=pods), NOW)
    assert ready(plan, "redis") == (True, Reason.PROBE_SUCCEEDED)
