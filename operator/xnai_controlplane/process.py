"""A process the supervisor keeps running."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field


async def at_once() -> bool:
    """Ready as soon as it runs."""
    return True


@dataclass(frozen=True)
class Process:
    """`ready` is asked until it says True (it must not raise); the next process starts after that. `env` is added
    to the supervisor's environment. `grace_seconds` from SIGTERM to SIGKILL."""

    name: str
    argv: tuple[str, ...]
    env: dict[str, str] = field(default_factory=dict)
    ready: Callable[[], Awaitable[bool]] = at_once
    ready_seconds: float = 120.0
    grace_seconds: float = 15.0
