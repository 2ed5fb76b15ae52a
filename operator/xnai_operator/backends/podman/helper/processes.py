"""The processes of a container: what memory they use, on which CPUs they run, and the end of a command in it."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator

from xnai_operator.backends.podman.helper import protocol

END_SECONDS = 5.0
"""The time for the end of a command."""
CHILDREN_FIRST_SECONDS = 0.5
"""From then on parents and children are killed at once."""
END_TICK_SECONDS = 0.02
"""The time in which a parent collects its child."""


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


def parse_stat(text: str) -> tuple[int, int] | None:
    """The parent and the session of a text of proc_pid_stat(5), in whose name a blank or a bracket may stand. None for
    a zombie."""
    fields = text.rpartition(")")[2].split()
    return None if fields[0] == "Z" else (int(fields[1]), int(fields[3]))


def of_command(known: set[int], command: int, stats: dict[int, tuple[int, int]]) -> set[int]:
    """Who of `stats` (process id -> parent and session) is the command, in its session, `known` as its descendant, or a
    descendant of one of these."""
    found = {pid for pid, (_, session) in stats.items() if pid in known or command in {pid, session}}
    while more := {pid for pid, (parent, _) in stats.items() if parent in found} - found:
        found |= more
    return found


def end_exec(request: protocol.EndExec) -> protocol.Empty:
    """SIGKILL for a command and what it started, children first: a parent that lives collects them, and the container's
    first process, which would inherit them, seldom does. Raises OSError when a process outlives it.

    A number that has gone to a process outside the container is left alone.
    """
    began = time.monotonic()
    known: set[int] = set()
    while time.monotonic() < began + END_SECONDS:
        stats = _stats(request["pid"])
        alive = of_command(known, request["exec_pid"], stats) - {request["pid"]}
        if not alive:
            return {}
        known |= alive
        parents = {stats[pid][0] for pid in alive}
        # A shell in a loop starts children as fast as they are killed.
        for pid in alive - parents if time.monotonic() < began + CHILDREN_FIRST_SECONDS else alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(END_TICK_SECONDS)
    raise OSError(f"processes {sorted(known)} of the command outlive SIGKILL")


def _stats(pid: int) -> dict[int, tuple[int, int]]:
    """Parent and session of each process of the container that has not ended."""
    stats = {}
    for process in _processes(pid):
        with contextlib.suppress(OSError), open(f"{process}/stat") as file:
            stat = parse_stat(file.read())
            if stat is not None:
                stats[int(os.path.basename(process))] = stat
    return stats
