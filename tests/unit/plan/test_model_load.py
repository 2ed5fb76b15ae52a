"""One model is loaded at a time."""

from dataclasses import replace

import pytest

from tests.unit.plan.states import MODELS, NOW, actions, facts, model, ready, running
from xnai_operator.api.conditions import Reason
from xnai_operator.health.readiness import ProbeState
from xnai_operator.plan.decide import decide
from xnai_operator.plan.model_load import ModelLoad, other_model_load
from xnai_operator.render.installation import Installation


def test_of_two_models_the_more_important_is_loaded_first(installation: Installation) -> None:
    plan = decide(facts(model("low"), model("high", 1), installation=installation, models=MODELS), NOW)
    assert actions(plan) == [("start", "default.high", Reason.POD_MISSING)]
    assert ready(plan, "low") == (False, Reason.MODEL_LOADING)


@pytest.mark.parametrize(
    ("state", "age", "starts"),
    [
        pytest.param(ProbeState(started=False), 10, False, id="loading"),
        pytest.param(None, 10, False, id="not probed yet"),
        pytest.param(ProbeState(started=True, ready=True), 10, True, id="loaded"),
        pytest.param(ProbeState(started=True, ready=False), 10, True, id="loaded, not ready"),
        pytest.param(ProbeState(started=False), 300, True, id="after 300 s: it may hang for ever"),
    ],
)
def test_the_next_waits_until_the_first_is_loaded(
    state: ProbeState | None, age: float, starts: bool, installation: Installation
) -> None:
    given = facts(model("low"), model("high", 1), installation=installation, models=MODELS)
    pods = running(model("high", 1), installation=installation, age=age, models=MODELS)
    given = replace(given, observed=replace(given.observed, pods=pods))
    plan = decide(replace(given, probes={"default.high": state} if state else {}), NOW)
    assert [name for _, name, _ in actions(plan)] == (["default.low"] if starts else [])
    if not starts:
        assert plan.wake_at == NOW - age + 300


@pytest.mark.parametrize(
    ("starting", "busy", "expected"),
    [
        pytest.param(set(), set(), None, id="nothing starts"),
        pytest.param({"default.high"}, set(), ModelLoad("high"), id="it starts in this pass"),
        pytest.param(set(), {"default.high"}, ModelLoad("high"), id="its start is under way"),
        pytest.param({"default.low"}, {"default.low"}, None, id="the service itself"),
    ],
)
def test_a_model_that_starts_delays_the_next(
    starting: set[str], busy: set[str], expected: ModelLoad | None, installation: Installation
) -> None:
    low = model("low")
    given = facts(low, model("high", 1), installation=installation, models=MODELS)
    assert other_model_load(replace(given, busy=frozenset(busy)), low, starting, NOW) == expected


def test_a_service_without_a_model_does_not_wait(installation: Installation) -> None:
    plan = decide(
        facts(
            model("a"),
            replace(model("b"), spec=model("b").spec.model_copy(update={"inference": None})),
            installation=installation,
            models=MODELS,
        ),
        NOW,
    )
    assert len(plan.actions) == 2
