"""The pressure ladder: readings of the node's memory lead to steps, and each step to an action. Pure; the caller
passes the time.

The thresholds lie between those of kubelet (evicts at 100 MiB, which is too late when a pod grows by 80 MiB a second)
and systemd-oomd (pressure of 60 % for 30 s). They were measured on machines with 8 GB.
"""

from dataclasses import asdict, dataclass, replace
from enum import IntEnum
from typing import Any, Final

from xnai_operator.api.quantity import MI

LARGEST: Final = 16 << 30
"""Bytes. Shares are of the node's memory, but at most of this: a fifth of 64 GiB is not a shortage."""
PACE_SECONDS: Final = 30.0
"""Between two steps, and between two actions of a step: each needs time to take effect."""
KILL_PACE_SECONDS: Final = 5.0
"""Between two actions at KILL."""
CALM_SECONDS: Final = 300.0
"""Readings must call for a lower step for this long before the step is lowered (kubelet's transition period)."""


class Step(IntEnum):
    """The steps and their actions. At each step above NORMAL the restrictions of HOLD apply."""

    NORMAL = 0
    HOLD = 1
    """No service without a pod starts; the page cache of models that no service has loaded is dropped."""
    SHRINK = 2
    """Idle models are loaded again with a smaller context and a smaller cache."""
    SPILL = 3
    """tmpfs mounts of idle services move to disk where their policy allows it."""
    EVICT = 4
    """The least important service refuses new requests, then stops; after it the next one."""
    KILL = 5
    """The least important service stops at once, without grace; after it the next one."""

    @property
    def word(self) -> str:
        """The name for people: Normal, Hold, Shrink, Spill, Evict or Kill."""
        return self.name.capitalize()


@dataclass(frozen=True)
class Reading:
    """One reading of the node's memory: `available` (MemAvailable) and `total` in bytes; `some` and `full` of PSI's
    avg10 in percent, None where the kernel has no PSI."""

    available: int
    total: int
    some: float | None = None
    full: float | None = None


@dataclass(frozen=True)
class Threshold:
    """When a step is entered: `available` is below `share`, or PSI is at least `stall` percent for `seconds`."""

    step: Step
    share: float
    stall: float
    seconds: float
    full: bool = False
    """Which line of PSI is compared: `full` (all tasks stall) or `some`."""
    least: int = 0
    """Bytes. The step is entered below this many available bytes too, whatever `share` is."""


THRESHOLDS: Final = (
    Threshold(Step.HOLD, 0.20, 5, 10),
    Threshold(Step.SHRINK, 0.15, 10, 10),
    Threshold(Step.SPILL, 0.12, 20, 15),
    Threshold(Step.EVICT, 0.10, 40, 15),
    Threshold(Step.KILL, 0.05, 60, 30, full=True, least=300 * MI),
)


@dataclass(frozen=True)
class Ladder:
    """The state of the ladder. It is stored, so that a new process continues from it.

    Times in seconds since the epoch; 0 for never. `changed_at`: the last change of `step`. `last_action_at`: the last
    action. `below_since`: since when readings call for a lower step. `stalled_since`: for each threshold, since when
    PSI is at or above its `stall`.
    """

    step: Step = Step.NORMAL
    changed_at: float = 0.0
    last_action_at: float = 0.0
    below_since: float = 0.0
    stalled_since: tuple[float, ...] = (0.0,) * len(THRESHOLDS)

    def to_json(self) -> dict[str, Any]:
        """The state as JSON values."""
        return asdict(self) | {"step": int(self.step)}

    @classmethod
    def from_json(cls, stored: dict[str, Any]) -> "Ladder":
        """The state that `to_json` wrote. Raises KeyError, TypeError or ValueError when `stored` is anything else."""
        since = tuple(float(value) for value in stored["stalled_since"])
        times = {key: float(stored[key]) for key in ("changed_at", "last_action_at", "below_since")}
        if len(since) != len(THRESHOLDS):
            raise ValueError(f"stalled_since has {len(since)} values, not {len(THRESHOLDS)}")
        return cls(Step(stored["step"]), **times, stalled_since=since)


def _low_memory(threshold: Threshold, reading: Reading) -> bool:
    return reading.available < max(threshold.share * min(reading.total, LARGEST), threshold.least)


def _stalls(threshold: Threshold, reading: Reading) -> bool:
    value = reading.full if threshold.full else reading.some
    return value is not None and value >= threshold.stall


def after(ladder: Ladder, reading: Reading, now: float) -> Ladder:
    """The state of the ladder after a reading. `now` in seconds since the epoch.

    The step rises by one in PACE_SECONDS, but at once to EVICT or KILL when available memory calls for it. It falls by
    one in PACE_SECONDS after readings have called for a lower step for CALM_SECONDS.
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
    """When the last action has had time to take effect, in seconds since the epoch."""
    return ladder.last_action_at + (KILL_PACE_SECONDS if ladder.step is Step.KILL else PACE_SECONDS)


def may_act(ladder: Ladder, now: float) -> bool:
    """Whether an action may be taken: readings still call for the step, and the last action had time to take effect."""
    return not ladder.below_since and now >= next_action_at(ladder)
