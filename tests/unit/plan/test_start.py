"""Why a pod is started, what is said while it waits, and what is said of a suspended service."""

from dataclasses import replace

import pytest

from tests.unit.conftest import make_service
from tests.unit.plan.states import NOW, READY, facts, ready, running
from xnai_operator.api.conditions import Reason, Type
from xnai_operator.api.status import XnaiServiceStatus
from xnai_operator.plan.decide import decide
from xnai_operator.plan.start import start_failed
from xnai_operator.plan.types import Plan
from xnai_operator.render.installation import Installation


def message(plan: Plan, name: str = "redis") -> str:
    return next(c.message for c in plan.services[f"default.{name}"].conditions if c.type is Type.READY)


FAILED = {
    "restarts": 1,
    "retryAtSeconds": int(NOW) + 60,
    "lastStartFailure": "port 80: permission denied",
    "observedGeneration": 1,
}


def test_while_it_waits_after_a_failed_start_the_condition_has_the_cause(installation: Installation) -> None:
    service = replace(make_service(), status=XnaiServiceStatus.parse(FAILED))
    plan = decide(facts(service, installation=installation), NOW)
    assert ready(plan, "redis") == (False, Reason.BACK_OFF)
    assert message(plan) == "the last start failed: port 80: permission denied; waits before the next start"
    assert plan.services["default.redis"].fields["lastStartFailure"] == "port 80: permission denied"


@pytest.mark.parametrize(
    ("generation", "runs"), [pytest.param(2, False, id="edited"), pytest.param(1, True, id="it runs")]
)
def test_a_failure_that_is_over_is_forgotten(generation: int, runs: bool, installation: Installation) -> None:
    pods = running(make_service(), installation=installation) if runs else {}
    service = replace(make_service(), generation=generation, status=XnaiServiceStatus.parse(FAILED))
    plan = decide(facts(service, installation=installation, pods=pods), NOW)
    assert plan.services["default.redis"].fields["lastStartFailure"] is None


def test_a_failed_start_is_stored_with_its_cause_and_the_next_time() -> None:
    report = start_failed(XnaiServiceStatus(restarts=2), Reason.START_FAILED, "no such program", NOW)
    assert report.fields == {
        "restarts": 3,
        "retryAtSeconds": int(NOW) + 9,
        "lastStartFailure": "no such program",
    }


@pytest.mark.parametrize(
    ("args", "expected"),
    [pytest.param([], True, id="as it runs"), pytest.param(["--new"], False, id="edited since")],
)
def test_a_suspended_service_is_ready_only_as_it_is_written_now(
    args: list[str], expected: bool, installation: Installation
) -> None:
    pods = running(make_service(), installation=installation)
    probes = {"default.redis": READY}
    service, client = make_service(suspend=True, args=args), make_service("api", dependsOn=["redis"])
    plan = decide(facts(service, client, installation=installation, pods=pods, probes=probes), NOW)
    assert ready(plan, "redis") == (expected, Reason.SUSPENDED)
    assert ("goes on as it was before the edit" in message(plan)) is not expected
    assert [action.name for action in plan.actions] == ["default.api"]
