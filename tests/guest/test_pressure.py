"""The machine's memory is taken away and given back: what the operator gives up, and that all of it comes back."""

import contextlib
import threading
from collections.abc import Iterator

import pytest

from tests.guest.conftest import ask, metric, ready
from tests.stack.conftest import Stack
from tests.waiting import wait_until
from xnai_operator.host.memory_reader import MemoryReader
from xnai_operator.memory.ladder import Step

pytestmark = pytest.mark.timeout(1800)

BLOCK = 8 << 20


@contextlib.contextmanager
def left(share: float) -> Iterator[None]:
    """Not more than this share of the machine's memory stays available, whatever others give back."""
    taken: list[bytearray] = []
    ended = threading.Event()

    def take() -> None:
        reader = MemoryReader()
        while not ended.wait(0.5):
            while (reading := reader.read()).available - BLOCK > share * reading.total:
                taken.append(bytearray(b"x") * BLOCK)

    taking = threading.Thread(target=take, daemon=True)
    taking.start()
    try:
        yield
    finally:
        ended.set()
        taking.join()
        taken.clear()


def step() -> float:
    return metric("xnai_pressure_step") or 0


def test_the_ladder_is_climbed_step_by_step_and_left_again(stack: Stack) -> None:
    with left(0.14):
        wait_until("idle models are loaded smaller", 150, lambda: step() >= Step.SHRINK, 1)
    with left(0.09):
        wait_until("services are stopped", 75, lambda: step() >= Step.EVICT and not all(ready(stack).values()), 1)
    wait_until("the ladder is left", 720, lambda: step() == Step.NORMAL, 5)
    wait_until("all services are Ready", 600, lambda: all(ready(stack).values()), 5)
    assert ask(600).well
