"""Watching the machine's memory: one reading a second, the ladder kept in a file, what the passes need of it."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

import structlog

from xnai_operator.host.files import write_atomically
from xnai_operator.host.ladder_file import stored_ladder
from xnai_operator.memory.ladder import Ladder, Reading, Step, after
from xnai_operator.plan.observed import ObservedPod
from xnai_operator.plan.types import NodePressure

log = structlog.get_logger()

THRASHING: Final = 20.0
"""PSI (some, avg10, percent) of a pod: at 149 of 150 MiB 20 is thrashing, 0 is healthy."""
THRASHING_SECONDS: Final = 15.0
IDLE_STALLS: Final = 1.0
"""The same for a pod that is not idle."""


class MemoryReader(Protocol):
    """What is read of the machine (`host.signals`)."""

    def read(self) -> Reading:
        """Memory of the machine."""

    def idle(self, pids: Iterable[int]) -> frozenset[int]:
        """Those that hardly used a CPU of late."""

    def stalls(self, pid: int) -> float | None:
        """PSI of a pod in percent; None where there is none."""

    def memory_events(self, pid: int) -> Mapping[str, int]:
        """How often a pod met its limits, by event; empty where nothing counts."""

    def drop_cache(self, path: Path) -> None:
        """Give back the page cache of a file. Raises OSError."""


class MemoryWatch:
    """The ladder and what it is read from. `file` is in memory: it survives the operator, not the machine. `clock` in
    seconds since the epoch."""

    def __init__(self, signals: MemoryReader, file: Path, clock: Callable[[], float]) -> None:
        self._signals = signals
        self._file = file
        self._clock = clock
        self._idle: frozenset[str] = frozenset()
        self._stalled_since: dict[str, float] = {}
        self.ladder = stored_ladder(
            file, lambda error: log.warning("the stored pressure ladder is unreadable: it begins anew", error=error)
        )
        self.reading = signals.read()

        self.left_normal = False
        """Whether the ladder left its lowest step, and the page cache of unused models is still to be given back."""

    def _keep(self, ladder: Ladder) -> None:
        if (ladder.step, ladder.last_action_at) != (self.ladder.step, self.ladder.last_action_at):
            write_atomically(self._file, json.dumps(ladder.to_json()))
        self.ladder = ladder

    def tick(self, pods: Iterable[ObservedPod]) -> tuple[Step, bool]:
        """One reading. The step before it, and whether there is something to decide about."""
        now = self._clock()
        running = {pod.name: pod for pod in pods if pod.running}
        before, thrashing, calm = self.ladder.step, self.thrashing, bool(self.ladder.below_since)
        self.reading = self._signals.read()
        self._keep(after(self.ladder, self.reading, now))
        self.left_normal |= before is Step.NORMAL and self.ladder.step is not Step.NORMAL
        stalls = {name: self._signals.stalls(pod.pid) or 0.0 for name, pod in running.items()}
        resting = self._signals.idle(pod.pid for pod in running.values())
        # One that waits for its memory hardly uses a CPU, and is anything but idle.
        idle = frozenset(name for name, pod in running.items() if pod.pid in resting and stalls[name] < IDLE_STALLS)
        matters = self.ladder.step is not Step.NORMAL or any(pod.variant.reduced for pod in running.values())
        changed = (matters and idle != self._idle) or calm is not bool(self.ladder.below_since)
        self._idle = idle
        stalled = {name for name, value in stalls.items() if value >= THRASHING}
        self._stalled_since = {name: self._stalled_since.get(name, now) for name in stalled}
        return before, changed or self.ladder.step is not before or self.thrashing != thrashing

    @property
    def thrashing(self) -> frozenset[str]:
        """Pods that have been stalled for some time, by name."""
        now = self._clock()
        return frozenset(name for name, since in self._stalled_since.items() if now - since >= THRASHING_SECONDS)

    def acted(self) -> None:
        """A measure was taken: the next one waits."""
        self._keep(replace(self.ladder, last_action_at=self._clock()))

    def facts(self, used: dict[str, int]) -> NodePressure:
        """For a pass; `used` as in Pressure."""
        return NodePressure(self.ladder, self._idle, self.thrashing, used, self.left_normal)

    def memory_events(self, pod: ObservedPod) -> Mapping[str, int]:
        """How often the pod met its limits."""
        return self._signals.memory_events(pod.pid)

    def drop_caches(self, files: Iterable[Path]) -> None:
        """Give back the page cache of these model files."""
        self.left_normal = False
        for file in files:
            try:
                self._signals.drop_cache(file)
            except OSError as error:  # gone meanwhile
                log.warning("page cache not dropped", file=str(file), error=str(error))

    def describe(self) -> str:
        """The last reading for people."""
        reading = self.reading
        stall = "" if reading.some is None else f", stalled {reading.some:.0f} % of the time"
        return f"{reading.available >> 20} of {reading.total >> 20} MiB available{stall}"
