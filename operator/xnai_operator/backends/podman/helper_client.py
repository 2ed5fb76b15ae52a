"""The client of the helper program: one process, started when needed and again when it died."""

import asyncio
import contextlib
import itertools
import json
import os
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from xnai_operator.api.conditions import Reason
from xnai_operator.backends.podman.helper.protocol import A, Operation, R
from xnai_operator.errors import BackendError

SOURCES: Final = Path(__file__).resolve().parents[3]
"""The helper sees no site-packages (-S): it finds its package in its working directory."""
PROGRAM: Final = (sys.executable, "-S", "-E", "-m", "xnai_operator.backends.podman.helper")
LINE_BYTES: Final = 1 << 24
END_SECONDS: Final = 5.0
"""From the end of the helper's input until it is killed."""
START_SECONDS: Final = 30.0


_Waiting = dict[int, asyncio.Future[dict[str, Any]]]
"""Number of a request -> its reply."""


@dataclass(frozen=True, kw_only=True)
class _Connection:
    """A helper. `reading` is done when it has ended."""

    pid: int
    writer: asyncio.StreamWriter
    waiting: _Waiting
    reading: asyncio.Task[None]


class HelperClient:
    """Calls into Podman's user namespace. `command` starts the helper (tests run it without Podman)."""

    def __init__(self, command: tuple[str, ...] = ("podman", "unshare", *PROGRAM)) -> None:
        self._command = command
        self._connection: _Connection | None = None
        self._ids = itertools.count(1)
        self._starting = asyncio.Lock()

    @property
    def pid(self) -> int | None:
        """The process id of the helper; None when it does not run."""
        return None if self._connection is None or self._connection.reading.done() else self._connection.pid

    async def call(self, operation: Operation[R, A], request: R, work_seconds: float = 0.0) -> A:
        """One operation. `work_seconds`: the time that the request allows for its work, besides the operation's limit.

        Raises BackendError when it fails, when the helper ends or does not answer in time.
        """
        connection = await self._connected()
        number = next(self._ids)
        seconds = operation.seconds + work_seconds
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        connection.waiting[number] = future
        message = {"id": number, "operation": operation.name, "request": request}
        try:
            connection.writer.write(json.dumps(message).encode() + b"\n")
            await connection.writer.drain()
            reply = await asyncio.wait_for(future, seconds)
        except TimeoutError as error:
            await self._end(connection)
            raise _failed(f"{operation.name} did not end in {seconds:g} s") from error
        except ConnectionError as error:
            raise _failed(f"{operation.name}: the helper ended; it is started again") from error
        finally:
            connection.waiting.pop(number, None)
        if "error" in reply:
            raise _failed(f"{operation.name}: {reply['error']}")
        answer: A = reply["answer"]
        return answer

    async def _connected(self) -> _Connection:
        async with self._starting:
            if self._connection is None or self._connection.reading.done():
                self._connection = await self._start()
            return self._connection

    async def _start(self) -> _Connection:
        ours, theirs = socket.socketpair()
        try:
            end = theirs.fileno()
            process = await asyncio.create_subprocess_exec(*self._command, stdin=end, stdout=end, cwd=SOURCES)
        except FileNotFoundError as error:
            ours.close()
            message = f"{self._command[0]} is not installed; run `xnai doctor`"
            raise BackendError(Reason.PODMAN_UNAVAILABLE, message) from error
        finally:
            theirs.close()
        reader, writer = await asyncio.open_connection(sock=ours, limit=LINE_BYTES)
        try:
            # The helper leaves its parent, `podman unshare`, which ends.
            async with asyncio.timeout(START_SECONDS):
                first = await reader.readline()
                code = await process.wait()
        except TimeoutError as error:
            writer.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise _failed(f"the helper did not start in {START_SECONDS:g} s") from error
        if not first:
            writer.close()
            raise _failed(f"`{' '.join(self._command[:2])}` ended with {code}; the operator's log has its message")
        waiting: _Waiting = {}
        reading = asyncio.create_task(_read(reader, writer, waiting))
        return _Connection(pid=json.loads(first)["pid"], writer=writer, waiting=waiting, reading=reading)

    async def close(self) -> None:
        """End the helper. Mounts stay: they belong to Podman's mount namespace."""
        connection = self._connection
        if connection is not None:
            await self._end(connection)

    async def _end(self, connection: _Connection) -> None:
        if self._connection is connection:
            self._connection = None
        with contextlib.suppress(OSError):
            connection.writer.write_eof()
        done, _ = await asyncio.wait({connection.reading}, timeout=END_SECONDS)
        if not done:
            with contextlib.suppress(ProcessLookupError):
                os.kill(connection.pid, signal.SIGKILL)
            # A process in an uninterruptible system call outlives the signal: nobody waits for its end.
            connection.reading.cancel()
            await asyncio.wait({connection.reading})


def _failed(message: str) -> BackendError:
    return BackendError(Reason.HELPER_FAILED, message)


async def _read(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, waiting: _Waiting) -> None:
    """Hand each reply to the call that waits for it, until the helper ends."""
    try:
        with contextlib.suppress(ConnectionError):
            while line := await reader.readline():
                reply = json.loads(line)
                future = waiting.get(reply["id"])
                if future is not None and not future.done():
                    future.set_result(reply)
    finally:
        writer.close()
        for future in waiting.values():
            if not future.done():
                future.set_result({"error": "the helper ended; it is started again"})
