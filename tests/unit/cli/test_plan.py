"""What `xnai plan` says of the services it was asked about."""

import pytest

from xnai_operator.api.conditions import Condition, Reason, Type
from xnai_operator.cli.plan import changes
from xnai_operator.plan.types import Action, Plan, Report, Stop

A = "default.a"


def plan(*conditions: Condition, actions: tuple[Action, ...] = ()) -> Plan:
    return Plan(actions=actions, services={A: Report(conditions)}, policies={}, rendered={})


@pytest.mark.parametrize(
    ("reason", "expected"),
    [
        pytest.param(
            Reason.SPEC_CHANGED, [("start", "SpecChanged", "m, once the memory is given back")], id="nothing in the way"
        ),
        pytest.param(Reason.IMAGE_MISSING, [("none", "ImageMissing", "m")], id="something in the way"),
        pytest.param(Reason.STARTING, [], id="it runs and has not answered"),
        pytest.param(Reason.PROBE_FAILED, [], id="it runs and its probe fails"),
    ],
)
def test_a_service_without_an_action_is_explained(reason: Reason, expected: list[tuple[str, str, str]]) -> None:
    rows = changes(plan(Condition(Type.READY, False, reason, "m")), {A})
    assert [(row["action"], row["reason"], row["message"]) for row in rows] == expected


def test_a_service_that_is_not_admitted_shows_the_sum() -> None:
    ready = Condition(Type.READY, False, Reason.INSUFFICIENT_MEMORY, "short")
    rows = changes(plan(ready, Condition(Type.ADMITTED, False, Reason.INSUFFICIENT_MEMORY, "the sum")), {A})
    assert [row["message"] for row in rows] == ["the sum"]


def test_a_service_with_an_action_is_one_row() -> None:
    stop = Stop(name=A, reason=Reason.PREEMPTED, message="stopped")
    rows = changes(plan(Condition(Type.READY, False, Reason.PREEMPTED, "m"), actions=(stop,)), {A})
    assert [(row["action"], row["message"]) for row in rows] == [("stop", "stopped")]
