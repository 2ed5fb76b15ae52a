"""The order of the gates: of two that stop a service the earlier one is reported.

Three pairs exclude each other, so that only the names tell their order: a policy conflict and an eviction, an eviction and a
preemption, a change that does not fit and held starts.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.unit.conftest import make_service
from tests.unit.plan.states import BIG, GI, MODELS, NOW, Pressure, facts, policy, pressed, ready, running
from xnai_operator.api.conditions import Reason
from xnai_operator.api.status import XnaiServiceStatus
from xnai_operator.memory.ladder import Step
from xnai_operator.plan.decide import decide
from xnai_operator.plan.gates import REFUSALS, STEPS
from xnai_operator.plan.types import Facts
from xnai_operator.render.installation import Installation


def test_the_tables_are_in_this_order() -> None:
    assert [gate.__name__ for gate in REFUSALS] == [
        "action_in_progress",
        "policy_conflict",
        "evicted",
        "preempted",
        "over_budget",
        "checks_failed",
        "suspended_and_stopped",
    ]
    assert [gate.__name__ for gate in STEPS] == [
        "suspended",
        "runs_as_rendered",
        "init_container_runs",
        "change_does_not_fit",
        "starts_held",
        "not_admitted",
        "dependency_not_ready",
        "other_model_loading",
        "backing_off",
        "start",
    ]


@pytest.mark.parametrize("gate", [*REFUSALS, *STEPS], ids=lambda gate: gate.__name__)
def test_every_gate_says_what_it_makes_sure_of(gate: Callable[..., object]) -> None:
    assert (gate.__doc__ or "").endswith(".")


@dataclass
class Stopped:
    """A service `s` that several gates stop, and the reason that is reported."""

    reason: Reason
    spec: dict[str, Any] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)
    step: Step = Step.NORMAL
    allocatable: int = 8 * GI
    runs: bool = False
    policies: tuple[dict[str, Any], ...] = ()
    dependency: bool = False
    more_important: bool = False
    model_loading: bool = False


MISSING_IMAGE = {"image": "localhost/gone:1"}
MODEL: dict[str, Any] = {"inference": {"model": {"file": "m.gguf"}}}
MOST = {"requests": {"memory": "8100Mi"}}
DEPENDS = {"dependsOn": ["other"]}
WAITS = {"retryAtSeconds": int(NOW) + 60, "observedGeneration": 1}
SELECTOR = {"selector": {"matchLabels": {"app": "s"}}}
CONFLICT: tuple[dict[str, Any], ...] = tuple({"mounts": [{"mountPath": "/c", "size": size}]} for size in ("1Mi", "2Mi"))
BUDGET: tuple[dict[str, Any], ...] = ({"mounts": [{"mountPath": "/c", "size": "2Mi"}], "budget": "1Mi"},)


def stopped(case: Stopped, installation: Installation) -> Facts:
    policies = tuple(policy(f"p{index}", **SELECTOR, **spec) for index, spec in enumerate(case.policies))
    service = replace(make_service("s", **case.spec), status=XnaiServiceStatus.parse(case.status))
    others = [make_service("other", priority=9, image="localhost/gone:1")] if case.dependency else []
    others += [make_service("high", priority=9, resources=MOST)] if case.more_important else []
    others += [make_service("model", priority=9, **MODEL)] if case.model_loading else []
    pods = running(make_service("s"), installation=installation) if case.runs else {}
    given = facts(
        service,
        *others,
        installation=installation,
        allocatable=case.allocatable,
        pods=pods,
        policies=policies,
        models=MODELS,
    )
    return pressed(given, Pressure(case.step))


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(Stopped(Reason.POLICY_CONFLICT, MISSING_IMAGE, policies=CONFLICT), id="policy conflict, no image"),
        pytest.param(
            Stopped(Reason.TMPFS_BUDGET_EXCEEDED, MISSING_IMAGE, runs=True, policies=BUDGET),
            id="budget exceeded, no image",
        ),
        pytest.param(Stopped(Reason.IMAGE_MISSING, {**MISSING_IMAGE, "suspend": True}), id="no image, suspended"),
        pytest.param(Stopped(Reason.SUSPENDED, {"suspend": True}, step=Step.HOLD), id="suspended, starts held"),
        pytest.param(
            Stopped(Reason.PREEMPTED, {"image": "localhost/gone:1"}, runs=True, more_important=True, policies=BUDGET),
            id="preempted, budget exceeded, no image",
        ),
        pytest.param(Stopped(Reason.SUSPENDED, {"suspend": True}, runs=True), id="suspended, runs as rendered"),
        pytest.param(
            Stopped(Reason.SUSPENDED, {"suspend": True, "args": ["new"]}, runs=True),
            id="suspended while it runs, changed",
        ),
        pytest.param(
            Stopped(Reason.NODE_MEMORY_LOW, BIG, step=Step.HOLD, allocatable=GI), id="starts held, not admitted"
        ),
        pytest.param(
            Stopped(Reason.INSUFFICIENT_MEMORY, {**BIG, **DEPENDS}, allocatable=GI, dependency=True),
            id="not admitted, dependency not ready",
        ),
        pytest.param(
            Stopped(Reason.DEPENDENCY_NOT_READY, DEPENDS, WAITS, dependency=True), id="dependency not ready, back-off"
        ),
        pytest.param(
            Stopped(Reason.DEPENDENCY_NOT_READY, {**MODEL, **DEPENDS}, dependency=True, model_loading=True),
            id="dependency not ready, other model loading",
        ),
        pytest.param(
            Stopped(Reason.MODEL_LOADING, MODEL, WAITS, model_loading=True), id="other model loading, back-off"
        ),
        pytest.param(Stopped(Reason.BACK_OFF, {}, WAITS), id="back-off"),
        pytest.param(Stopped(Reason.POD_MISSING), id="nothing stops it"),
    ],
)
def test_of_two_gates_the_earlier_one_is_reported(case: Stopped, installation: Installation) -> None:
    assert ready(decide(stopped(case, installation), NOW), "s")[1] is case.reason


def test_an_action_in_progress_is_reported_before_everything_else(installation: Installation) -> None:
    given = stopped(Stopped(Reason.POLICY_CONFLICT, policies=CONFLICT), installation)
    plan = decide(replace(given, busy=frozenset({"default.s"})), NOW)
    assert (plan.actions, plan.services) == ((), {})
