"""What `spec.suspend` does to a service and to its memory."""

from tests.unit.conftest import make_service
from tests.unit.plan.states import BIG, GI, NOW, facts, ready, running
from xnai_operator.api.conditions import Reason
from xnai_operator.plan.decide import decide
from xnai_operator.render.installation import Installation


def test_a_suspended_service_is_neither_started_nor_stopped(installation: Installation) -> None:
    plan = decide(facts(make_service(suspend=True), installation=installation), NOW)
    assert (plan.actions, ready(plan, "redis")) == ((), (False, Reason.SUSPENDED))


def test_what_is_suspended_takes_no_memory(installation: Installation) -> None:
    waits = make_service("waits", priority=10, suspend=True, **BIG)
    plan = decide(facts(waits, make_service("runs", **BIG), installation=installation, allocatable=4 * GI), NOW)
    assert [a.name for a in plan.actions] == ["default.runs"]


def test_what_runs_suspended_keeps_its_memory(installation: Installation) -> None:
    pods = running(make_service("held", **BIG), installation=installation)
    held, high = make_service("held", suspend=True, **BIG), make_service("high", priority=10, **BIG)
    plan = decide(facts(held, high, installation=installation, allocatable=4 * GI, pods=pods), NOW)
    assert (plan.actions, ready(plan, "high")) == ((), (False, Reason.INSUFFICIENT_MEMORY))
