"""What is done while the memory of the machine is short: to whom, one at a time, and how it is taken back."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.conftest import make_service
from tests.unit.plan.states import (
    MODELS,
    NOW,
    Pressure,
    actions,
    changed,
    facts,
    model,
    on_disk,
    policy,
    pressed,
    ready,
    running,
    running_reduced,
    sized,
)
from xnai_operator.api.conditions import Reason
from xnai_operator.api.quantity import MI
from xnai_operator.api.resources import XnaiService
from xnai_operator.memory.gguf_header import ModelHeader
from xnai_operator.memory.ladder import Step
from xnai_operator.plan.decide import decide
from xnai_operator.plan.observed import ObservedMount
from xnai_operator.plan.types import Facts, Stop
from xnai_operator.plan.variants import reduced
from xnai_operator.render import names
from xnai_operator.render.installation import Installation


def world(*services: XnaiService, installation: Installation, pressure: Pressure, **given: Any) -> Facts:
    """Every service runs as declared, but for the pods in `given`."""
    given = {"models": MODELS, **given}
    pods = given.pop("pods", None)
    if pods is None:
        pods = running(*services, installation=installation, age=900, **given)
    return pressed(facts(*services, installation=installation, pods=pods, **given), pressure)


def small(*services: XnaiService, installation: Installation, pressure: Pressure) -> Facts:
    """Every model runs reduced."""
    pods = running_reduced(*services, installation=installation, models=MODELS)
    return world(*services, installation=installation, pressure=pressure, pods=pods)


def context(given: Facts, name: str) -> tuple[str, str]:
    environment = decide(given, NOW).rendered[f"default.{name}"].document["spec"]["containers"][0]["env"]
    values = {entry["name"]: entry["value"] for entry in environment}
    return values["XNAI_CTX"], values["XNAI_KV_TYPE"]


def test_nothing_new_starts_while_memory_is_short(installation: Installation) -> None:
    a, b = make_service("a"), make_service("b")
    pods = running(a, installation=installation)
    given = world(a, b, installation=installation, pressure=Pressure(Step.HOLD), pods=pods)
    plan = decide(given, NOW)
    assert (actions(plan), ready(plan, "b")) == ([], (False, Reason.NODE_MEMORY_LOW))


@pytest.mark.parametrize(("step", "starts"), [(Step.HOLD, True), (Step.SPILL, True), (Step.EVICT, False)])
def test_what_ended_starts_again_until_services_are_evicted(
    step: Step, starts: bool, installation: Installation
) -> None:
    pods = changed(running(make_service("a"), installation=installation), running=False, finished_at=NOW - 400)
    plan = decide(world(make_service("a"), installation=installation, pressure=Pressure(step), pods=pods), NOW)
    assert bool(plan.actions) is starts


@pytest.mark.parametrize(
    ("step", "acted", "busy", "expected"),
    [
        pytest.param(Step.HOLD, 60, set(), [], id="Hold"),
        pytest.param(Step.SHRINK, 60, set(), ["default.low"], id="Shrink"),
        pytest.param(Step.SHRINK, 29, set(), [], id="the last measure has its time to show"),
        pytest.param(Step.SHRINK, 60, {"low"}, ["default.high"], id="the first one answers"),
        pytest.param(Step.SHRINK, 60, {"low", "high"}, [], id="both answer"),
        pytest.param(Step.SPILL, 60, set(), ["default.low"], id="Spill"),
    ],
)
def test_one_idle_model_at_a_time_is_loaded_smaller_the_least_important_first(
    step: Step, acted: float, busy: set[str], expected: list[str], installation: Installation
) -> None:
    both = (model("high", 10), model("low"))
    pressure = Pressure(step, acted=acted, busy=frozenset(busy))
    given = world(*both, installation=installation, pressure=pressure)
    found = decide(given, NOW).actions
    assert [(a.name, a.reason, a.mitigates) for a in found] == [(n, Reason.MODEL_REDUCED, True) for n in expected]


@pytest.mark.parametrize(
    ("inference", "expected"),
    [
        pytest.param({}, ("2048", "q8_0"), id="a quarter of 8192"),
        pytest.param({"contextSize": 1024}, ("512", "q8_0"), id="at least 512"),
        pytest.param({"minContextSize": 4096}, ("4096", "q8_0"), id="at least minContextSize"),
        pytest.param({"kvCacheType": "q4_0"}, ("2048", "q4_0"), id="a smaller cache type stays"),
    ],
)
def test_a_smaller_model_has_less_context_and_a_smaller_cache(
    inference: dict[str, Any], expected: tuple[str, str], installation: Installation
) -> None:
    given = world(model("a", **inference), installation=installation, pressure=Pressure(Step.SHRINK))
    assert context(given, "a") == expected


@pytest.mark.parametrize(
    ("head_width", "declared", "expected"),
    [
        pytest.param(96, "f16", "q8_0", id="whole blocks of q8_0"),
        pytest.param(80, "f16", "f16", id="no whole blocks"),
        pytest.param(80, "f32", "f32", id="no whole blocks, f32"),
    ],
)
def test_a_cache_that_llama_cpp_cannot_make_is_not_asked_for(
    head_width: int, declared: str, expected: str, installation: Installation
) -> None:
    values = {
        "general.architecture": "llama",
        "llama.embedding_length": 8 * head_width,
        "llama.attention.head_count": 8,
    }
    given = world(model("a", kvCacheType=declared), installation=installation, pressure=Pressure(Step.SHRINK))
    models = {"m.gguf": ModelHeader({**values, "llama.block_count": 2}, {}, ())}
    assert context(replace(given, desired=replace(given.desired, models=models)), "a") == ("2048", expected)


def test_what_cannot_be_smaller_is_left_alone(installation: Installation) -> None:
    service = model("a", minContextSize=8192, kvCacheType="q8_0")
    assert reduced(service) is service
    assert decide(world(service, installation=installation, pressure=Pressure(Step.SHRINK)), NOW).actions == ()


@pytest.mark.parametrize("step", [Step.HOLD, Step.SHRINK, Step.EVICT])
def test_a_smaller_model_stays_so_until_the_shortage_is_over(step: Step, installation: Installation) -> None:
    given = small(model("a"), installation=installation, pressure=Pressure(step))
    assert decide(given, NOW).actions == ()


@pytest.mark.parametrize(
    ("busy", "expected"), [pytest.param(set(), [Reason.MODEL_RESTORED], id="idle"), pytest.param({"a"}, [], id="busy")]
)
def test_then_it_is_loaded_as_declared_when_it_is_idle(
    busy: set[str], expected: list[Reason], installation: Installation
) -> None:
    given = small(model("a"), installation=installation, pressure=Pressure(busy=frozenset(busy)))
    assert [a.reason for a in decide(given, NOW).actions] == expected


def test_the_most_important_model_is_restored_first(installation: Installation) -> None:
    both = (model("high", 10), model("low"))
    given = small(*both, installation=installation, pressure=Pressure())
    assert [a.name for a in decide(given, NOW).actions] == ["default.high"]


def mount(used: int) -> ObservedMount:
    return ObservedMount(
        mount_path="/cache", filesystem="tmpfs", size=1 << 30, used=used, mode="1777", uid=1001, gid=1001,
        flags=frozenset(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fallback", "used", "spilled"),
    [
        pytest.param("Volume", 20 * MI, True, id="Volume"),
        pytest.param("Volume", 1000, False, id="Volume, not worth it"),
        pytest.param("Deny", 20 * MI, False, id="Deny"),
    ],
)
def test_tmpfs_that_may_be_on_disk_go_there_when_it_is_worth_it(
    fallback: str, used: int, spilled: bool, installation: Installation
) -> None:
    pressure, policies = Pressure(Step.SPILL), (policy(fallback=fallback),)
    given = world(make_service("a"), installation=installation, pressure=pressure, policies=policies)
    given = replace(given, mounts={"default.a": (mount(used),)})
    plan = decide(given, NOW)
    expected = (
        ([("start", "default.a", Reason.TMPFS_SPILLED)], [names.scratch("default", "a", "/cache")])
        if spilled
        else ([], [])
    )
    assert (actions(plan), on_disk(plan, "a")) == expected


def test_one_that_cannot_be_started_again_keeps_nobody_from_being_moved(installation: Installation) -> None:
    services = (make_service("low"), make_service("mid", priority=1))
    pressure, policies = Pressure(Step.SPILL), (policy(fallback="Volume"),)
    given = world(*services, installation=installation, pressure=pressure, policies=policies)
    given = replace(given, mounts={"default.low": (mount(20 * MI),), "default.mid": (mount(20 * MI),)})
    broken = make_service("low", image="localhost/gone:1")
    given = replace(given, desired=replace(given.desired, services={**given.desired.services, broken.key: broken}))
    assert actions(decide(given, NOW)) == [("start", "default.mid", Reason.TMPFS_SPILLED)]


@pytest.mark.parametrize(
    ("step", "since", "acted", "stops", "told"),
    [
        pytest.param(Step.EVICT, 5, 60, [], {"default.low": Step.EVICT}, id="Evict: first it refuses new requests"),
        pytest.param(Step.EVICT, 15, 60, [("default.low", 10)], {"default.low": Step.EVICT}, id="Evict: after 10 s"),
        pytest.param(Step.EVICT, 60, 29, [], {"default.low": Step.EVICT}, id="Evict: 30 s between two"),
        pytest.param(Step.KILL, 0, 60, [("default.low", 0)], {"default.low": Step.KILL}, id="Kill: at once"),
        pytest.param(Step.KILL, 60, 4, [], {"default.low": Step.KILL}, id="Kill: 5 s between two"),
    ],
)
def test_the_least_important_service_is_stopped(
    step: Step, since: float, acted: float, stops: list[Any], told: dict[str, Step], installation: Installation
) -> None:
    services = (make_service("low"), make_service("middle", priority=5), make_service("high", priority=10))
    plan = decide(world(*services, installation=installation, pressure=Pressure(step, since, acted)), NOW)
    found = [(a.name, a.grace_seconds) for a in plan.actions if isinstance(a, Stop)]
    assert (found, len(plan.actions), plan.steps) == (stops, len(stops), told)
    assert all((a.reason, a.mitigates) == (Reason.EVICTED, True) for a in plan.actions)


def test_among_peers_it_is_the_one_that_uses_most_above_its_request(installation: Installation) -> None:
    services = (make_service("a"), make_service("b"), make_service("high", priority=10))
    used = {"default.a": 100 * MI, "default.b": 300 * MI}
    plan = decide(world(*services, installation=installation, pressure=Pressure(Step.KILL, used=used)), NOW)
    assert [a.name for a in plan.actions] == ["default.b"]


def test_the_most_important_is_never_stopped_nor_what_it_depends_on(installation: Installation) -> None:
    services = (make_service("store"), make_service("high", priority=10, dependsOn=["store"]))
    assert decide(world(*services, installation=installation, pressure=Pressure(Step.KILL)), NOW).actions == ()


def test_what_is_suspended_is_not_touched(installation: Installation) -> None:
    low, high = make_service("low"), make_service("high", priority=10)
    pods = running(low, high, installation=installation, age=900)
    held = make_service("low", suspend=True)
    given = world(held, high, installation=installation, pressure=Pressure(Step.KILL), pods=pods)
    assert decide(given, NOW).actions == ()


def test_nobody_is_stopped_for_one_that_cannot_start_yet(installation: Installation) -> None:
    low, high = sized("low", "5Gi"), sized("high", "5Gi", priority=10)
    pods = running(low, installation=installation)
    given = world(low, high, installation=installation, pressure=Pressure(Step.HOLD), pods=pods)
    assert decide(given, NOW).actions == ()


@pytest.mark.parametrize("step", [Step.SHRINK, Step.SPILL, Step.EVICT, Step.KILL])
def test_no_measure_is_taken_when_readings_no_longer_call_for_it(step: Step, installation: Installation) -> None:
    services = (model("low"), make_service("high", priority=10))
    plan = decide(world(*services, installation=installation, pressure=Pressure(step, calm=True)), NOW)
    assert (plan.actions, plan.steps, plan.wake_at) == ((), {}, None)


@pytest.mark.parametrize(
    ("step", "expected"), [pytest.param(Step.HOLD, "2048", id="Hold"), pytest.param(Step.NORMAL, "8192", id="Normal")]
)
def test_a_smaller_model_that_ended_starts_again_as_small_as_it_was(
    step: Step, expected: str, installation: Installation
) -> None:
    pods = running_reduced(model("a"), installation=installation, models=MODELS)
    pods = changed(pods, running=False, finished_at=NOW - 400)
    given = world(model("a"), installation=installation, pressure=Pressure(step), pods=pods)
    assert [a.verb for a in decide(given, NOW).actions] == ["start"]
    assert context(given, "a")[0] == expected
