"""The pressure ladder: from readings of the machine's memory to what is to be given up. Pure; the caller gives the
clock.

Thresholds: between kubelet's (evicts at 100 MiB, too late when a pod grows by 80 MiB a second) and systemd-oomd's
(pressure of 60 % for 30 s), measured on machines of 8 GB.
"""

from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from typing import Any, Final

MI: Final = 1 << 20
LARGEST: Final = 16 << 30
"""Shares are of the machine's memory up to this: a fifth of 64 GiB is no shortage."""
PACE_SECONDS: Final = 30.0
"""Between two steps, and between two measures of a step: each needs time to show."""
KILL_PACE_SECONDS: Final = 5.0
CALM_SECONDS: Final = 300.0
"""Readings must call for less for this long before the ladder is climbed down (kubelet's transition period)."""


class Step(IntEnum):
    """What is done. Each step includes `HOLD`."""

    NORMAL = 0
    HOLD = 1
    """Nothing new is started; the page cache of models that nobody has loaded is dropped."""
    SHRINK = 2
    """Idle models are loaded again with less context and a smaller cache."""
    SPILL = 3
    """tmpfs mounts of idle services that may be on disk are moved there."""
    EVICT = 4
    """The least important service refuses new requests, then is stopped; the next follows."""
    KILL = 5
    """The same at once, without grace."""

    @property
    def word(self) -> str:
        """For people: Normal, Hold ..."""
        return self.name.capitalize()


@dataclass(frozen=True)
class Reading:
    """`available` (MemAvailable) and `total` in bytes; `some` and `full`: PSI's avg10 of memory in percent, None where
    the kernel has none."""

    available: int
    total: int
    some: float | None = None
    full: float | None = None


@dataclass(frozen=True)
class Threshold:
    """Entered when `available` falls below this share, or when PSI is `stall` percent for `seconds`."""

    step: Step
    share: float
    stall: float
    seconds: float
    full: bool = False
    """Which of PSI's two lines: all tasks stalled, or some."""
    least: int = 0
    """Bytes: entered below this whatever the share is."""


THRESHOLDS: Final = (
    Threshold(Step.HOLD, 0.20, 5, 10),
    Threshold(Step.SHRINK, 0.15, 10, 10),
    Threshold(Step.SPILL, 0.12, 20, 15),
    Threshold(Step.EVICT, 0.10, 40, 15),
    Threshold(Step.KILL, 0.05, 60, 30, full=True, least=300 * MI),
)


@dataclass(frozen=True)
class Ladder:
    """Where the ladder stands; stored, so that a new process goes on from it. Times in seconds since the epoch, 0 when
    not. `changed_at`: the last step; `last_action_at`: the last measure taken; `below_since`: since when readings call
    for less; `stalled_since`: for each threshold, since when PSI is at its threshold."""

    step: Step = Step.NORMAL
    changed_at: float = 0.0
    last_action_at: float = 0.0
    below_since: float = 0.0
    stalled_since: tuple[float, ...] = (0.0,) * len(THRESHOLDS)

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self) | {"step": int(self.step)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Ladder":
        """What `to_json` gave. Raises KeyError, TypeError or ValueError when it is something else."""
        since = tuple(float(value) for value in stored["stalled_since"])
        times = {key: float(stored[key]) for key in ("changed_at", "last_action_at", "below_since")}
        if len(since) != len(THRESHOLDS):
            raise ValueError(f"{len(since)} thresholds")
        return cls(Step(stored["step"]), **times, stalled_since=since)


def _low_memory(threshold: Threshold, reading: Reading) -> bool:
    return reading.available < max(threshold.share * min(reading.total, LARGEST), threshold.least)


def _stalls(threshold: Threshold, reading: Reading) -> bool:
    value = reading.full if threshold.full else reading.some
    return value is not None and value >= threshold.stall


def after(ladder: Ladder, reading: Reading, now: float) -> Ladder:
    """The ladder after a reading.

    Up one step in 30 s, but at once to `EVICT` or `KILL` when available memory calls for it. Down when readings have
    called for less for five minutes, one step in 30 s.
    """
    since = tuple(
        (before or now) if _stalls(threshold, reading) else 0.0
        for threshold, before in zip(THRESHOLDS, ladder.stalled_since, strict=True)
    )
    low_memory = max(
        (threshold.step for threshold in THRESHOLDS if _low_memory(threshold, reading)), default=Step.NORMAL
    )
    stalled = max(
        (
            threshold.step
            for threshold, begun in zip(THRESHOLDS, since, strict=True)
            if begun and now - begun >= threshold.seconds
        ),
        default=Step.NORMAL,
    )
    wanted = max(low_memory, stalled)
    ladder = replace(ladder, stalled_since=since)
    if wanted >= ladder.step:
        ladder = replace(ladder, below_since=0.0)
    if wanted == ladder.step:
        return ladder
    paced = now - ladder.changed_at >= PACE_SECONDS
    if wanted > ladder.step:
        if low_memory >= Step.EVICT and low_memory > ladder.step:
            return replace(ladder, step=low_memory, changed_at=now)
        return replace(ladder, step=Step(ladder.step + 1), changed_at=now) if paced else ladder
    ladder = replace(ladder, below_since=ladder.below_since or now)
    if paced and now - ladder.below_since >= CALM_SECONDS:
        return replace(ladder, step=Step(ladder.step - 1), changed_at=now)
    return ladder


def next_action_at(ladder: Ladder) -> float:
    """When the last measure has had its time to show."""
    return ladder.last_action_at + (KILL_PACE_SECONDS if ladder.step is Step.KILL else PACE_SECONDS)


def may_act(ladder: Ladder, now: float) -> bool:
    """Whether a measure may be taken: the readings still call for the step, and the last one had its time to show."""
    return not ladder.below_since and now >= next_action_at(ladder)
