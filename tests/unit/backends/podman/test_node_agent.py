"""The agent of the node: which mounts are a pod's own, and how it probes."""

import os
import subprocess
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest

from xnai_operator.api.conditions import Reason
from xnai_operator.backends.base import ExecResult
from xnai_operator.backends.podman.helper import protocol
from xnai_operator.backends.podman.helper.protocol import Operation
from xnai_operator.backends.podman.node_agent import PodmanNodeAgent, is_own_tmpfs, runs
from xnai_operator.errors import BackendError
from xnai_operator.health.probe import ProbeRequest, ProbeResult
from xnai_operator.plan.observed import ObservedPod

POD = ObservedPod(name="default.a", namespace="default", service="a", uid="u", hash="h", running=True, pid=7)


def mount(path: str, root: str = "/", flags: tuple[str, ...] = ("rw",)) -> protocol.MountUse:
    return {
        "path": path,
        "root": root,
        "filesystem": "tmpfs",
        "flags": list(flags),
        "size": 4096,
        "used": 0,
        "inodes": 1,
        "inodes_used": 0,
        "mode": "1777",
        "uid": 0,
        "gid": 0,
    }


@pytest.mark.parametrize(
    ("candidate", "own"),
    [
        pytest.param(mount("/tmp"), True, id="a tmpfs of the service"),
        pytest.param(mount("/dev/shm"), True, id="shared memory"),
        pytest.param(mount("/dev"), False, id="/dev"),
        pytest.param(mount("/dev/shmem"), False, id="below /dev"),
        pytest.param(mount("/proc/acpi"), False, id="below /proc"),
        pytest.param(mount("/sys/firmware"), False, id="below /sys"),
        pytest.param(mount("/system"), True, id="a name that begins alike"),
        pytest.param(mount("/run/secrets/s", flags=("ro", "rw")), False, id="read-only files"),
        pytest.param(mount("/etc/hosts", root="/containers/x/hosts"), False, id="a part of one of the host's"),
    ],
)
def test_a_tmpfs_is_the_containers_own_or_not(candidate: protocol.MountUse, own: bool) -> None:
    assert is_own_tmpfs(candidate) is own


class Helper:
    """Keeps what it is asked, and answers a probe well."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, Any]] = []

    async def call(self, operation: Operation[Any, Any], request: Any, work_seconds: float = 0.0) -> Any:
        self.work_seconds = work_seconds
        self.asked.append((operation.name, request))
        return {"success": True, "message": "seen"}


def agent(helper: Helper, result: ExecResult | None = None) -> PodmanNodeAgent:
    async def run(pod: ObservedPod, command: tuple[str, ...], timeout_seconds: float) -> ExecResult:
        assert result is not None
        assert (pod, command, timeout_seconds) == (POD, ("check", "-v"), 1.5)
        return result

    runtime: Any = SimpleNamespace(exec=run)
    parts: Any = SimpleNamespace()
    helper_client: Any = helper
    return PodmanNodeAgent(runtime, helper_client, parts, parts, parts)


@pytest.mark.parametrize(
    ("request_", "asked"),
    [
        pytest.param(ProbeRequest(2.0, http=(80, "/x")), {"port": 80, "path": "/x", "reached": False}, id="http"),
        pytest.param(ProbeRequest(2.0, tcp=81), {"port": 81, "path": None, "reached": False}, id="tcp"),
        pytest.param(
            ProbeRequest(2.0, tcp=81, reached=True),
            {"port": 81, "path": None, "reached": True},
            id="a port that others reach",
        ),
    ],
)
async def test_a_port_is_probed_by_the_helper(request_: ProbeRequest, asked: dict[str, Any]) -> None:
    helper = Helper()
    assert await agent(helper).probe(POD, request_) == ProbeResult(True, "seen")
    assert (helper.asked, helper.work_seconds) == ([("probe", {"pid": 7, "seconds": 2.0, **asked})], 2.0)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        pytest.param(0, ProbeResult(True, "check ended with 0"), id="success"),
        pytest.param(4, ProbeResult(False, "check ended with 4"), id="failure"),
        pytest.param(None, ProbeResult(False, "check did not end in 1.5 s"), id="no end"),
    ],
)
async def test_a_command_is_probed_by_the_runtime(code: int | None, expected: ProbeResult) -> None:
    probe = ProbeRequest(1.5, command=("check", "-v"))
    assert await agent(Helper(), ExecResult(exit_code=code, output="")).probe(POD, probe) == expected


class CannotRead(Helper):
    """Fails as the helper does when /proc/PID is gone or a zombie's."""

    async def call(self, operation: Operation[Any, Any], request: Any, work_seconds: float = 0.0) -> Any:
        raise BackendError(Reason.HELPER_FAILED, "container_mounts: [Errno 22] Invalid argument")


@pytest.mark.parametrize(
    ("pid", "reason"),
    [
        pytest.param(os.getpid(), Reason.HELPER_FAILED, id="it runs"),
        pytest.param(1 << 30, Reason.POD_MISSING, id="it ended"),
    ],
)
async def test_mounts_that_cannot_be_read_are_those_of_an_ended_container_or_a_failure(
    pid: int, reason: Reason
) -> None:
    with pytest.raises(BackendError) as failed:
        await agent(CannotRead()).mounts(replace(POD, pid=pid))
    assert failed.value.reason is reason


def test_a_zombie_does_not_run() -> None:
    process = subprocess.Popen(["true"])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert not runs(process.pid)
    process.wait()
