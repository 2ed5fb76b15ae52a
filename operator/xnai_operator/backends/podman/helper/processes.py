"""The processes of a container: what memory they use, on which CPUs they run."""

import contextlib
import os
from collections.abc import Iterator

from xnai_operator.backends.podman.helper import protocol


def _processes(pid: int) -> Iterator[str]:
    """The directories in /proc of every process in the container's PID namespace."""
    namespace = os.readlink(f"/proc/{pid}/ns/pid")
    for entry in os.scandir("/proc"):
        with contextlib.suppress(OSError):  # ended meanwhile, or another user's
            if entry.name.isdigit() and os.readlink(f"{entry.path}/ns/pid") == namespace:
                yield entry.path


def parse_pss(text: str) -> int:
    """The proportional set size, in bytes, of a text of proc_pid_smaps(5)."""
    return sum(int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")) * 1024


def memory(request: protocol.MemoryUse) -> protocol.Memory:
    """The memory of every process of the container."""
    total = 0
    for process in _processes(request["pid"]):
        with contextlib.suppress(OSError), open(f"{process}/smaps_rollup") as file:
            total += parse_pss(file.read())
    return {"pss": total}


def bind_cpus(request: protocol.BindCpus) -> protocol.Empty:
    """sched_setaffinity(2) for every thread of the container; threads made later inherit it."""
    for process in _processes(request["pid"]):
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"{process}/task"):
                os.sched_setaffinity(int(thread), request["cpus"])
    return {}
