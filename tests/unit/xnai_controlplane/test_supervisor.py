"""Processes are started in order, kept running, stopped in reverse."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from xnai_controlplane import Process, StartError, Supervisor

SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")
STUBBORN = (
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
)


async def never() -> bool:
    return False


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_what_is_started_runs_and_what_is_stopped_is_gone(tmp_path: Path) -> None:
    supervisor = Supervisor([Process("a", SLEEP), Process("b", SLEEP)], tmp_path)
    await supervisor.start()
    pids = supervisor.pids()
    await supervisor.stop()
    assert (sorted(pids), [alive(pid) for pid in pids.values()]) == (["a", "b"], [False, False])


async def test_the_next_starts_only_when_the_one_before_is_ready(tmp_path: Path) -> None:
    supervisor = Supervisor([Process("a", SLEEP, ready=never, ready_seconds=0.3), Process("b", SLEEP)], tmp_path)
    with pytest.raises(StartError, match="a is not ready after"):
        await supervisor.start()
    assert "b" not in supervisor.pids()
    await supervisor.stop()


async def test_a_killed_process_is_started_again(tmp_path: Path) -> None:
    said: asyncio.Queue[str] = asyncio.Queue()
    supervisor = Supervisor([Process("a", SLEEP)], tmp_path, said.put_nowait)
    await supervisor.start()
    first = supervisor.pids()["a"]
    os.kill(first, signal.SIGKILL)
    while "ended with" not in await asyncio.wait_for(said.get(), 10):
        pass
    async with asyncio.timeout(10):
        while supervisor.pids().get("a") in {None, first}:  # noqa: ASYNC110 - nothing tells it
            await asyncio.sleep(0.05)
    await supervisor.stop()


async def test_one_that_ignores_the_signal_is_killed(tmp_path: Path) -> None:
    async def up() -> bool:
        return "up" in (tmp_path / "a.log").read_text()

    supervisor = Supervisor([Process("a", STUBBORN, ready=up, grace_seconds=0.2)], tmp_path)
    await supervisor.start()
    pid = supervisor.pids()["a"]
    await supervisor.stop()
    assert not alive(pid)


async def test_the_output_is_in_a_log_only_the_user_reads(tmp_path: Path) -> None:
    command = (sys.executable, "-c", "print('hello', flush=True); import time; time.sleep(600)")

    async def said() -> bool:
        return "hello" in (tmp_path / "a.log").read_text()

    supervisor = Supervisor([Process("a", command, ready=said)], tmp_path)
    await supervisor.start()
    await supervisor.stop()
    assert (tmp_path / "a.log").stat().st_mode & 0o777 == 0o600


async def test_a_log_is_bounded_while_its_process_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xnai_controlplane.supervisor.LOG_BYTES", 1000)
    monkeypatch.setattr("xnai_controlplane.supervisor.LOG_LOOK_SECONDS", 0.01)
    talks = (sys.executable, "-uc", "import time\nfor n in range(10**9): print(n, '.' * 90); time.sleep(0.001)")
    log, kept = tmp_path / "a.log", tmp_path / "a.log.1"
    supervisor = Supervisor([Process("a", talks)], tmp_path)
    await supervisor.start()
    pid = supervisor.pids()["a"]
    async with asyncio.timeout(20):
        # Its content moved, and what came later is there without a hole before it.
        while not (kept.exists() and kept.stat().st_size == 1000 and log.read_bytes()[:1].isdigit()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
    assert (supervisor.pids()["a"], kept.stat().st_mode & 0o777) == (pid, 0o600)
    await supervisor.stop()
