"""Reads memory and stalls of the machine and of pods. A whole reading costs 0.1 ms and needs no privilege."""

import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from xnai_operator.host.node import memory_value
from xnai_operator.memory.ladder import Reading

IDLE_SHARE: Final = 0.1
"""Of a core: below it a service is idle. A generating model takes a whole one."""
WINDOW_SECONDS: Final = 10.0
"""Over which use of the CPU is averaged: a pause between two questions is not idleness."""

_TICKS = os.sysconf("SC_CLK_TCK")


def _stall(text: str, line: str) -> float:
    """avg10 of a line of a PSI file (Documentation/accounting/psi.rst), in percent."""
    fields = next(found for found in text.splitlines() if found.startswith(line)).split()
    return float(fields[1].removeprefix("avg10="))


def cpu_seconds(pid: int, root: Path = Path("/")) -> float:
    """CPU time of a process and of its ended children. Raises OSError when no process has this number."""
    # utime, stime, cutime, cstime: proc_pid_stat(5), counted from the field after the name.
    fields = (root / f"proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return sum(int(value) for value in fields[11:15]) / _TICKS


@dataclass(frozen=True)
class _Cpu:
    at: float
    seconds: float
    share: float | None = None


class MemoryReader:
    """Reads /proc and /sys below `root` (tests have a copy)."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root
        self._cpu: dict[int, _Cpu] = {}

    def lacking(self) -> tuple[str, ...]:
        """The signals that this machine lacks. Each entry says what the operator does without it."""
        found = []
        if not (self._root / "proc/pressure/memory").exists():
            found.append("PSI of the machine (kernel option psi=1): available memory alone decides")
        if not (self._root / "sys/fs/cgroup/cgroup.controllers").exists():
            found.append("PSI and events of pods (cgroup version 1): a pod that thrashes in its limit is not noticed")
        return tuple(found)

    def read(self) -> Reading:
        """A reading of the machine."""
        meminfo = (self._root / "proc/meminfo").read_text()
        total, available = memory_value(meminfo, "MemTotal"), memory_value(meminfo, "MemAvailable")
        try:
            text = (self._root / "proc/pressure/memory").read_text()
        except OSError:  # a kernel without PSI; with psi=0 the file is there and cannot be read
            return Reading(available, total)
        return Reading(available, total, _stall(text, "some"), _stall(text, "full"))

    def stalls(self, pid: int) -> float | None:
        """PSI (some, avg10, percent) of the cgroup of a container's process; None on cgroup version 1 and when the
        process ended."""
        text = self._cgroup_file(pid, "memory.pressure")
        return None if text is None else _stall(text, "some")

    def memory_events(self, pid: int) -> Mapping[str, int]:
        """How often the container met its limits: memory.events of cgroup version 2 (high, max, oom, oom_kill)."""
        text = self._cgroup_file(pid, "memory.events")
        lines = [] if text is None else [line.split() for line in text.splitlines()]
        return {name: int(count) for name, count in lines}

    def _cgroup_file(self, pid: int, name: str) -> str | None:
        if not (self._root / "sys/fs/cgroup/cgroup.controllers").exists():
            return None
        try:
            lines = (self._root / f"proc/{pid}/cgroup").read_text().splitlines()
            path = next(line.removeprefix("0::/") for line in lines if line.startswith("0::"))
            return (self._root / "sys/fs/cgroup" / path / name).read_text()
        except (OSError, StopIteration):  # it ended, or the controller is not delegated
            return None

    def idle(self, pids: Iterable[int]) -> frozenset[int]:
        """The processes that used less than a tenth of a core in the last ten seconds. A new process counts as busy."""
        now, before, found = time.monotonic(), self._cpu, {}
        for pid in pids:
            try:
                seconds = cpu_seconds(pid, self._root)
            except OSError:
                continue
            last = before.get(pid)
            if last is None:
                found[pid] = _Cpu(now, seconds)
            elif now - last.at >= WINDOW_SECONDS:
                found[pid] = _Cpu(now, seconds, (seconds - last.seconds) / (now - last.at))
            else:
                found[pid] = last
        self._cpu = found
        return frozenset(pid for pid, cpu in found.items() if cpu.share is not None and cpu.share < IDLE_SHARE)

    def drop_cache(self, path: Path) -> None:
        """Drop the page cache of a file. Mapped pages stay (posix_fadvise(2))."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        finally:
            os.close(descriptor)
