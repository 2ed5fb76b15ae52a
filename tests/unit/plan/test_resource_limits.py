"""The limits of a container: what is played, and what the status says of them."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.conftest import make_service
from tests.unit.plan.states import NOW, facts, running_on
from xnai_operator.api.conditions import Reason, Type
from xnai_operator.plan.decide import decide
from xnai_operator.render.installation import Installation


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        pytest.param(
            set(), {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi", "cpu": "1"}}, id="both controllers"
        ),
        pytest.param({"memory"}, {"limits": {"cpu": "1"}}, id="no memory controller"),
        pytest.param({"cpu"}, {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}}, id="no cpu controller"),
        pytest.param({"memory", "cpu"}, None, id="neither"),
    ],
)
def test_limits_that_cannot_be_set_are_not_played(
    missing: set[str], expected: dict[str, Any] | None, installation: Installation
) -> None:
    limited = make_service(resources={"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi", "cpu": "1"}})
    given = facts(limited, installation=installation)
    given = replace(given, observed=replace(given.observed, missing_controllers=frozenset(missing)))
    container = decide(given, NOW).rendered["default.redis"].document["spec"]["containers"][0]
    assert container.get("resources") == expected


@pytest.mark.parametrize(
    ("enforced", "missing", "expected"),
    [
        pytest.param(True, set(), (True, "memory and CPU limits"), id="enforced"),
        pytest.param(True, {"cpu"}, (False, "CPU limits do not"), id="no cpu controller"),
        pytest.param(False, {"memory"}, (False, "no memory limits here"), id="no memory controller"),
        pytest.param(False, set(), (False, "no memory limits here"), id="not enforced"),
    ],
)
def test_limits_that_are_not_enforced_are_told(
    enforced: bool, missing: set[str], expected: tuple[bool, str], installation: Installation
) -> None:
    given = facts(make_service(), installation=installation)
    observed = replace(given.observed, limits_enforced=enforced, missing_controllers=frozenset(missing))
    pods = running_on(replace(given, observed=observed))
    report = decide(replace(given, observed=replace(observed, pods=pods)), NOW).services["default.redis"]
    found = next(c for c in report.conditions if c.type is Type.LIMITS_ENFORCED)
    assert (found.status, expected[1] in found.message) == (expected[0], True)


def test_a_tight_limit_is_told_and_started(installation: Installation) -> None:
    tight = make_service(resources={"requests": {"memory": "100Mi"}, "limits": {"memory": "170Mi"}})
    plan = decide(facts(tight, installation=installation), NOW)
    found = [c for c in plan.services["default.redis"].conditions if c.type is Type.LIMIT_TIGHT]
    assert [(c.status, c.reason) for c in found] == [(True, Reason.INSUFFICIENT_HEADROOM)]
    assert len(plan.actions) == 1
