"""What the engine does over several passes."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.unit.world import World
from xnai_operator.api.conditions import Reason
from xnai_operator.errors import BackendError
from xnai_operator.plan.observed import Observed
from xnai_operator.render.pod import RenderedPod

READY = ("True", "ProbeSucceeded")
TCP = {"readiness": {"tcpSocket": {"port": 1}}}


async def test_a_service_is_started_and_becomes_ready(world: World) -> None:
    world.apply("a", health=TCP)
    await world.settle()
    assert (world.backend.starts, world.condition("a")) == (["default.a"], READY)


async def test_a_pass_over_what_is_as_wanted_writes_nothing(world: World) -> None:
    world.apply("a", health=TCP)
    await world.settle()
    before = (len(world.api.writes), len(world.backend.starts), len(world.api.events))
    await world.one_pass()
    assert (len(world.api.writes), len(world.backend.starts), len(world.api.events)) == before


async def test_a_dependant_starts_only_when_its_dependency_is_ready(world: World) -> None:
    world.backend.unhealthy.add("default.a")
    world.apply("a", health=TCP)
    world.apply("b", dependsOn=["a"])
    await world.settle()
    assert (world.backend.starts, world.condition("b")[1]) == (["default.a"], "DependencyNotReady")
    world.backend.unhealthy.clear()
    world.now += 60
    await world.settle()
    assert world.backend.starts == ["default.a", "default.b"]


async def test_a_deleted_service_is_stopped(world: World) -> None:
    world.apply("a")
    await world.settle()
    world.delete("a")
    await world.one_pass()
    assert world.backend.stops == ["default.a"]


async def test_a_changed_service_is_replaced_and_another_left_alone(world: World) -> None:
    world.apply("a")
    world.apply("b")
    await world.settle()
    world.apply("a", version=2, env=[{"name": "X", "value": "1"}])
    await world.settle()
    assert world.backend.starts == ["default.a", "default.b", "default.a"]


async def test_a_failed_start_is_reported_and_tried_again_later(world: World) -> None:
    world.backend.failures["default.a"] = BackendError(Reason.START_FAILED, "port is taken")
    world.apply("a")
    await world.one_pass()
    assert world.condition("a") == ("False", "StartFailed")
    await world.one_pass()
    assert world.backend.starts == []
    world.now += 10
    await world.settle()
    assert (world.backend.starts, world.condition("a")[0]) == (["default.a"], "True")


async def test_a_container_that_ends_is_started_again_with_growing_delay(world: World) -> None:
    world.apply("a")
    await world.settle()
    waits = []
    for _ in range(4):
        pod = (await world.backend.observe()).pods["default.a"]
        world.now = pod.started_at + 1
        await world.backend.exit("default.a", 1, 1.0)
        began, count = world.now, len(world.backend.starts)
        while len(world.backend.starts) == count:
            await world.one_pass()
            world.now += 0.5
        waits.append(world.now - began)
    assert waits == sorted(waits)
    assert waits[-1] > 2 * waits[0]


async def test_a_refused_status_keeps_no_pod_from_starting(world: World) -> None:
    world.api.refuse = True
    world.apply("a")
    await world.one_pass()
    assert world.backend.starts == ["default.a"]


async def test_a_wrong_service_disturbs_no_other(world: World) -> None:
    world.apply("wrong", image="localhost/missing:1")
    world.apply("right")
    await world.settle()
    assert (world.condition("wrong"), world.condition("right")[0]) == (("False", "ImageMissing"), "True")


@pytest.mark.parametrize("times", [1, 3])
async def test_an_unhealthy_service_becomes_unready_after_the_threshold(times: int, world: World) -> None:
    world.apply("a", health={"readiness": {"tcpSocket": {"port": 1}, "failureThreshold": 3, "periodSeconds": 1}})
    await world.settle()
    world.backend.unhealthy.add("default.a")
    for _ in range(times):
        world.now += 2
        await world.engine.probe_due()
    await world.one_pass()
    assert world.condition("a")[0] == ("False" if times == 3 else "True")


def tmpfs(size: str) -> dict[str, Any]:
    return {"storage": {"tmpfs": [{"mountPath": "/cache", "size": size}]}}


async def test_a_changed_tmpfs_size_is_applied_without_a_restart(world: World) -> None:
    world.apply("a", **tmpfs("1Mi"))
    await world.settle()
    world.apply("a", version=2, **tmpfs("2Mi"))
    await world.settle()
    assert (world.backend.starts, world.backend.resizes) == (["default.a"], ["default.a"])
    assert world.condition("a", "TmpfsEnforced") == ("True", "MountsVerified")


async def test_a_new_operator_leaves_a_change_without_memory_alone(world: World) -> None:
    world.apply("a", **tmpfs("1Mi"))
    await world.settle()
    world.apply("a", version=2, **tmpfs("100Gi"))
    await world.settle()
    for _ in range(2):
        assert (world.backend.stops, world.condition("a", "Admitted")) == ([], ("False", "InsufficientMemory"))
        world.begin()
        await world.settle()


async def test_a_refused_start_waits_although_the_old_pod_runs(world: World) -> None:
    tries = []

    async def refused(pod: RenderedPod, connected: Callable[[], Awaitable[None]]) -> None:
        tries.append(pod.name)
        raise BackendError(Reason.START_FAILED, "no room on the disk")

    world.apply("a")
    await world.settle()
    world.backend.start = refused
    world.apply("a", version=2, args=["--new"])
    for _ in range(5):
        await world.one_pass()
    assert tries == ["default.a"]
    world.now += 60
    await world.one_pass()
    assert len(tries) == 2


async def test_a_size_that_cannot_be_changed_is_not_tried_without_end(world: World) -> None:
    async def refused(pod: RenderedPod) -> None:
        raise BackendError(Reason.PODMAN_UNAVAILABLE, "no longer mounted")

    world.apply("a", **tmpfs("1Mi"))
    await world.settle()
    world.backend.resize = refused
    world.apply("a", version=2, **tmpfs("2Mi"))
    await world.one_pass()
    world.engine._dirty.clear()
    await world.one_pass()
    assert not world.engine._dirty.is_set()
    assert world.condition("a", "TmpfsEnforced") == ("False", "MountResized")


async def test_a_mount_that_fills_is_told_once_before_and_once_when_it_is_full(world: World) -> None:
    world.apply("a", **tmpfs("1Mi"))
    await world.settle()
    for used, expected in ((0.85, ("False", "MountFilling")), (1.0, ("True", "MountFull"))):
        world.backend.used["/cache"] = int(used * (1 << 20))
        for _ in range(3):
            await world.engine.read_mounts()
            await world.one_pass()
        assert world.condition("a", "TmpfsFull") == expected
    warnings = [event["reason"] for event in world.api.events if event["type"] == "Warning"]
    assert warnings == ["MountFilling", "MountFull"]


async def test_a_slow_stop_holds_up_nobody(world: World) -> None:
    world.apply("slow")
    await world.settle()
    world.backend.hold = asyncio.Event()
    world.delete("slow")
    world.apply("quick")
    await world.engine.one_pass()
    await world.engine.one_pass()
    async with asyncio.timeout(5):
        while "default.quick" not in world.backend.starts:  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0)
    assert world.backend.stops == []
    world.backend.hold.set()
    await world.engine.finished()
    assert world.backend.stops == ["default.slow"]


async def test_a_pod_has_one_action_at_a_time(world: World) -> None:
    world.apply("a")
    await world.settle()
    world.backend.hold = asyncio.Event()
    world.delete("a")
    for _ in range(3):
        await world.engine.one_pass()
    world.backend.hold.set()
    await world.engine.finished()
    assert world.backend.stops == ["default.a"]


STARTUP = {"startup": {"exec": {"command": ["x"]}}, "readiness": {"tcpSocket": {"port": 1}}}


async def test_a_new_operator_never_takes_back_what_was_ready(world: World) -> None:
    world.apply("a", health=STARTUP)
    await world.settle()
    assert world.condition("a")[0] == "True"
    before = len(world.api.writes)
    world.begin()
    for _ in range(3):
        await world.one_pass()
        assert world.condition("a")[0] == "True"
        await world.engine.probe_due()
    assert len(world.api.writes) == before


async def test_a_pod_is_reached_by_its_clients_that_run(world: World) -> None:
    world.apply("a")
    world.apply("b", dependsOn=["a"])
    world.apply("c")
    await world.settle()
    assert world.backend.ingress == {"default.a": {"default.b"}, "default.b": set(), "default.c": set()}
    world.delete("b")
    await world.settle()
    await world.one_pass()
    assert world.backend.ingress["default.a"] == set()


async def test_a_start_that_ends_while_the_runtime_is_observed_is_not_repeated(world: World) -> None:
    released = asyncio.Event()
    start, observe = world.backend.start, world.backend.observe

    async def slow_start(pod: RenderedPod, connected: Callable[[], Awaitable[None]]) -> None:
        await released.wait()
        world.backend.observe = observe
        await start(pod, connected)

    async def stale_observe() -> Observed:
        seen: Observed = await observe()
        released.set()
        await world.engine.finished()
        return seen

    world.backend.start = slow_start
    world.apply("a")
    await world.engine.one_pass()
    world.backend.observe = stale_observe
    await world.one_pass()
    assert world.backend.starts == ["default.a"]


PUBLISHED = {"name": "http", "containerPort": 80, "hostPort": 8000}
MOUNTED = {"hostPaths": [{"path": "/srv/none", "mountPath": "/data"}]}


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        pytest.param({"ports": [PUBLISHED | {"hostPort": 80}]}, "HostPortUnusable", id="port that cannot be bound"),
        pytest.param({"ports": [PUBLISHED, PUBLISHED | {"name": "b"}]}, "HostPortConflict", id="port used twice"),
        pytest.param({"ports": [PUBLISHED | {"hostIP": "localhost"}]}, "SpecInvalid", id="name for an address"),
        pytest.param({"storage": MOUNTED}, "HostPathMissing", id="host path that is not there"),
    ],
)
async def test_the_old_pod_serves_while_an_edit_cannot_start(edit: dict[str, Any], reason: str, world: World) -> None:
    world.faults, world.absent = {80: "is below 1024"}, {"/srv/none": "is not on this machine"}
    world.apply("a", ports=[PUBLISHED], health=TCP)
    await world.settle()
    world.apply("a", 2, **{"ports": [PUBLISHED], "health": TCP, **edit})
    await world.settle()
    assert (world.backend.starts, world.backend.stops) == (["default.a"], [])
    assert world.condition("a") == ("False", reason)


async def test_the_ports_of_a_running_pod_are_not_asked_of_the_machine(world: World) -> None:
    world.apply("a", ports=[PUBLISHED], health=TCP)
    await world.settle()
    world.faults = {8000: "is in use by another program"}
    await world.settle()
    assert world.condition("a") == READY
    await world.backend.exit("default.a", 1, 60)
    await world.settle()
    assert world.condition("a")[1] != "HostPortUnusable"


INIT: dict[str, Any] = {"initContainers": [{"name": "migrate", "command": ["migrate"]}]}


async def initialising(world: World) -> None:
    """Service `a`, whose init container runs until `world.backend.init` is set."""
    world.backend.init = asyncio.Event()
    world.apply("a", **INIT)
    while world.condition("a") != ("False", "InitContainerRunning"):
        await world.engine.one_pass()


async def test_the_init_container_that_runs_is_named_and_the_service_then_starts(world: World) -> None:
    await asyncio.wait_for(initialising(world), 20)
    body = world.store.get("XnaiService", "default", "a")
    assert body is not None
    (ready,) = (c for c in body["status"]["conditions"] if c["type"] == "Ready")
    assert ready["message"].startswith("init container migrate runs; ")
    assert not (await world.engine.one_pass()).actions
    world.backend.init.set()
    await world.engine.finished()
    await world.settle()
    assert (world.condition("a"), world.backend.starts) == (("True", "ProbeSucceeded"), ["default.a"])


async def test_another_service_starts_while_an_init_container_runs(world: World) -> None:
    await asyncio.wait_for(initialising(world), 20)
    world.apply("b")
    await world.engine.one_pass()
    async with asyncio.timeout(20):
        while "default.b" not in world.backend.starts:
            await world.engine.one_pass()
    assert world.backend.starts == ["default.b"]
    await world.engine._executor.close()


async def test_an_edit_ends_the_init_container_that_runs(world: World) -> None:
    await asyncio.wait_for(initialising(world), 20)
    world.apply("a", version=2)
    await world.settle()
    assert (world.condition("a"), world.backend.starts) == (("True", "ProbeSucceeded"), ["default.a"])


async def test_a_delete_ends_the_init_container_that_runs(world: World) -> None:
    await asyncio.wait_for(initialising(world), 20)
    world.delete("a")
    await world.settle()
    assert (world.backend.starts, world.backend.stops) == ([], ["default.a"])
    assert (await world.backend.observe()).pods == {}


async def test_a_pod_is_let_through_before_its_containers_start(world: World) -> None:
    world.apply("server")
    await world.settle()
    world.backend.init = asyncio.Event()
    world.apply("a", network={"peers": ["server"]}, **INIT)
    await world.engine.one_pass()
    async with asyncio.timeout(20):
        while world.backend.ingress.get("default.server") != {"default.a"}:
            await world.engine.one_pass()
    assert (world.backend.ingress["default.a"], world.backend.starts) == (set(), ["default.server"])
    await world.engine._executor.close()
