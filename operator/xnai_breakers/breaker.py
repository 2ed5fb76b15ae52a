"""A breaker round an asynchronous call.

pybreaker 1.4.1 decides (closed, open, half-open); it is only told outcomes here, because its own call holds a lock as
long as the guarded call runs, counts an abandoned stream as a failure and lets every caller through when half-open.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pybreaker


class OpenError(Exception):
    """The breaker is open: the call was not made. `retry_after` in seconds."""

    def __init__(self, name: str, retry_after: float) -> None:
        super().__init__(f"{name} is unavailable; next try in {retry_after:.0f} s")
        self.retry_after = retry_after


class Attempt:
    """One guarded call. `succeeded` may be told early: the first item of a stream is the success."""

    def __init__(self, breaker: "Breaker") -> None:
        self._breaker = breaker
        self._told = False

    def succeeded(self) -> None:
        """The guarded thing works."""
        if not self._told:
            self._told = True
            self._breaker.record(None)

    def failed(self, error: Exception) -> None:
        """The guarded thing does not work."""
        if not self._told:
            self._told = True
            self._breaker.record(error)


class Breaker:
    """Opens after `failures` in a row, lets one call through after `seconds`, closes when that one succeeds.

    An exception of a type in `ignore` tells nothing about the guarded thing: it is no failure and no success.
    """

    def __init__(
        self, name: str, failures: int = 5, seconds: float = 30.0, ignore: tuple[type[Exception], ...] = ()
    ) -> None:
        self.name = name
        self._ignore = ignore
        self._storage = pybreaker.CircuitMemoryStorage(pybreaker.STATE_CLOSED)
        self._breaker = pybreaker.CircuitBreaker(
            fail_max=failures,
            reset_timeout=seconds,
            state_storage=self._storage,
            name=name,
            throw_new_error_on_trip=False,
        )
        self._probing = False

    @property
    def state(self) -> str:
        """`closed`, `open` or `half-open` (the time to wait is over, or one call is under way)."""
        if self._breaker.current_state == pybreaker.STATE_OPEN and self._remaining() <= 0:
            return str(pybreaker.STATE_HALF_OPEN)
        return str(self._breaker.current_state)

    def _remaining(self) -> float:
        opened = self._storage.opened_at
        if opened is None:
            return 0.0
        until = opened + timedelta(seconds=self._breaker.reset_timeout)
        return max((until - datetime.now(UTC)).total_seconds(), 0.0)

    @contextlib.asynccontextmanager
    async def attempt(self) -> AsyncIterator[Attempt]:
        """Round the call. An exception is a failure, the end a success; a caller who goes away is neither, nor is an
        exception to be ignored.

        Raises OpenError instead of running the body when the breaker is open.
        """
        trial = self.state != pybreaker.STATE_CLOSED
        if trial and (self._probing or self.state == pybreaker.STATE_OPEN):
            raise OpenError(self.name, self._remaining())
        self._probing = self._probing or trial
        attempt = Attempt(self)
        try:
            yield attempt
        except (asyncio.CancelledError, GeneratorExit):
            raise
        except Exception as error:
            if not isinstance(error, self._ignore):
                attempt.failed(error)
            raise
        else:
            attempt.succeeded()
        finally:
            if trial:
                self._probing = False

    def record(self, error: Exception | None) -> None:
        """Tell pybreaker an outcome."""

        def outcome() -> None:
            if error is not None:
                raise error

        # It raises what it was told, and CircuitBreakerError for a late result of a call begun before it opened.
        with contextlib.suppress(Exception):
            self._breaker.call(outcome)


class Registry:
    """The breakers of a process by name, for health and metrics."""

    def __init__(self) -> None:
        self._breakers: dict[str, Breaker] = {}

    def add(self, breaker: Breaker) -> Breaker:
        """Add one. Raises ValueError when the name is taken."""
        if breaker.name in self._breakers:
            raise ValueError(f"there is a breaker {breaker.name} already")
        self._breakers[breaker.name] = breaker
        return breaker

    def states(self) -> dict[str, str]:
        """Name -> state."""
        return {name: breaker.state for name, breaker in self._breakers.items()}
