"""A consumer group on a Redis stream: at-least-once delivery, stale entries claimed, poison entries set aside."""

import asyncio
import logging
import os
import socket
from collections.abc import Awaitable, Callable
from typing import Any, Final

import redis.asyncio
from redis.exceptions import RedisError, ResponseError

log = logging.getLogger(__name__)

Entry = dict[str, str]
BLOCK_MS: Final = 2000
CLAIM_AFTER_MS: Final = 30_000
DELIVERIES: Final = 3
"""After so many tries an entry goes to the dead-letter stream."""


class Consumer:
    """Hands the entries of `stream` to `handle`, one at a time. `handle` must be idempotent."""

    def __init__(
        self,
        client: redis.asyncio.Redis,
        stream: str,
        group: str,
        handle: Callable[[Entry], Awaitable[None]],
        *,
        dead: str | None = None,
        claim_after_ms: int = CLAIM_AFTER_MS,
    ) -> None:
        self._client = client
        self._stream = stream
        self._group = group
        self._handle = handle
        self._dead = dead
        self._claim_after_ms = claim_after_ms
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        self.connected = False
        """Whether the last contact with Redis worked."""

    async def run(self) -> None:
        """Until cancelled. While Redis does not answer, it asks again each second."""
        while True:
            try:
                await self._group_exists()
                while True:
                    self.connected = True
                    await self.claim()
                    await self.step()
            except (RedisError, OSError) as error:
                if self.connected:
                    log.warning("redis: %s", error)
                self.connected = False
                await asyncio.sleep(1)

    async def _group_exists(self) -> None:
        try:
            await self._client.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    async def step(self, block_ms: int = BLOCK_MS) -> int:
        """Read and handle new entries; how many. Raises RedisError."""
        read: Any = await self._client.xreadgroup(
            self._group, self._name, {self._stream: ">"}, count=10, block=block_ms
        )
        entries = [entry for _, found in (read.items() if isinstance(read, dict) else read or []) for entry in found]
        if entries and isinstance(entries[0], list):  # the third version of the protocol nests them once more
            entries = [entry for group in entries for entry in group]
        for identifier, fields in entries:
            await self._try(identifier, fields, deliveries=1)
        return len(entries)

    async def claim(self) -> int:
        """Take over what another consumer, or this one before a crash, left unfinished; how many. Raises RedisError."""
        answer: Any = await self._client.xautoclaim(
            self._stream, self._group, self._name, min_idle_time=self._claim_after_ms, count=10
        )
        for identifier, fields in answer[1]:
            pending: Any = await self._client.xpending_range(
                self._stream, self._group, min=identifier, max=identifier, count=1
            )
            await self._try(identifier, fields, deliveries=pending[0]["times_delivered"] if pending else 1)
        return len(answer[1])

    async def _try(self, identifier: str, fields: Entry, deliveries: int) -> None:
        try:
            await self._handle(fields)
        except (RedisError, asyncio.CancelledError):
            raise
        except Exception as error:
            log.warning("%s %s, try %d: %s", self._stream, identifier, deliveries, error)
            if deliveries < DELIVERIES or self._dead is None:
                if self._dead is None:
                    await self._client.xack(self._stream, self._group, identifier)
                return
            dead: Any = {**fields, "error": str(error)[:500], "stream": self._stream}
            await self._client.xadd(self._dead, dead, maxlen=1000, approximate=True)
        await self._client.xack(self._stream, self._group, identifier)
        await self._client.xdel(self._stream, identifier)
