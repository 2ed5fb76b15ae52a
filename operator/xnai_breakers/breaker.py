"""A circuit breaker for asynchronous calls.

pybreaker 1.4.1 decides (closed, open, half-open); this module reports outcomes to it. pybreaker's own `call` holds a
lock while the guarded call runs, counts an abandoned stream as a failure and lets every caller through when half-open.
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
    """One guarded call. A stream calls `succeeded` with its first item."""

    def __init__(self, breaker: "Breaker") -> None:
        self._breaker = breaker
        self._told = False

    def succeeded(self) -> None:
        """Report a success."""
        if not self._told:
            self._told = True
            self._breaker.record(None)

    def failed(self, error: Exception) -> None:
        """Report a failure."""
        if not self._told:
            self._told = True
            self._breaker.record(error)


class Breaker:
    """Opens after `failures` in a row. After `seconds` it lets one call through and closes when this call succeeds.

    An exception of a type in `ignore` counts neither as a failure nor as a success.
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
        """`closed`, `open` or `half-open` (the wait is over, or the one call is under way)."""
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
        """Guards the body of `async with`. An exception is a failure; an end without one is a success. A cancelled
        caller and an exception in `ignore` count as neither. When the breaker is open, raises OpenError and does not
        run the body.
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
        """Report an outcome to pybreaker."""

        def outcome() -> None:
            if error is not None:
                raise error

        # pybreaker raises the reported error. For a late result of a call from before it opened it raises
        # CircuitBreakerError.
        with contextlib.suppress(Exception):
            self._breaker.call(outcome)


class Registry:
    """The breakers of a process by name, for health and metrics."""

    def __init__(self) -> None:
        self._breakers: dict[str, Breaker] = {}

    def add(self, breaker: Breaker) -> Breaker:
        """Add a breaker. Raises ValueError when the name is in use."""
        if breaker.name in self._breakers:
            raise ValueError(f"there is a breaker {breaker.name} already")
        self._breakers[breaker.name] = breaker
        return breaker

    def states(self) -> dict[str, str]:
        """Name -> state."""
        return {name: breaker.state for name, breaker in self._breakers.items()}
