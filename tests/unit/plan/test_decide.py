"""What a pass decides, by the state it finds."""

from dataclasses import replace
from typing import Any

import pytest

from tests.nodes import make_node
from tests.unit.conftest import make_service
from xnai_operator.api import resources
from xnai_operator.api.conditions import Reason, Type
from xnai_operator.api.resources import XnaiService
from xnai_operator.api.status import XnaiServiceStatus
from xnai_operator.health.readiness import ProbeState
from xnai_operator.memory.allocation import Allocation
from xnai_operator.plan.decide import decide
from xnai_operator.plan.demands import collect_demands
from xnai_operator.plan.observed import Observed, ObservedMount, ObservedPod
from xnai_operator.plan.types import Desired, Facts, Invalid, Plan
from xnai_operator.render import names
from xnai_operator.render.installation import Installation
from xnai_operator.render.pod import RenderedPod
from xnai_operator.tmpfs.mounts import merged

NOW = 1_000_000.0
GI = 1 << 30


def facts(
    *services: XnaiService,
    installation: Installation,
    pods: dict[str, ObservedPod] | None = None,
    allocatable: int = 8 * GI,
    probes: dict[str, ProbeState] | None = None,
    **desired: Any,
) -> Facts:
    return Facts(
        Desired({s.key: s for s in services}, **({"policies": (), "contents": {}, "models": {}} | desired)),
        Observed(pods or {}, images={"localhost/app:1": "sha256:1"}),
        make_node(installation, allocatable),
        probes or {},
        {},
    )


def observed(rendered: RenderedPod, age: float = 5) -> ObservedPod:
    """The pod as it runs `age` seconds after its start, without its allocation."""
    return ObservedPod(
        name=rendered.name,
        namespace=rendered.namespace,
        service=rendered.service,
        uid=rendered.uid,
        hash=rendered.hash,
        running=True,
        sections=rendered.sections,
        variant=rendered.variant,
        pid=42,
        started_at=NOW - age,
    )


def running(plan: Plan, name: str, **changes: Any) -> dict[str, ObservedPod]:
    """The pod that the plan's service would have become."""
    rendered = plan.rendered[f"default.{name}"]
    allocation = Allocation.from_text(rendered.document["metadata"]["labels"][names.LABEL_ALLOCATION])
    return {rendered.name: replace(observed(rendered), allocation=allocation, **changes)}


def observed_mounts(plan: Plan, name: str) -> tuple[ObservedMount, ...]:
    """The tmpfs of the plan's service as they would be mounted."""
    return tuple(
        ObservedMount(
            mount_path=tmpfs.mount_path,
            filesystem="tmpfs",
            size=tmpfs.size,
            used=0,
            mode=tmpfs.mode,
            uid=tmpfs.uid,
            gid=tmpfs.gid,
            flags=frozenset({"nosuid", "nodev", "noexec"}),
        )
        for tmpfs in plan.rendered[f"default.{name}"].tmpfs
    )


def ready(plan: Plan, name: str) -> tuple[bool | None, Reason]:
    condition = next(c for c in plan.services[f"default.{name}"].conditions if c.type is Type.READY)
    return condition.status, condition.reason


def actions(plan: Plan) -> list[tuple[str, str, Reason]]:
    return [(a.verb, a.name, a.reason) for a in plan.actions]


def test_a_new_service_is_started(installation: Installation) -> None:
    plan = decide(facts(make_service(), installation=installation), NOW)
    assert actions(plan) == [("start", "default.redis", Reason.POD_MISSING)]


def test_what_runs_unchanged_is_not_touched(installation: Installation) -> None:
    first = decide(facts(make_service(), installation=installation), NOW)
    again = facts(make_service(), installation=installation, pods=running(first, "redis"))
    assert decide(again, NOW).actions == ()


def test_a_changed_spec_replaces_the_pod(installation: Installation) -> None:
    first = decide(facts(make_service(), installation=installation), NOW)
    changed = facts(make_service(args=["--new"]), installation=installation, pods=running(first, "redis"))
    assert actions(decide(changed, NOW)) == [("start", "default.redis", Reason.SPEC_CHANGED)]


def test_a_changed_label_of_the_resource_restarts_nothing(installation: Installation) -> None:
    first = decide(facts(make_service(), installation=installation), NOW)
    relabelled = replace(make_service(), labels={"new": "label"})
    assert decide(facts(relabelled, installation=installation, pods=running(first, "redis")), NOW).actions == ()


def test_a_pod_of_a_deleted_and_recreated_resource_is_replaced(installation: Installation) -> None:
    first = decide(facts(make_service(), installation=installation), NOW)
    other = facts(make_service(), installation=installation, pods=running(first, "redis", uid="another"))
    assert actions(decide(other, NOW)) == [("start", "default.redis", Reason.POD_MISSING)]


def test_a_pod_without_a_resource_is_stopped(installation: Installation) -> None:
    first = decide(facts(make_service(), installation=installation), NOW)
    gone = facts(installation=installation, pods=running(first, "redis"))
    assert actions(decide(gone, NOW)) == [("stop", "default.redis", Reason.OWNER_GONE)]


def test_a_pod_of_a_resource_that_became_invalid_is_left_alone(installation: Installation) -> None:
    first = decide(facts(make_service(), installation=installation), NOW)
    broken = facts(
        installation=installation,
        pods=running(first, "redis"),
        invalid=(Invalid("XnaiService", "default.redis", "spec.x: no"),),
    )
    plan = decide(broken, NOW)
    assert (plan.actions, ready(plan, "redis")) == ((), (False, Reason.SPEC_INVALID))


def test_a_missing_image_leaves_the_running_pod_alone(installation: Installation) -> None:
    first = decide(facts(make_service(), installation=installation), NOW)
    changed = facts(make_service(image="localhost/app:2"), installation=installation, pods=running(first, "redis"))
    plan = decide(changed, NOW)
    assert (plan.actions, ready(plan, "redis")) == ((), (False, Reason.IMAGE_MISSING))


@pytest.mark.parametrize(
    ("restarts", "ended_ago", "expected"),
    [
        (0, 0.5, Reason.BACK_OFF),
        (0, 1.5, Reason.CONTAINER_EXITED),
        (3, 7.0, Reason.BACK_OFF),
        (3, 9.0, Reason.CONTAINER_EXITED),
    ],
)
def test_an_exited_container_waits_longer_each_time(
    restarts: int, ended_ago: float, expected: Reason, installation: Installation
) -> None:
    first = decide(facts(make_service(), installation=installation), NOW)
    service = replace(make_service(), status=XnaiServiceStatus(restarts=restarts, observed_generation=1))
    pods = running(first, "redis", running=False, exit_code=1, started_at=NOW - 20, finished_at=NOW - ended_ago)
    plan = decide(facts(service, installation=installation, pods=pods), NOW)
    assert ready(plan, "redis") == (False, expected)
    assert bool(plan.actions) == (expected is Reason.CONTAINER_EXITED)
    assert (plan.wake_at is not None) == (expected is Reason.BACK_OFF)


def test_a_run_of_ten_minutes_resets_the_back_off(installation: Installation) -> None:
    first = decide(facts(make_service(), installation=installation), NOW)
    service = replace(make_service(), status=XnaiServiceStatus(restarts=8, observed_generation=1))
    pods = running(first, "redis", running=False, exit_code=1, started_at=NOW - 700, finished_at=NOW - 2)
    plan = decide(facts(service, installation=installation, pods=pods), NOW)
    assert plan.services["default.redis"].fields["restarts"] == 1


def test_a_dependant_waits_until_its_dependency_is_ready(installation: Installation) -> None:
    redis, api = (
        make_service(health={"readiness": {"tcpSocket": {"port": 6379}}}),
        make_service("api", dependsOn=["redis"]),
    )
    first = decide(facts(redis, api, installation=installation), NOW)
    assert [a.name for a in first.actions] == ["default.redis"]
    pods = running(first, "redis")
    waiting = decide(facts(redis, api, installation=installation, pods=pods), NOW)
    assert ready(waiting, "api") == (False, Reason.DEPENDENCY_NOT_READY)
    probes = {"default.redis": ProbeState(started=True, ready=True)}
    plan = decide(facts(redis, api, installation=installation, pods=pods, probes=probes), NOW)
    assert [a.name for a in plan.actions] == ["default.api"]


def test_the_less_important_service_waits_for_memory(installation: Installation) -> None:
    big: dict[str, Any] = {"resources": {"requests": {"memory": "3Gi"}}}
    low, high = make_service("low", **big), make_service("high", priority=10, **big)
    plan = decide(facts(low, high, installation=installation, allocatable=4 * GI), NOW)
    assert [a.name for a in plan.actions] == ["default.high"]
    assert ready(plan, "low") == (False, Reason.INSUFFICIENT_MEMORY)


def test_a_more_important_service_takes_the_place_of_a_running_one_in_two_steps(installation: Installation) -> None:
    big: dict[str, Any] = {"resources": {"requests": {"memory": "3Gi"}}}
    low, high = make_service("low", **big), make_service("high", priority=10, **big)
    first = decide(facts(low, installation=installation, allocatable=4 * GI), NOW)
    pods = running(first, "low")
    stops = decide(facts(low, high, installation=installation, allocatable=4 * GI, pods=pods), NOW)
    assert actions(stops) == [("stop", "default.low", Reason.PREEMPTED)]
    starts = decide(facts(low, high, installation=installation, allocatable=4 * GI), NOW)
    assert [a.name for a in starts.actions] == ["default.high"]


def test_a_peer_is_not_stopped(installation: Installation) -> None:
    big: dict[str, Any] = {"resources": {"requests": {"memory": "3Gi"}}}
    young = make_service("young", created="2026-02-01T00:00:00Z", **big)
    first = decide(facts(young, installation=installation, allocatable=4 * GI), NOW)
    both = facts(
        young, make_service("old", **big), installation=installation, allocatable=4 * GI, pods=running(first, "young")
    )
    plan = decide(both, NOW)
    assert (plan.actions, ready(plan, "old")) == ((), (False, Reason.INSUFFICIENT_MEMORY))


def test_what_is_suspended_takes_no_memory(installation: Installation) -> None:
    big: dict[str, Any] = {"resources": {"requests": {"memory": "3Gi"}}}
    waits = make_service("waits", priority=10, suspend=True, **big)
    plan = decide(facts(waits, make_service("runs", **big), installation=installation, allocatable=4 * GI), NOW)
    assert [a.name for a in plan.actions] == ["default.runs"]


def test_a_pod_on_which_something_is_done_is_left_alone(installation: Installation) -> None:
    first = decide(facts(make_service(), installation=installation), NOW)
    ended = running(first, "redis", running=False, exit_code=1, started_at=NOW - 20, finished_at=NOW - 9)
    plan = decide(replace(facts(make_service(), installation=installation, pods=ended), busy=frozenset(ended)), NOW)
    assert (plan.actions, plan.services) == ((), {})


def test_nothing_takes_a_place_that_is_not_free_yet(installation: Installation) -> None:
    big: dict[str, Any] = {"resources": {"requests": {"memory": "3Gi"}}}
    low, high = make_service("low", **big), make_service("high", priority=10, **big)
    pods = running(decide(facts(low, installation=installation, allocatable=4 * GI), NOW), "low")
    both = facts(low, high, installation=installation, allocatable=4 * GI, pods=pods)
    assert decide(replace(both, busy=frozenset(pods)), NOW).actions == ()


def test_what_runs_suspended_keeps_its_memory(installation: Installation) -> None:
    big: dict[str, Any] = {"resources": {"requests": {"memory": "3Gi"}}}
    first = decide(facts(make_service("held", **big), installation=installation, allocatable=4 * GI), NOW)
    held, high = make_service("held", suspend=True, **big), make_service("high", priority=10, **big)
    plan = decide(facts(held, high, installation=installation, allocatable=4 * GI, pods=running(first, "held")), NOW)
    assert (plan.actions, ready(plan, "high")) == ((), (False, Reason.INSUFFICIENT_MEMORY))


def sized(name: str, memory: str, **spec: Any) -> XnaiService:
    return make_service(name, resources={"requests": {"memory": memory}}, **spec)


@pytest.mark.parametrize("hashed", [True, False])
def test_a_change_there_is_no_memory_for_leaves_the_running_pod_alone(hashed: bool, installation: Installation) -> None:
    first = decide(facts(sized("app", "1Gi"), installation=installation, allocatable=4 * GI), NOW)
    pods = running(first, "app")
    # A tmpfs size is changed while the pod runs, and is not in its hash.
    grown = [{"mountPath": "/tmp", "size": "100Gi"}]
    after = sized("app", "100Gi") if hashed else sized("app", "1Gi", storage={"tmpfs": grown})
    mounts = observed_mounts(first, "app")
    probes = {"default.app": ProbeState(started=True, ready=True)}
    needs_it = sized("needs-it", "1Gi", dependsOn=["app"])
    given = facts(after, needs_it, installation=installation, allocatable=4 * GI, pods=pods, probes=probes)
    plan = decide(replace(given, mounts={"default.app": mounts}), NOW)
    assert [a.name for a in plan.actions] == ["default.needs-it"]
    said = {c.type: c for c in plan.services["default.app"].conditions}
    assert (said[Type.ADMITTED].status, said[Type.ADMITTED].reason) == (False, Reason.INSUFFICIENT_MEMORY)
    assert said[Type.READY].status is not hashed


def test_a_change_that_fits_in_the_place_of_what_runs_is_made(installation: Installation) -> None:
    first = decide(facts(sized("app", "3Gi"), installation=installation, allocatable=4 * GI), NOW)
    changed = facts(sized("app", "3500Mi"), installation=installation, allocatable=4 * GI, pods=running(first, "app"))
    assert actions(decide(changed, NOW)) == [("start", "default.app", Reason.SPEC_CHANGED)]


@pytest.mark.parametrize("busy", [True, False])
def test_what_is_started_again_keeps_its_place_among_peers(busy: bool, installation: Installation) -> None:
    app, older = sized("app", "3Gi", created="2026-02-01T00:00:00Z"), sized("older", "3Gi")
    first = decide(facts(app, installation=installation, allocatable=4 * GI), NOW)
    ended = running(first, "app", running=False, pid=0, exit_code=1, finished_at=NOW)
    given = facts(app, older, installation=installation, allocatable=4 * GI, pods={} if busy else ended)
    plan = decide(replace(given, busy=frozenset({"default.app"} if busy else ())), NOW)
    assert plan.actions == ()
    assert ready(plan, "older") == (False, Reason.INSUFFICIENT_MEMORY)


def test_nobody_is_stopped_for_what_cannot_start(installation: Installation) -> None:
    low = sized("low", "3Gi")
    pods = running(decide(facts(low, installation=installation, allocatable=4 * GI), NOW), "low")
    high = sized("high", "3Gi", priority=10, image="localhost/typo:1")
    plan = decide(facts(low, high, installation=installation, allocatable=4 * GI, pods=pods), NOW)
    assert (plan.actions, ready(plan, "high")) == ((), (False, Reason.IMAGE_MISSING))


def test_what_declares_nothing_keeps_what_it_came_to_use(installation: Installation) -> None:
    first = decide(facts(make_service("grown"), installation=installation, allocatable=4 * GI), NOW)
    grown = replace(make_service("grown"), status=XnaiServiceStatus(memory_high_water_bytes=2 * GI))
    high = sized("high", "3Gi", priority=10)
    given = facts(grown, high, installation=installation, allocatable=4 * GI, pods=running(first, "grown"))
    assert actions(decide(given, NOW)) == [("stop", "default.grown", Reason.PREEMPTED)]


@pytest.mark.parametrize("size", ["100Mi", "100M"])
def test_what_runs_as_it_is_asked_for_holds_what_it_asks_for(size: str, installation: Installation) -> None:
    limited: dict[str, Any] = {"resources": {"limits": {"memory": "1Gi"}}}
    for spec in (limited, {}, {"resources": {"requests": {"memory": "1Gi"}}}):
        service = make_service(storage={"tmpfs": [{"mountPath": "/c", "size": size}]}, **spec)
        first = decide(facts(service, installation=installation), NOW)
        given = replace(
            facts(service, installation=installation, pods=running(first, "redis")),
            mounts={"default.redis": observed_mounts(first, "redis")},
        )
        (demand,) = collect_demands(given, {service.key: merged(service, ())}, ()).by_key.values()
        assert demand.allocation == demand.requested


def test_what_grew_within_its_limit_stops_no_peer(installation: Installation) -> None:
    services = [make_service(name, resources={"limits": {"memory": "1Gi"}}) for name in "ab"]
    first = decide(facts(*services, installation=installation, allocatable=2 * GI), NOW)
    pods = running(first, "a") | running(first, "b")
    grown = tuple(replace(mount, size=200 << 20) for mount in observed_mounts(first, "a"))
    given = facts(*services, installation=installation, allocatable=2 * GI, pods=pods)
    plan = decide(replace(given, mounts=dict.fromkeys(pods, grown)), NOW)
    assert [a.verb for a in plan.actions] == ["resize", "resize"]


def test_config_and_secrets_take_memory_of_the_machine(installation: Installation) -> None:
    secret: dict[str, Any] = {"storage": {"secrets": [{"name": "s", "mountPath": "/s"}]}}
    contents = {"default": {("Secret", "s"): {"a": b"x" * 5000, "b": b"x"}}}
    plan = decide(facts(make_service(**secret), installation=installation, contents=contents), NOW)
    plain = decide(facts(make_service(), installation=installation), NOW)
    more = [p.services["default.redis"].fields["memoryRequestBytes"] for p in (plan, plain)]
    assert more[0] - more[1] == 3 * 4096


def test_a_tight_limit_is_told_and_started(installation: Installation) -> None:
    tight = make_service(resources={"requests": {"memory": "100Mi"}, "limits": {"memory": "170Mi"}})
    plan = decide(facts(tight, installation=installation), NOW)
    found = [c for c in plan.services["default.redis"].conditions if c.type is Type.LIMIT_TIGHT]
    assert [(c.status, c.reason) for c in found] == [(True, Reason.INSUFFICIENT_HEADROOM)]
    assert len(plan.actions) == 1


def test_a_running_service_with_a_fault_gives_way_too(installation: Installation) -> None:
    big: dict[str, Any] = {"resources": {"requests": {"memory": "3Gi"}}}
    first = decide(facts(make_service("low", **big), installation=installation, allocatable=4 * GI), NOW)
    low = make_service("low", image="localhost/gone:1", **big)
    both = facts(
        low,
        make_service("high", priority=10, **big),
        installation=installation,
        allocatable=4 * GI,
        pods=running(first, "low"),
    )
    assert actions(decide(both, NOW)) == [("stop", "default.low", Reason.PREEMPTED)]


def test_a_suspended_service_is_neither_started_nor_stopped(installation: Installation) -> None:
    plan = decide(facts(make_service(suspend=True), installation=installation), NOW)
    assert (plan.actions, ready(plan, "redis")) == ((), (False, Reason.SUSPENDED))


def test_readiness_stands_until_the_first_answer_after_the_operator_restarted(installation: Installation) -> None:
    probe = {"readiness": {"tcpSocket": {"port": 6379}}}
    first = decide(facts(make_service(health=probe), installation=installation), NOW)
    stored = {"type": "Ready", "status": "True", "reason": "ProbeSucceeded", "message": "HTTP 200"}
    status = XnaiServiceStatus.parse({"conditions": [stored | {"lastTransitionTime": "2026-01-01T00:00:00Z"}]})
    service = replace(make_service(health=probe), status=status)
    plan = decide(facts(service, installation=installation, pods=running(first, "redis")), NOW)
    assert ready(plan, "redis") == (True, Reason.PROBE_SUCCEEDED)


def test_every_service_has_ready_from_the_first_pass(installation: Installation) -> None:
    services = [make_service("a"), make_service("b", image="none"), make_service("c", dependsOn=["c"])]
    plan = decide(facts(*services, installation=installation), NOW)
    assert [ready(plan, s.name)[0] for s in services] == [False, False, False]


def test_a_policy_that_selects_nothing_says_so(installation: Installation) -> None:
    policy = resources.policy(
        {
            "metadata": {"name": "p", "namespace": "default"},
            "spec": {"selector": {"matchLabels": {"app": "none"}}, "mounts": [{"mountPath": "/c", "size": "1Mi"}]},
        }
    )
    plan = decide(facts(make_service(), installation=installation, policies=(policy,)), NOW)
    (condition,) = plan.policies["default.p"].conditions
    assert (condition.reason, "app=none" in condition.message) == (Reason.NO_SERVICE_SELECTED, True)


def test_a_conflict_of_policies_is_told_and_disturbs_nobody_else(installation: Installation) -> None:
    policies = tuple(
        resources.policy(
            {
                "metadata": {"name": name, "namespace": "default"},
                "spec": {
                    "selector": {"matchLabels": {"app": "redis"}},
                    "mounts": [{"mountPath": "/cache", "size": size}],
                },
            }
        )
        for name, size in (("one", "1Mi"), ("two", "2Mi"))
    )
    plan = decide(facts(make_service(), make_service("other"), installation=installation, policies=policies), NOW)
    assert ready(plan, "redis") == (False, Reason.POLICY_CONFLICT)
    assert [a.name for a in plan.actions] == ["default.other"]


@pytest.mark.parametrize(
    ("limit", "allocation", "waits"), [(3 * GI, None, True), (0, None, False), (0, Allocation(3 * GI), True)]
)
def test_what_runs_although_its_resource_is_wrong_takes_its_memory(
    limit: int, allocation: Allocation | None, waits: bool, installation: Installation
) -> None:
    wrong = ObservedPod(
        name="default.wrong",
        namespace="default",
        service="wrong",
        uid="uid",
        hash="h",
        running=True,
        pid=42,
        started_at=NOW - 5,
        memory_limit=limit,
        allocation=allocation,
    )
    given = facts(
        make_service("new", resources={"requests": {"memory": "2Gi"}}),
        installation=installation,
        allocatable=4 * GI,
        pods={wrong.name: wrong},
        invalid=(Invalid("XnaiService", "default.wrong", "spec.image: Field required"),),
    )
    expected = [] if waits else [("start", "default.new", Reason.POD_MISSING)]
    assert actions(decide(given, NOW)) == expected


@pytest.mark.parametrize(
    ("missing", "expected"),
    [
        (set(), {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi", "cpu": "1"}}),
        ({"memory"}, {"limits": {"cpu": "1"}}),
        ({"cpu"}, {"requests": {"memory": "1Gi"}, "limits": {"memory": "2Gi"}}),
        ({"memory", "cpu"}, None),
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
        (True, set(), (True, "memory and CPU limits")),
        (True, {"cpu"}, (False, "CPU limits do not")),
        (False, {"memory"}, (False, "no memory limits here")),
        (False, set(), (False, "no memory limits here")),
    ],
)
def test_limits_that_are_not_enforced_are_told(
    enforced: bool, missing: set[str], expected: tuple[bool, str], installation: Installation
) -> None:
    given = facts(make_service(), installation=installation)
    observed = replace(given.observed, limits_enforced=enforced, missing_controllers=frozenset(missing))
    given = replace(given, observed=observed)
    observed = replace(observed, pods=running(decide(given, NOW), "redis"))
    report = decide(replace(given, observed=observed), NOW).services["default.redis"]
    found = next(c for c in report.conditions if c.type is Type.LIMITS_ENFORCED)
    assert (found.status, expected[1] in found.message) == (expected[0], True)


def test_a_refused_change_keeps_what_is_known_of_the_running_pod(installation: Installation) -> None:
    first = decide(facts(make_service(), installation=installation), NOW)
    stored = {"status": "True", "message": "m", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    reasons = {"TmpfsEnforced": "MountsVerified", "MemoryPressure": "Thrashing", "LimitTight": "InsufficientHeadroom"}
    status = XnaiServiceStatus.parse({"conditions": [{**stored, "type": t, "reason": r} for t, r in reasons.items()]})
    changed = replace(make_service(image="localhost/gone:1"), status=status)
    plan = decide(facts(changed, installation=installation, pods=running(first, "redis")), NOW)
    found = [c.type for c in plan.services["default.redis"].conditions]
    assert found == [Type.READY, Type.RECONCILING, Type.TMPFS_ENFORCED, Type.MEMORY_PRESSURE]
