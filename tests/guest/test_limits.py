"""Every limit is met on purpose, in a running pod: what the kernel does, and what the operator says and does."""

import inspect
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.guest import program
from tests.guest.conftest import Neighbours, Workload, metric, pods
from tests.stack.conftest import Stack, podman
from tests.waiting import wait_until
from xnai_operator.host.memory_reader import MemoryReader

pytestmark = pytest.mark.timeout(1800)

MI = 1 << 20
LIMIT, REQUEST, SCRATCH = 96 * MI, 32 * MI, 24 * MI
KILLS = 5
HOG = "taken = []\nwhile True: taken.append(bytearray(b'x') * (1 << 20))"


@pytest.fixture(scope="module", autouse=True)
def neighbours(stack: Stack) -> Iterator[Neighbours]:
    with Neighbours(stack).watched() as watched:
        yield watched


@pytest.fixture(scope="module")
def workload(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workload]:
    folder = tmp_path_factory.mktemp("diary")
    for path in (folder, folder.parent, folder.parents[1]):  # a user of the container writes here
        path.chmod(0o777)
    made = Workload(stack, "limits", folder)
    made.delete()
    made.apply(
        command=["python3", "-c", inspect.getsource(program)],
        resources={"requests": {"memory": str(REQUEST)}, "limits": {"memory": str(LIMIT), "cpu": "500m"}},
        storage={
            "tmpfs": [{"mountPath": "/scratch", "size": str(SCRATCH)}],
            "hostPaths": [{"path": str(folder), "mountPath": "/diary", "readOnly": False}],
        },
    )
    made.until_ready()
    yield made
    made.delete()


@pytest.fixture
def limited(workload: Workload, controllers: frozenset[str]) -> Workload:
    """The service, where its memory is limited: elsewhere it would take all memory of the machine."""
    if "memory" not in controllers:
        pytest.skip("no memory controller is delegated")
    assert workload.cgroup("memory.max") == str(LIMIT)
    return workload


@pytest.mark.parametrize(
    ("file", "controller", "value"),
    [
        pytest.param("memory.max", "memory", str(LIMIT), id="memory limit"),
        pytest.param("memory.high", "memory", "max", id="no throttling before the limit"),
        pytest.param("cpu.max", "cpu", "50000 100000", id="CPU limit"),
    ],
)
def test_the_kernel_has(
    file: str, controller: str, value: str, workload: Workload, controllers: frozenset[str]
) -> None:
    assert workload.cgroup(file) == (value if controller in controllers else None)


def test_the_operator_says_whether_limits_are_enforced(workload: Workload, controllers: frozenset[str]) -> None:
    found = wait_until("a condition", 180, lambda: workload.condition("LimitsEnforced"), 1)
    expected = ("True", "LimitsApplied") if "memory" in controllers else ("False", "CgroupLimitsUnavailable")
    assert (found["status"], found["reason"]) == expected


def test_the_tmpfs_is_as_declared(workload: Workload) -> None:
    assert workload.condition("TmpfsEnforced")["status"] == "True"


def test_doctor_names_a_missing_memory_controller(stack: Stack, controllers: frozenset[str]) -> None:
    findings = {f["check"]: f for f in json.loads(stack.xnai("doctor", "-o", "json", code=None).stdout)}
    found = findings["cgroups"]
    assert found["level"] == ("ok" if "memory" in controllers else "warning")
    assert "memory" in found["found"]


def test_the_pressure_of_a_container_can_be_read(workload: Workload) -> None:
    assert MemoryReader().stalls(workload.pid) is not None


def test_a_write_past_the_size_of_a_tmpfs_is_refused_and_told(workload: Workload, controllers: frozenset[str]) -> None:
    pid, starts = workload.pid, len(workload.did("start"))
    before = workload.cgroup_number("memory.stat", "shmem")
    workload.order("fill")
    filled = workload.after("fill", len(workload.did("fill")) + 1, 180)
    assert (filled["error"], filled["written"]) == ("ENOSPC", SCRATCH)
    if "memory" in controllers:
        assert abs(workload.cgroup_number("memory.stat", "shmem") - before - SCRATCH) < MI
    wait_until("TmpfsFull", 180, lambda: workload.condition("TmpfsFull").get("status") == "True", 1)
    assert f"100 % of {SCRATCH} bytes" in workload.condition("TmpfsFull")["message"]
    kills = workload.cgroup_number("memory.events", "oom_kill")
    assert (workload.pid, len(workload.did("start")), kills) == (pid, starts, 0)


def test_a_child_past_the_limit_is_killed_and_the_service_goes_on(limited: Workload) -> None:
    pid, starts = limited.pid, len(limited.did("start"))
    before = limited.cgroup_number("memory.events", "oom_kill")
    assert podman("exec", "default.limits-main", "python3", "-c", HOG).returncode == 137
    after = limited.cgroup_number("memory.events", "oom_kill")
    assert after > before
    labels = ('event="oom_kill"', 'namespace="default"', 'service="limits"')
    wait_until("the metric", 60, lambda: (metric("xnai_pod_memory_events", *labels) or 0) >= after, 1)
    assert (limited.pid, len(limited.did("start"))) == (pid, starts)


def test_a_service_past_its_limit_is_started_again_later_each_time(limited: Workload, stack: Stack) -> None:
    starts = len(limited.did("start"))
    for number in range(KILLS):
        pid, hogs = limited.pid, len(limited.did("hog"))
        limited.order("fill hog")
        assert limited.after("hog", hogs + 1, 180)["used"] == SCRATCH
        wait_until("the kernel ends it", 120, lambda pid=pid: not Path(f"/proc/{pid}").exists(), 0.05)  # type: ignore[misc]
        died = time.time()
        began = limited.after("start", starts + number + 1, 600)
        assert began["used"] == 0
        assert began["at"] - died >= 2**number - 0.2
        limited.until_ready()
    body = json.loads(stack.kubectl("get", "xs", "limits", "-o", "json").stdout)
    assert body["status"]["restarts"] == KILLS
    assert len(limited.did("start")) == starts + KILLS
    events = json.loads(stack.kubectl("get", "events", "-o", "json").stdout)["items"]
    own = [e["message"] for e in events if e["involvedObject"].get("uid") == body["metadata"]["uid"]]
    assert len([message for message in own if "killed for want of memory" in message]) == KILLS


def test_what_does_not_fit_is_never_started(stack: Stack, tmp_path: Path) -> None:
    huge = Workload(stack, "limits-huge", tmp_path)
    huge.apply(resources={"requests": {"memory": "100Gi"}})
    try:
        found = wait_until("a condition", 180, lambda: huge.condition("Admitted"), 1)
        assert (found["status"], found["reason"]) == ("False", "InsufficientMemory")
        assert "default.limits-huge" not in pods()
    finally:
        huge.delete()


def test_the_services_of_the_stack_went_on_meanwhile(neighbours: Neighbours) -> None:
    wait_until("three answers", 600, lambda: len(neighbours.answers) >= 3, 1)
    assert (neighbours.lost, [answer for answer in neighbours.answers if not answer.well]) == (set(), [])
