"""What is read of the machine, from copies of its files."""

import os
import time
from pathlib import Path

import pytest

from xnai_operator.host import node
from xnai_operator.host.memory_reader import MemoryReader
from xnai_operator.memory.ladder import Reading

MEMINFO = "MemTotal:  8000 kB\nMemFree: 1 kB\nMemAvailable:  2000 kB\nSwapTotal:  400 kB\n"
PSI = "some avg10={} avg60=0.00 avg300=0.00 total=1\nfull avg10=1.50 avg60=0.00 avg300=0.00 total=1\n"
STAT = "42 (a) b) c) S 1 1 1 0 -1 0 0 0 0 0 {} 0 0 0 20 0 1 0 100"


class Root:
    """A copy of what is read below /."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.write("proc/meminfo", MEMINFO)

    def write(self, name: str, text: str) -> None:
        file = self.path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def root(tmp_path: Path) -> Root:
    return Root(tmp_path)


def test_a_kernel_with_psi(root: Root) -> None:
    root.write("proc/pressure/memory", PSI.format("12.34"))
    assert MemoryReader(root.path).read() == Reading(2000 << 10, 8000 << 10, 12.34, 1.5)


def test_a_kernel_without_psi_is_read_and_told(root: Root) -> None:
    signals = MemoryReader(root.path)
    assert signals.read() == Reading(2000 << 10, 8000 << 10)
    assert [text.split(" (")[0] for text in signals.lacking()] == ["PSI of the machine", "PSI and events of pods"]


def test_a_pod_on_cgroup_version_2(root: Root) -> None:
    root.write("sys/fs/cgroup/cgroup.controllers", "memory")
    root.write("proc/42/cgroup", "0::/user.slice/libpod-1.scope/container\n")
    folder = "sys/fs/cgroup/user.slice/libpod-1.scope/container"
    root.write(f"{folder}/memory.pressure", PSI.format("33.00"))
    root.write(f"{folder}/memory.events", "low 0\nhigh 0\nmax 7\noom 1\noom_kill 1\n")
    signals = MemoryReader(root.path)
    assert (signals.stalls(42), signals.memory_events(42)["oom_kill"]) == (33.0, 1)
    assert (signals.stalls(43), signals.memory_events(43)) == (None, {})


def test_on_version_1_a_pod_has_no_signals(root: Root) -> None:
    root.write("proc/42/cgroup", "4:memory:/x\n0::/\n")
    assert (MemoryReader(root.path).stalls(42), MemoryReader(root.path).memory_events(42)) == (None, {})


def test_idle_is_who_hardly_used_a_cpu_for_ten_seconds(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    ticks = os.sysconf("SC_CLK_TCK")
    signals = MemoryReader(root.path)
    seen = []
    for seconds in (0.0, 0.5, 0.6, 5.0):
        root.write("proc/42/stat", STAT.format(int(seconds * ticks)))
        seen.append(signals.idle([42, 43]))
        now += 10.5
    assert seen == [frozenset(), frozenset({42}), frozenset({42}), frozenset()]


def test_another_process_of_the_same_number_begins_anew(root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    root.write("proc/42/stat", STAT.format(0))
    signals = MemoryReader(root.path)
    signals.idle([42])
    now += 11
    assert signals.idle([42]) == {42}
    assert signals.idle([]) == frozenset()
    assert signals.idle([42]) == frozenset()


def test_the_cache_of_a_file_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        MemoryReader().drop_cache(tmp_path / "gone.gguf")


def test_the_machine(root: Root) -> None:
    for cpu in os.sched_getaffinity(0):
        root.write(f"sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list", "0-999\n")
    root.write("proc/swaps", "Filename Type Size\n/dev/zram0 partition 400\n")
    root.write("sys/fs/cgroup/cgroup.controllers", "cpu memory pids")
    uid = os.getuid()
    root.write(f"sys/fs/cgroup/user.slice/user-{uid}.slice/user@{uid}.service/cgroup.controllers", "memory pids\n")
    root.write("dev/dri/renderD128", "")
    root.write("usr/share/vulkan/icd.d/radeon_icd.x86_64.json", "{}")
    found = node.read(root.path)
    assert (found.memory, found.swap, found.zram) == (8000 << 10, 400 << 10, True)
    assert (found.cores, found.cgroup_version, found.controllers) == (1, 2, ("memory", "pids"))
    assert (found.gpus, found.vulkan) == (("/dev/dri/renderD128",), True)


def test_a_plain_machine(root: Root) -> None:
    found = node.read(root.path)
    assert (found.zram, found.cgroup_version, found.controllers, found.gpus, found.vulkan) == (False, 1, (), (), False)
    assert found.cores == found.cpus == len(os.sched_getaffinity(0))
