"""Whatever is applied, in whatever order: the machine's memory is never given out twice, and nobody is stopped for a peer."""

import asyncio
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.world import World
from xnai_operator.render.installation import Installation

GI = 1 << 30
Change = tuple[str, int | None, int]
"""Service, gibibytes it asks for (None: deleted), priority."""

changes = st.lists(
    st.tuples(st.sampled_from("abcd"), st.none() | st.integers(1, 9), st.integers(0, 2)), min_size=1, max_size=8
)


async def taken(world: World) -> dict[str, int]:
    """What each running pod was admitted with, as it is written on it."""
    found = {}
    for pod in (await world.backend.observe()).pods.values():
        assert pod.allocation is not None
        found[pod.service] = pod.allocation.private_bytes + (await world.backend.usage(pod)).tmpfs_size
    return found


async def follow(world: World, wanted: list[Change]) -> None:
    priorities: dict[str, int] = {}
    before: dict[str, int] = {}
    for version, (name, size, priority) in enumerate(wanted, 1):
        if size is None:
            if name in priorities:
                world.delete(name)
                del priorities[name]
        else:
            memory = {"requests": {"memory": f"{size}Gi"}}
            world.apply(name, version, priority=priority, resources=memory, terminationGracePeriodSeconds=0)
            priorities[name] = priority
        await world.settle()
        after = await taken(world)
        assert sum(after.values()) <= 8 * GI
        gained = {each for each, bytes_ in after.items() if bytes_ > before.get(each, 0)}
        for stopped in set(before) - set(after) - ({name} if size is None else set()):
            assert any(priorities[each] > priorities[stopped] for each in gained)
        for waiting in set(priorities) - set(after):
            assert world.condition(waiting, "Admitted") == ("False", "InsufficientMemory")
        before = after


@settings(max_examples=60)
@given(changes)
def test_no_memory_is_given_out_twice(wanted: list[Change]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(follow(World(Installation("/run/xnai", folder, b"k" * 32), Path(folder)), wanted))
