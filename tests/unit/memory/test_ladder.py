"""The pressure ladder: which readings lead to which step, how fast the step rises, and when it falls."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xnai_operator.memory.ladder import CALM_SECONDS, PACE_SECONDS, THRESHOLDS, Ladder, Reading, Step, after

GI = 1 << 30
NOW = 1_000_000.0


def share(part: float, some: float | None = 0.0, full: float | None = 0.0, total: int = 8 * GI) -> Reading:
    return Reading(int(part * total), total, some, full)


def run(readings: list[tuple[float, Reading]], ladder: Ladder | None = None) -> Ladder:
    """The ladder after readings at seconds from NOW."""
    ladder = ladder or Ladder()
    for seconds, reading in readings:
        ladder = after(ladder, reading, NOW + seconds)
    return ladder


@pytest.mark.parametrize(
    ("reading", "step"),
    [
        pytest.param(share(0.5), Step.NORMAL, id="half is free"),
        pytest.param(share(0.201), Step.NORMAL, id="above 20 %"),
        pytest.param(share(0.199), Step.HOLD, id="below 20 %"),
        pytest.param(share(0.14), Step.HOLD, id="below 15 %: one step at a time"),
        pytest.param(share(0.11), Step.HOLD, id="below 12 %: one step at a time"),
        # At once: a pod can grow by 80 MiB a second.
        pytest.param(share(0.099), Step.EVICT, id="below 10 %: at once"),
        pytest.param(share(0.049), Step.KILL, id="below 5 %: at once"),
        pytest.param(Reading(299 << 20, 4 * GI), Step.KILL, id="above 5 %, but below 300 MiB"),
        pytest.param(Reading(5 * GI, 64 * GI), Step.NORMAL, id="8 % of a large node"),
        pytest.param(Reading(3 * GI, 64 * GI), Step.HOLD, id="5 % of a large node"),
    ],
)
def test_the_first_step_by_available_memory(reading: Reading, step: Step) -> None:
    assert run([(0, reading)]).step is step


@pytest.mark.parametrize(
    ("stall", "seconds", "step"),
    [
        pytest.param(4.9, 60, Step.NORMAL, id="below the threshold"),
        pytest.param(5, 9, Step.NORMAL, id="too short"),
        pytest.param(5, 10, Step.HOLD, id="long enough"),
        pytest.param(100, 10, Step.HOLD, id="one step at a time"),
    ],
)
def test_a_stall_counts_when_it_lasts(stall: float, seconds: float, step: Step) -> None:
    assert run([(0, share(0.5, stall)), (seconds, share(0.5, stall))]).step is step


def test_a_stall_that_was_interrupted_begins_again() -> None:
    assert run([(0, share(0.5, 9)), (5, share(0.5, 0)), (6, share(0.5, 9)), (12, share(0.5, 9))]).step is Step.NORMAL


def test_everything_stalled_for_half_a_minute_leads_to_kill_a_step_each_half_minute() -> None:
    reading = share(0.5, 90, 70)
    steps = [run([(second, reading) for second in range(until)]).step for until in (11, 42, 73, 104, 135)]
    assert steps == [Step.HOLD, Step.SHRINK, Step.SPILL, Step.EVICT, Step.KILL]


def test_without_psi_available_memory_decides() -> None:
    assert run([(0, share(0.11, None, None)), (30, share(0.11, None, None))]).step is Step.SHRINK


def test_the_step_rises_by_one_in_half_a_minute() -> None:
    low = share(0.11)
    assert [run([(0, low), (s, low)]).step for s in (29, 30)] == [Step.HOLD, Step.SHRINK]
    assert run([(0, low), (30, low), (60, low), (90, low)]).step is Step.SPILL  # no further than readings call for


def test_the_step_falls_after_five_calm_minutes_by_one_in_half_a_minute() -> None:
    ladder = run([(0, share(0.09))])
    calm = share(0.6)
    seen = {}
    for second in range(1, 500):
        before, ladder = ladder.step, after(ladder, calm, NOW + second)
        if ladder.step is not before:
            seen[ladder.step] = second
    assert seen == {Step.SPILL: 301, Step.SHRINK: 331, Step.HOLD: 361, Step.NORMAL: 391}


def test_one_bad_reading_restarts_the_five_minutes() -> None:
    ladder = run([(0, share(0.19)), (1, share(0.6)), (200, share(0.19)), (201, share(0.6)), (400, share(0.6))])
    assert ladder.step is Step.HOLD


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 100), st.floats(0.5, 120)), max_size=60))
def test_no_step_is_skipped_and_none_falls_early(moves: list[tuple[float, float, float]]) -> None:
    ladder, now, raised_at = Ladder(), NOW, NOW
    for available, stall, seconds in moves:
        now += seconds
        new = after(ladder, share(available, stall, stall), now)
        if new.step > ladder.step:
            raised_at = now
            assert new.step == ladder.step + 1 or new.step >= Step.EVICT
        if new.step < ladder.step:
            assert new.step == ladder.step - 1
            assert now - raised_at >= min(CALM_SECONDS, PACE_SECONDS)
            assert now - new.below_since >= CALM_SECONDS
        ladder = new


@given(st.sampled_from(Step), st.floats(0, 2e9), st.floats(0, 2e9))
def test_the_stored_state_is_read_back(step: Step, changed: float, calm: float) -> None:
    ladder = Ladder(step, changed, 5.0, calm, (1.0,) * len(THRESHOLDS))
    assert Ladder.from_json(json.loads(json.dumps(ladder.to_json()))) == ladder


STORED = Ladder(Step.HOLD).to_json()


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param({}, id="empty"),
        pytest.param(STORED | {"step": 9}, id="unknown step"),
        pytest.param(STORED | {"stalled_since": [0.0]}, id="another number of thresholds"),
        pytest.param(STORED | {"changed_at": None}, id="no time"),
    ],
)
def test_any_other_stored_state_is_refused(stored: dict[str, object]) -> None:
    with pytest.raises((KeyError, ValueError, TypeError)):
        Ladder.from_json(stored)
