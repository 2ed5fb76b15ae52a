"""What a restart says of the change."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.conftest import make_service
from tests.unit.plan.states import NOW, changed, facts, running, running_on
from xnai_operator.api.conditions import Reason
from xnai_operator.plan.decide import decide
from xnai_operator.render.installation import Installation
from xnai_operator.render.variant import Variant


@pytest.mark.parametrize(
    ("spec", "pod", "message"),
    [
        pytest.param({"env": [{"name": "A", "value": "1"}]}, {}, "env changed", id="a section"),
        pytest.param({"args": ["x"], "ports": [{"name": "p", "containerPort": 1}]}, {}, "command and 1 more section changed", id="two sections"),
        pytest.param({"args": ["x"]}, {"sections": {}}, "the rendering of the operator changed", id="a pod of another version"),
        pytest.param(
            {"args": ["x"]},
            {"variant": Variant(on_disk=frozenset({"/cache"}))},
            "command changed (tmpfs on disk: none instead of /cache)",
            id="the variant too",
        ),
    ],
)  # fmt: skip
def test_a_restart_names_the_first_difference(
    spec: dict[str, Any], pod: dict[str, Any], message: str, installation: Installation
) -> None:
    pods = changed(running(make_service(), installation=installation), running=False, **pod)
    (action,) = decide(facts(make_service(**spec), installation=installation, pods=pods), NOW).actions
    assert (action.reason, action.message) == (Reason.SPEC_CHANGED, message)


def test_limits_that_can_be_set_again_are_named(installation: Installation) -> None:
    limited = make_service(resources={"limits": {"cpu": "1"}})
    given = facts(limited, installation=installation)
    without = replace(given, observed=replace(given.observed, missing_controllers=frozenset({"cpu"})))
    pods = running_on(without)
    (action,) = decide(facts(limited, installation=installation, pods=pods), NOW).actions
    assert action.message == "resources changed (limits left out: none instead of cpu)"
