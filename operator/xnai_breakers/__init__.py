"""Circuit breakers for asyncio: pybreaker's state machine, one a worker, in memory."""

from xnai_breakers.breaker import Breaker, OpenError, Registry

__all__ = ["Breaker", "OpenError", "Registry"]
