"""The client of the helper: its program runs here without Podman."""

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from xnai_operator.api.conditions import Reason
from xnai_operator.backends.podman.helper import protocol
from xnai_operator.backends.podman.helper.protocol import Operation
from xnai_operator.backends.podman.helper_client import PROGRAM, SOURCES, HelperClient
from xnai_operator.errors import BackendError

ASK = protocol.Owners(paths=["/no such directory"])
RSS_LIMIT_KIB = 25 << 10


@pytest_asyncio.fixture
async def client() -> AsyncIterator[HelperClient]:
    client = HelperClient(PROGRAM)
    yield client
    await client.close()


def gone(pid: int) -> bool:
    """Ended; where the machine's first process collects no orphans it stays as a zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - another process makes it true
            await asyncio.sleep(0.01)


def stub(folder: Path, program: str) -> tuple[str, ...]:
    """A helper of another kind. It leaves its parent as the real one does."""
    path = folder / "stub.py"
    begin = (
        "import json, os, sys, time\nif os.fork(): os._exit(0)\nprint(json.dumps({'pid': os.getpid()}), flush=True)\n"
    )
    path.write_text(begin + program)
    return (sys.executable, "-S", "-E", str(path))


async def test_an_operation_is_answered(client: HelperClient, tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    answer = await client.call(protocol.LIST_DIRECTORY, protocol.ListDirectory(path=str(tmp_path)))
    assert answer == {"paths": [f"{tmp_path}/a"]}


async def test_operations_side_by_side_get_their_own_answers(client: HelperClient, tmp_path: Path) -> None:
    paths = [tmp_path / str(number) for number in range(20)]
    for path in paths:
        (path / "x").mkdir(parents=True)
    asked = (client.call(protocol.LIST_DIRECTORY, protocol.ListDirectory(path=str(path))) for path in paths)
    assert await asyncio.gather(*asked) == [{"paths": [f"{path}/x"]} for path in paths]


async def test_a_failed_operation_is_an_error_with_its_name_and_cause(client: HelperClient) -> None:
    with pytest.raises(BackendError) as failed:
        await client.call(protocol.RESIZE, protocol.Resize(path="/nowhere", size=1))
    assert failed.value.reason is Reason.HELPER_FAILED
    assert failed.value.message.startswith("resize: /nowhere is no longer mounted")


async def test_the_helper_leaves_the_process_that_started_it(client: HelperClient) -> None:
    await client.call(protocol.OWNERS, ASK)
    assert client.pid is not None
    assert f"PPid:\t{os.getpid()}\n" not in Path(f"/proc/{client.pid}/status").read_text()


async def test_a_helper_that_was_killed_is_started_again(client: HelperClient) -> None:
    await client.call(protocol.OWNERS, ASK)
    first = client.pid
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await until(lambda: gone(first))
    await until(lambda: client.pid is None)
    assert await client.call(protocol.OWNERS, ASK) == {"uids": []}
    assert client.pid not in {None, first}


async def test_what_a_helper_was_asked_when_it_ended_is_an_error(tmp_path: Path) -> None:
    client = HelperClient(stub(tmp_path, "sys.stdin.readline()\n"))
    with pytest.raises(BackendError, match="owners: the helper ended; it is started again") as failed:
        await client.call(protocol.OWNERS, ASK)
    assert failed.value.reason is Reason.HELPER_FAILED


async def test_a_helper_that_does_not_answer_in_time_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xnai_operator.backends.podman.helper_client.END_SECONDS", 0.1)
    client = HelperClient(stub(tmp_path, "time.sleep(1000)\n"))
    silent = Operation[protocol.Owners, protocol.Uids]("owners", seconds=0.5)
    asked = asyncio.create_task(client.call(silent, ASK))
    await until(lambda: client.pid is not None)
    pid = client.pid
    assert pid is not None
    with pytest.raises(BackendError, match=r"owners did not end in 0\.5 s") as failed:
        await asked
    assert failed.value.reason is Reason.HELPER_FAILED
    await until(lambda: gone(pid))


async def test_a_request_with_time_of_its_own_is_not_ended_by_the_limit_of_the_operation(tmp_path: Path) -> None:
    program = "r = json.loads(sys.stdin.readline())\ntime.sleep(0.5)\n"
    program += "print(json.dumps({'id': r['id'], 'answer': {'uids': [1]}}), flush=True)\nsys.stdin.read()\n"
    client = HelperClient(stub(tmp_path, program))
    short = Operation[protocol.Owners, protocol.Uids]("owners", seconds=0.1)
    assert await client.call(short, ASK, 20.0) == {"uids": [1]}
    assert client.pid is not None
    await client.close()


async def test_a_helper_that_cannot_be_killed_holds_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xnai_operator.backends.podman.helper_client.END_SECONDS", 0.1)
    killed: list[int] = []
    client = HelperClient(stub(tmp_path, "time.sleep(1000)\n"))
    silent = Operation[protocol.Owners, protocol.Uids]("owners", seconds=0.2)
    with monkeypatch.context() as patch:
        patch.setattr("xnai_operator.backends.podman.helper_client.os.kill", lambda pid, number: killed.append(pid))
        asked = (client.call(silent, ASK) for _ in range(3))
        async with asyncio.timeout(20):
            answers = await asyncio.gather(*asked, return_exceptions=True)
    os.kill(killed[0], signal.SIGKILL)
    assert [type(answer) for answer in answers] == [BackendError] * 3


@pytest.mark.parametrize("line", ["not JSON", "{}"])
async def test_a_helper_that_answers_nonsense_is_replaced_and_nobody_waits_on_it(line: str, tmp_path: Path) -> None:
    client = HelperClient(stub(tmp_path, f"sys.stdin.readline()\nprint({line!r}, flush=True)\nsys.stdin.read()\n"))
    async with asyncio.timeout(20):
        with pytest.raises(BackendError, match="owners: the helper ended; it is started again"):
            await client.call(protocol.OWNERS, ASK)
    assert client.pid is None


@pytest.mark.parametrize(
    ("command", "reason", "message"),
    [
        pytest.param(
            ("no-such-podman", "unshare"),
            Reason.PODMAN_UNAVAILABLE,
            "no-such-podman is not installed; run `xnai doctor`",
            id="not installed",
        ),
        pytest.param(
            ("sh", "-c", "exit 125"),
            Reason.HELPER_FAILED,
            "`sh -c` ended with 125; the operator's log has its message",
            id="no user namespace",
        ),
    ],
)
async def test_a_helper_that_cannot_start_is_an_error(command: tuple[str, ...], reason: Reason, message: str) -> None:
    with pytest.raises(BackendError) as failed:
        await HelperClient(command).call(protocol.OWNERS, ASK)
    assert (failed.value.reason, failed.value.message) == (reason, message)


async def test_a_start_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xnai_operator.backends.podman.helper_client.START_SECONDS", 0.1)
    with pytest.raises(BackendError, match=r"the helper did not start in 0\.1 s"):
        await HelperClient(("sleep", "1000")).call(protocol.OWNERS, ASK)


async def test_close_ends_the_helper_and_a_second_one_does_nothing(client: HelperClient) -> None:
    await client.call(protocol.OWNERS, ASK)
    pid = client.pid
    assert pid is not None
    for _ in range(2):
        await client.close()
        assert client.pid is None
    await until(lambda: gone(pid))


async def test_a_helper_whose_operator_was_killed_ends(tmp_path: Path) -> None:
    """As the operator it holds the other end of the socket."""
    program = (
        "import asyncio, os\n"
        "from xnai_operator.backends.podman.helper import protocol\n"
        "from xnai_operator.backends.podman.helper_client import PROGRAM, HelperClient\n"
        "async def main():\n"
        "    client = HelperClient(PROGRAM)\n"
        "    await client.call(protocol.OWNERS, protocol.Owners(paths=[]))\n"
        "    print(client.pid, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False, env={"PYTHONPATH": str(SOURCES)}
    )
    await until(lambda: gone(int(done.stdout)))


async def test_the_helper_stays_small(client: HelperClient) -> None:
    await client.call(protocol.MEMORY, protocol.MemoryUse(pid=os.getpid()))
    status = dict(line.split(":\t", 1) for line in Path(f"/proc/{client.pid}/status").read_text().splitlines())
    assert int(status["VmRSS"].split()[0]) <= RSS_LIMIT_KIB


def test_the_helper_imports_nothing_of_ours_but_itself_and_no_large_module() -> None:
    program = "import json, sys, xnai_operator.backends.podman.helper.__main__; print(json.dumps(list(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-S", "-E", "-c", program], capture_output=True, text=True, check=True, cwd=SOURCES
    )
    modules = set(json.loads(done.stdout))
    package = "xnai_operator.backends.podman.helper"
    ours = {name for name in modules if name.startswith("xnai_operator.backends.") and not name.startswith(package)}
    assert ours == {"xnai_operator.backends.podman"}
    assert {name for name in modules if name.startswith("xnai_operator.") and "backends" not in name} == set()
    large = {
        "inspect",
        "dataclasses",
        "logging",
        "http.client",
        "email",
        "asyncio",
        "shutil",
        "urllib.parse",
        "pathlib",
    }
    assert modules & large == set()


@pytest.mark.skipif(shutil.which("podman") is not None, reason="Podman is installed")
async def test_a_machine_without_podman_is_told_what_to_run() -> None:
    with pytest.raises(BackendError, match="podman is not installed; run `xnai doctor`"):
        await HelperClient().call(protocol.OWNERS, ASK)
