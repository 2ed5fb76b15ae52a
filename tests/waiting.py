"""Waiting for what other processes do."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(what: str, seconds: float, condition: Callable[[], T], pause: float = 0.1) -> T:
    """The first answer of `condition` that is true. Fails, with `what`, when there is none in so many seconds."""
    deadline = time.monotonic() + seconds
    while not (answer := condition()):
        assert time.monotonic() < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(pause)
    return answer
