"""What is done while the memory of the machine is short: to whom, one at a time, and how it is taken back."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.conftest import make_service
from tests.unit.plan.test_decide import NOW, actions, facts, observed, ready
from tests.unit.plan.test_fallback import MI, on_disk, policy
from xnai_operator.api.conditions import Reason
from xnai_operator.api.resources import XnaiService
from xnai_operator.memory.gguf_header import ModelHeader
from xnai_operator.memory.ladder import Ladder, Step
from xnai_operator.plan.decide import decide
from xnai_operator.plan.observed import ObservedMount
from xnai_operator.plan.types import Facts, NodePressure, Stop
from xnai_operator.plan.variants import reduced
from xnai_operator.render import names
from xnai_operator.render.installation import Installation
from xnai_operator.render.variant import Variant

MODELS = {"m.gguf": ModelHeader({"general.architecture": "llama"}, {}, ())}


def model(name: str, priority: int = 0, **inference: Any) -> XnaiService:
    return make_service(
        name, priority=priority, inference={"model": {"file": "m.gguf"}, "contextSize": 8192, **inference}
    )


def world(
    *services: XnaiService,
    installation: Installation,
    step: Step = Step.NORMAL,
    stopped: frozenset[str] = frozenset(),
    small: frozenset[str] = frozenset(),
    acted: float = 60,
    calm: bool = False,
    changed: float = 60,
    busy: frozenset[str] = frozenset(),
    used: dict[str, int] | None = None,
    **desired: Any,
) -> Facts:
    """Every service runs as declared and idles, but for those in `stopped`; `small` ones run reduced; `busy` ones do
    not idle. `acted` and `changed` in seconds ago."""
    fresh = facts(*services, installation=installation, models=MODELS, **desired)
    rendered = decide(fresh, NOW).rendered
    if small:
        reducing = replace(fresh, pressure=NodePressure(Ladder(Step.SHRINK), frozenset()))
        pods = {
            f"default.{name}": replace(observed(rendered[f"default.{name}"]), variant=Variant(reduced=True))
            for name in small
        }
        shrunk = decide(replace(reducing, observed=replace(fresh.observed, pods=pods)), NOW).rendered
        rendered = {**rendered, **{key: pod for key, pod in shrunk.items() if key.removeprefix("default.") in small}}
    pods = {pod.name: observed(pod, age=900) for pod in rendered.values() if pod.service not in stopped}
    ladder = Ladder(step, NOW - changed, NOW - acted, NOW - 1 if calm else 0.0)
    idle = frozenset(name for name in pods if name.removeprefix("default.") not in busy)
    return replace(
        fresh, observed=replace(fresh.observed, pods=pods), pressure=NodePressure(ladder, idle, frozenset(), used or {})
    )


def context(given: Facts, name: str) -> tuple[str, str]:
    environment = decide(given, NOW).rendered[f"default.{name}"].document["spec"]["containers"][0]["env"]
    values = {entry["name"]: entry["value"] for entry in environment}
    return values["XNAI_CTX"], values["XNAI_KV_TYPE"]


def test_nothing_new_starts_while_memory_is_short(installation: Installation) -> None:
    given = world(
        make_service("a"), make_service("b"), installation=installation, step=Step.HOLD, stopped=frozenset({"b"})
    )
    plan = decide(given, NOW)
    assert (actions(plan), ready(plan, "b")) == ([], (False, Reason.NODE_MEMORY_LOW))


@pytest.mark.parametrize(("step", "starts"), [(Step.HOLD, True), (Step.SPILL, True), (Step.EVICT, False)])
def test_what_ended_starts_again_until_services_are_evicted(
    step: Step, starts: bool, installation: Installation
) -> None:
    given = world(make_service("a"), installation=installation, step=step)
    ended = {k: replace(p, running=False, finished_at=NOW - 400) for k, p in given.observed.pods.items()}
    plan = decide(replace(given, observed=replace(given.observed, pods=ended)), NOW)
    assert bool(plan.actions) is starts


@pytest.mark.parametrize(
    ("step", "acted", "busy", "expected"),
    [
        (Step.HOLD, 60, set(), []),
        (Step.SHRINK, 60, set(), ["default.low"]),
        (Step.SHRINK, 29, set(), []),  # the last measure has its time to show
        (Step.SHRINK, 60, {"low"}, ["default.high"]),  # an answer is under way
        (Step.SHRINK, 60, {"low", "high"}, []),
        (Step.SPILL, 60, set(), ["default.low"]),
    ],
)
def test_one_idle_model_at_a_time_is_loaded_smaller_the_least_important_first(
    step: Step, acted: float, busy: set[str], expected: list[str], installation: Installation
) -> None:
    both = (model("high", 10), model("low"))
    given = world(*both, installation=installation, step=step, acted=acted, busy=frozenset(busy))
    found = decide(given, NOW).actions
    assert [(a.name, a.reason, a.mitigates) for a in found] == [(n, Reason.MODEL_REDUCED, True) for n in expected]


@pytest.mark.parametrize(
    ("inference", "expected"),
    [
        ({}, ("2048", "q8_0")),
        ({"contextSize": 1024}, ("512", "q8_0")),
        ({"minContextSize": 4096}, ("4096", "q8_0")),
        ({"kvCacheType": "q4_0"}, ("2048", "q4_0")),
    ],
)
def test_a_smaller_model_has_less_context_and_a_smaller_cache(
    inference: dict[str, Any], expected: tuple[str, str], installation: Installation
) -> None:
    given = world(model("a", **inference), installation=installation, step=Step.SHRINK)
    assert context(given, "a") == expected


def test_what_cannot_be_smaller_is_left_alone(installation: Installation) -> None:
    service = model("a", minContextSize=8192, kvCacheType="q8_0")
    assert reduced(service) is service
    assert decide(world(service, installation=installation, step=Step.SHRINK), NOW).actions == ()


@pytest.mark.parametrize("step", [Step.HOLD, Step.SHRINK, Step.EVICT])
def test_a_smaller_model_stays_so_until_the_shortage_is_over(step: Step, installation: Installation) -> None:
    given = world(model("a"), installation=installation, step=step, small=frozenset({"a"}))
    assert decide(given, NOW).actions == ()


@pytest.mark.parametrize(("busy", "expected"), [(set(), [Reason.MODEL_RESTORED]), ({"a"}, [])])
def test_then_it_is_loaded_as_declared_when_it_is_idle(
    busy: set[str], expected: list[Reason], installation: Installation
) -> None:
    given = world(model("a"), installation=installation, small=frozenset({"a"}), busy=frozenset(busy))
    assert [a.reason for a in decide(given, NOW).actions] == expected


def test_the_most_important_model_is_restored_first(installation: Installation) -> None:
    both = (model("high", 10), model("low"))
    given = world(*both, installation=installation, small=frozenset({"high", "low"}))
    assert [a.name for a in decide(given, NOW).actions] == ["default.high"]


def mount(used: int) -> ObservedMount:
    return ObservedMount(
        mount_path="/cache", filesystem="tmpfs", size=1 << 30, used=used, mode="1777", uid=1001, gid=1001,
        flags=frozenset(),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("fallback", "used", "spilled"), [("Volume", 20 * MI, True), ("Volume", 1000, False), ("Deny", 20 * MI, False)]
)
def test_tmpfs_that_may_be_on_disk_go_there_when_it_is_worth_it(
    fallback: str, used: int, spilled: bool, installation: Installation
) -> None:
    given = world(make_service("a"), installation=installation, step=Step.SPILL, policies=(policy(fallback=fallback),))
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
    given = world(*services, installation=installation, step=Step.SPILL, policies=(policy(fallback="Volume"),))
    given = replace(given, mounts={"default.low": (mount(20 * MI),), "default.mid": (mount(20 * MI),)})
    broken = make_service("low", image="localhost/gone:1")
    given = replace(given, desired=replace(given.desired, services={**given.desired.services, broken.key: broken}))
    assert actions(decide(given, NOW)) == [("start", "default.mid", Reason.TMPFS_SPILLED)]


@pytest.mark.parametrize(
    ("step", "changed", "acted", "stops", "told"),
    [
        (Step.EVICT, 5, 60, [], {"default.low": Step.EVICT}),  # first it refuses new requests
        (Step.EVICT, 15, 60, [("default.low", 10)], {"default.low": Step.EVICT}),
        (Step.EVICT, 60, 29, [], {"default.low": Step.EVICT}),
        (Step.KILL, 0, 60, [("default.low", 0)], {"default.low": Step.KILL}),
        (Step.KILL, 60, 4, [], {"default.low": Step.KILL}),
    ],
)
def test_the_least_important_service_is_stopped(
    step: Step, changed: float, acted: float, stops: list[Any], told: dict[str, Step], installation: Installation
) -> None:
    services = (make_service("low"), make_service("middle", priority=5), make_service("high", priority=10))
    plan = decide(world(*services, installation=installation, step=step, changed=changed, acted=acted), NOW)
    found = [(a.name, a.grace_seconds) for a in plan.actions if isinstance(a, Stop)]
    assert (found, len(plan.actions), plan.steps) == (stops, len(stops), told)
    assert all((a.reason, a.mitigates) == (Reason.EVICTED, True) for a in plan.actions)


def test_among_peers_it_is_the_one_that_uses_most_above_its_request(installation: Installation) -> None:
    services = (make_service("a"), make_service("b"), make_service("high", priority=10))
    used = {"default.a": 100 * MI, "default.b": 300 * MI}
    plan = decide(world(*services, installation=installation, step=Step.KILL, used=used), NOW)
    assert [a.name for a in plan.actions] == ["default.b"]


def test_the_most_important_is_never_stopped_nor_what_it_depends_on(installation: Installation) -> None:
    services = (make_service("store"), make_service("high", priority=10, dependsOn=["store"]))
    assert decide(world(*services, installation=installation, step=Step.KILL), NOW).actions == ()


def test_what_is_suspended_is_not_touched(installation: Installation) -> None:
    services = (make_service("low", suspend=True), make_service("high", priority=10))
    assert decide(world(*services, installation=installation, step=Step.KILL), NOW).actions == ()


def test_nobody_is_stopped_for_one_that_cannot_start_yet(installation: Installation) -> None:
    big: dict[str, Any] = {"resources": {"requests": {"memory": "5Gi"}}}
    services = (make_service("low", **big), make_service("high", priority=10, **big))
    given = world(services[0], installation=installation, step=Step.HOLD)
    both = replace(given, desired=replace(given.desired, services={s.key: s for s in services}))
    assert decide(both, NOW).actions == ()


@pytest.mark.parametrize("step", [Step.SHRINK, Step.SPILL, Step.EVICT, Step.KILL])
def test_no_measure_is_taken_when_readings_no_longer_call_for_it(step: Step, installation: Installation) -> None:
    services = (model("low"), make_service("high", priority=10))
    plan = decide(world(*services, installation=installation, step=step, calm=True), NOW)
    assert (plan.actions, plan.steps, plan.wake_at) == ((), {}, None)


@pytest.mark.parametrize(("step", "expected"), [(Step.HOLD, "2048"), (Step.NORMAL, "8192")])
def test_a_smaller_model_that_ended_starts_again_as_small_as_it_was(
    step: Step, expected: str, installation: Installation
) -> None:
    given = world(model("a"), installation=installation, step=step, small=frozenset({"a"}))
    ended = {k: replace(p, running=False, finished_at=NOW - 400) for k, p in given.observed.pods.items()}
    given = replace(given, observed=replace(given.observed, pods=ended))
    assert [a.verb for a in decide(given, NOW).actions] == ["start"]
    assert context(given, "a")[0] == expected
