"""The client of `userns_helper`: one helper process, started when needed and again when it died."""

import asyncio
import contextlib
import itertools
import json
import sys
from pathlib import Path
from typing import Any, Final

from xnai_operator.api.conditions import Reason
from xnai_operator.errors import BackendError

HELPER: Final = Path(__file__).with_name("helper.py")
COMMAND: Final = ("podman", "unshare", sys.executable, "-S", "-E", str(HELPER))
TIMEOUT_SECONDS: Final = 30.0


class HelperClient:
    """Calls into Podman's user namespace. `command` starts the helper (tests run it without Podman)."""

    def __init__(self, command: tuple[str, ...] = COMMAND) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._ids = itertools.count(1)
        self._starting = asyncio.Lock()

    async def call(self, operation: str, timeout: float = TIMEOUT_SECONDS, **arguments: Any) -> dict[str, Any]:  # noqa: ASYNC109
        """One operation of the helper. Raises BackendError when it fails, ends or does not answer in time."""
        process = await self._started()
        number = next(self._ids)
        future: asyncio.Future[dict[str, Any]] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        assert process.stdin is not None
        try:
            process.stdin.write(json.dumps({"id": number, "op": operation, **arguments}).encode() + b"\n")
            await process.stdin.drain()
            reply = await asyncio.wait_for(future, timeout)
        except (TimeoutError, ConnectionError) as error:
            await self.close()
            raise BackendError(
                Reason.PODMAN_UNAVAILABLE, f"{operation} in Podman's user namespace did not answer"
            ) from error
        finally:
            self._waiting.pop(number, None)
        if "error" in reply:
            raise BackendError(Reason.START_FAILED, f"{operation}: {reply['error']}")
        answer: dict[str, Any] = reply["ok"]
        return answer

    async def _started(self) -> asyncio.subprocess.Process:
        async with self._starting:
            if self._process is None or self._process.returncode is not None:
                try:
                    self._process = await asyncio.create_subprocess_exec(
                        *self._command,
                        stdin=asyncio.subprocess.PIPE,
                        stdout=asyncio.subprocess.PIPE,
                        limit=1 << 24,
                    )
                except FileNotFoundError as error:
                    raise BackendError(
                        Reason.PODMAN_UNAVAILABLE, f"{self._command[0]} is not installed; run `xnai doctor`"
                    ) from error
                self._reader = asyncio.create_task(self._read(self._process))
            return self._process

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            reply = json.loads(line)
            future = self._waiting.get(reply.pop("id"))
            if future is not None and not future.done():
                future.set_result(reply)
        for future in self._waiting.values():
            if not future.done():
                future.set_result({"error": "the helper in Podman's user namespace ended; it is started again"})

    async def close(self) -> None:
        """End the helper. Mounts stay: they belong to Podman's mount namespace."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 5)
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if self._reader is not None:
            await self._reader
