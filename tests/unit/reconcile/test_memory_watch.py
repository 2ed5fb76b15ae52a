"""The ladder over several passes: what is done, told and stored."""

import pytest

from tests.unit.world import World
from xnai_operator.memory.ladder import Step

LOW: dict[str, int] = {}
MIDDLE, HIGH = {"priority": 5}, {"priority": 10}


async def start(world: World) -> None:
    for name, spec in (("low", LOW), ("middle", MIDDLE), ("high", HIGH)):
        world.apply(name, **spec)
    await world.settle()


def told(world: World) -> list[tuple[str, str]]:
    return [
        (event["type"], event["note"].split(":")[0])
        for event in world.api.events
        if event["regarding"]["kind"] == "Node"
    ]


async def test_it_stops_the_least_important_and_starts_them_when_memory_is_back(world: World) -> None:
    await start(world)
    for _ in range(8):
        await world.read_memory(0.04, seconds=5)
    assert world.backend.stops == ["default.low", "default.middle"]
    assert world.condition("low") == ("False", "NodeMemoryLow")
    assert world.condition("high")[0] == "True"
    world.backend.starts.clear()
    for _ in range(60):
        await world.read_memory(0.6, seconds=10)
    assert (world.backend.starts, world.condition("low")[0]) == (["default.middle", "default.low"], "True")


async def test_each_step_is_an_event_of_the_node(world: World) -> None:
    await start(world)
    await world.read_memory(0.19)
    for _ in range(40):
        await world.read_memory(0.6, seconds=10)
    assert told(world) == [
        ("Warning", "memory pressure rises from Normal to Hold"),
        ("Normal", "memory pressure falls from Hold to Normal"),
    ]


async def test_each_measure_is_an_event_of_the_service(world: World) -> None:
    await start(world)
    await world.read_memory(0.04)
    found = [(e["regarding"]["name"], e["type"], e["reason"]) for e in world.api.events]
    assert ("low", "Warning", "Evicted") in found


async def test_a_new_operator_goes_on_where_the_old_one_stood(world: World) -> None:
    await start(world)
    await world.read_memory(0.04)
    assert world.backend.stops == ["default.low"]
    world.begin()
    await world.read_memory(0.04)  # not five seconds after the last measure
    assert world.backend.stops == ["default.low"]
    await world.read_memory(0.04, seconds=5)
    assert world.backend.stops == ["default.low", "default.middle"]


@pytest.mark.parametrize("text", ["", "{}", '{"step": 17}', "null"])
async def test_an_unreadable_state_begins_anew(text: str, world: World) -> None:
    (world.folder / "pressure.json").write_text(text)
    world.begin()
    await world.read_memory(0.6)
    assert world.watch.ladder.step is Step.NORMAL


async def test_a_pod_that_thrashes_in_its_limit_is_told(world: World) -> None:
    await start(world)
    pod = (await world.backend.observe()).pods["default.low"]
    world.signals.stalled[pod.pid] = 30.0
    await world.read_memory(0.6)
    assert world.condition("low", "MemoryPressure") == ("", "")
    await world.read_memory(0.6, seconds=15)
    assert world.condition("low", "MemoryPressure") == ("True", "Thrashing")
    world.signals.stalled.clear()
    await world.read_memory(0.6)
    assert world.condition("low", "MemoryPressure") == ("", "")


async def test_nobody_more_is_stopped_once_memory_is_given_back(world: World) -> None:
    await start(world)
    await world.read_memory(0.04)
    assert world.backend.stops == ["default.low"]
    for _ in range(6):
        await world.read_memory(0.6, seconds=10)
    assert world.backend.stops == ["default.low"]
    world.begin()
    await world.read_memory(0.6)
    assert (world.backend.stops, world.watch.ladder.step) == (["default.low"], Step.KILL)


async def test_the_most_a_service_used_is_remembered(world: World) -> None:
    def remembered() -> int:
        body = world.store.get("XnaiService", "default", "a")
        assert body is not None
        return int(body["status"].get("memoryHighWaterBytes", 0))

    world.apply("a")
    await world.settle()
    seen = []
    for used in (100, 300, 310, 200):
        world.backend.memory_used["default.a"] = used << 20
        await world.read_memory(0.6, seconds=60)
        seen.append(remembered() >> 20)
    assert seen == [100, 300, 300, 300]  # 310 is not a twentieth more
    world.begin()
    await world.settle()
    assert remembered() >> 20 == 300


@pytest.mark.parametrize(("stall", "idle"), [(0.0, True), (5.0, False)])
async def test_who_waits_for_memory_is_not_idle(stall: float, idle: bool, world: World) -> None:
    await start(world)
    pod = (await world.backend.observe()).pods["default.low"]
    world.signals.resting, world.signals.stalled = {pod.pid}, {pod.pid: stall}
    await world.read_memory(0.19)
    assert ("default.low" in world.watch.facts({}).idle) is idle
