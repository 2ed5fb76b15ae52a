"""Keeps processes running: started in order, restarted with back-off, stopped in reverse, no orphans."""

import asyncio
import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from xnai_controlplane.process import Process

PR_SET_PDEATHSIG: Final = 1
LOG_BYTES: Final = 4 << 20
"""What a log file larger than this holds is kept once as `.1`."""
LOG_LOOK_SECONDS: Final = 10.0
"""How often the sizes of the log files are looked at."""
FIRST_DELAY_SECONDS: Final = 0.5
LONGEST_DELAY_SECONDS: Final = 30.0
STEADY_SECONDS: Final = 60.0

_libc = ctypes.CDLL(None, use_errno=True)


class StartError(Exception):
    """A process did not become ready. The message names its log."""


class Supervisor:
    """Runs `processes` until `stop`. `log_directory` gets one file a process."""

    def __init__(
        self, processes: Sequence[Process], log_directory: Path, progress: Callable[[str], None] | None = None
    ) -> None:
        self._processes = list(processes)
        self._logs = log_directory
        self._progress = progress or (lambda message: None)
        self._running: dict[str, asyncio.subprocess.Process] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}
        self._bounding: asyncio.Task[None] | None = None
        self._stopping = False

    def pids(self) -> dict[str, int]:
        """Process ids of what runs now."""
        return {name: process.pid for name, process in self._running.items() if process.returncode is None}

    async def start(self) -> None:
        """Start every process, each after the one before is ready. Raises StartError."""
        self._logs.mkdir(parents=True, exist_ok=True)
        self._bounding = asyncio.create_task(self._bound_logs())
        for process in self._processes:
            self._progress(f"starting {process.name}")
            self._keepers[process.name] = asyncio.create_task(self._keep(process))
            await self._until_ready(process)

    async def _until_ready(self, process: Process) -> None:
        deadline = time.monotonic() + process.ready_seconds
        while process.name not in self._running or not await process.ready():
            if time.monotonic() > deadline:
                log = self._logs / f"{process.name}.log"
                raise StartError(f"{process.name} is not ready after {process.ready_seconds:.0f} s; see {log}")
            await asyncio.sleep(0.05)

    async def _keep(self, process: Process) -> None:
        delay = FIRST_DELAY_SECONDS
        while not self._stopping:
            started = time.monotonic()
            with self._log(process.name) as log:
                child = await asyncio.create_subprocess_exec(
                    *process.argv,
                    env={**os.environ, **process.env},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    # A supervisor killed with -9 must leave no orphan that holds the ports and the data.
                    preexec_fn=_die_with_parent,
                )
            self._running[process.name] = child
            code = await child.wait()
            if self._stopping:
                return
            delay = FIRST_DELAY_SECONDS if time.monotonic() - started > STEADY_SECONDS else delay * 2
            delay = min(delay, LONGEST_DELAY_SECONDS)
            self._progress(f"{process.name} ended with {code}; starts again in {delay:.0f} s")
            await asyncio.sleep(delay)

    def _log(self, name: str) -> contextlib.AbstractContextManager[int]:
        path = self._logs / f"{name}.log"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        return _closing(descriptor)

    async def _bound_logs(self) -> None:
        """A process keeps its log open as long as it runs: the file stays, and its content moves."""
        while True:
            for process in self._processes:
                path = self._logs / f"{process.name}.log"
                if path.exists() and path.stat().st_size > LOG_BYTES:
                    await asyncio.to_thread(_move_content, path, path.with_suffix(".log.1"))
            await asyncio.sleep(LOG_LOOK_SECONDS)

    async def stop(self) -> None:
        """Stop everything, last started first."""
        self._stopping = True
        if self._bounding is not None:
            self._bounding.cancel()
            await asyncio.gather(self._bounding, return_exceptions=True)
        for process in reversed(self._processes):
            child = self._running.get(process.name)
            if child is not None and child.returncode is None:
                self._progress(f"stopping {process.name}")
                with contextlib.suppress(ProcessLookupError):
                    child.terminate()
                try:
                    await asyncio.wait_for(child.wait(), process.grace_seconds)
                except TimeoutError:
                    self._progress(f"{process.name} did not end in {process.grace_seconds:.0f} s and is killed")
                    child.kill()
                    await child.wait()
            keeper = self._keepers.get(process.name)
            if keeper is not None:
                keeper.cancel()
                await asyncio.gather(keeper, return_exceptions=True)


@contextlib.contextmanager
def _closing(descriptor: int) -> Iterator[int]:
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _move_content(source: Path, target: Path) -> None:
    """The last LOG_BYTES of the source, then the source is empty: its writers append."""
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with source.open("rb+") as file, os.fdopen(descriptor, "wb") as kept:
        file.seek(max(0, source.stat().st_size - LOG_BYTES))
        kept.write(file.read(LOG_BYTES))
        file.truncate(0)


def _die_with_parent() -> None:
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
