"""The table of types and reasons, and how a decided condition becomes a stored one."""

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from xnai_operator.api.conditions import LONGEST, Condition, Reason, StoredCondition, Type, merge

NOW = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
BEFORE, STAMP = "2026-01-01T00:00:00Z", "2026-05-04T12:00:00Z"
STORED = StoredCondition(
    type="Ready",
    status="False",
    reason="Starting",
    message="no probe has answered yet",
    observed_generation=1,
    last_transition_time=BEFORE,
)


def merged(condition: Condition, *current: StoredCondition) -> StoredCondition:
    (found,) = merge(list(current), [condition], 2, NOW)
    return found


@pytest.mark.parametrize(
    ("status", "reason", "time"),
    [
        pytest.param(False, Reason.STARTING, BEFORE, id="nothing changed"),
        pytest.param(False, Reason.PROBE_FAILED, BEFORE, id="another reason for the same status"),
        pytest.param(True, Reason.PROBE_SUCCEEDED, STAMP, id="another status"),
        pytest.param(None, Reason.STARTING, STAMP, id="a status that became unknown"),
    ],
)
def test_the_transition_time_moves_only_when_the_status_changes(status: bool | None, reason: Reason, time: str) -> None:
    found = merged(Condition(Type.READY, status, reason, "m"), STORED)
    assert (found.last_transition_time, found.reason, found.message) == (time, reason.value, "m")


def test_a_new_condition_changed_now() -> None:
    found = merged(Condition(Type.ADMITTED, True, Reason.FITS, "m"), STORED)
    assert (found.type, found.last_transition_time) == ("Admitted", STAMP)


def test_a_condition_that_no_longer_holds_is_gone() -> None:
    assert merge([STORED], [], 2, NOW) == []


@pytest.mark.parametrize(
    ("status", "text"),
    [
        pytest.param(True, "True", id="true"),
        pytest.param(False, "False", id="false"),
        pytest.param(None, "Unknown", id="unknown"),
    ],
)
def test_a_condition_is_stored_in_the_words_of_the_api(status: bool | None, text: str) -> None:
    found = merged(Condition(Type.READY, status, Reason.STARTING, "m"))
    assert found.to_json() == {
        "type": "Ready",
        "status": text,
        "reason": "Starting",
        "message": "m",
        "observedGeneration": 2,
        "lastTransitionTime": STAMP,
    }


@pytest.mark.parametrize(
    ("length", "stored"),
    [
        pytest.param(LONGEST, LONGEST, id="as long as may be"),
        pytest.param(LONGEST + 1, LONGEST, id="one character more"),
    ],
)
def test_a_long_message_is_cut(length: int, stored: int) -> None:
    assert len(merged(Condition(Type.READY, False, Reason.STARTING, "x" * length)).message) == stored


GOOD_NEWS = {
    Reason.POLICY_APPLIED,
    Reason.FITS,
    Reason.PRESSURE_CHANGED,
    Reason.MODEL_RESTORED,
    Reason.POD_MISSING,
    Reason.SPEC_CHANGED,
    Reason.IMAGE_CHANGED,
    Reason.PROBE_SUCCEEDED,
    Reason.OWNER_GONE,
    Reason.LEFTOVER_REMOVED,
    Reason.MOUNTS_VERIFIED,
    Reason.MOUNT_RESIZED,
    Reason.LIMITS_APPLIED,
}
"""Reasons about which nobody need do anything."""


@pytest.mark.parametrize("reason", Reason)
def test_a_reason_has_a_meaning_and_a_remedy_unless_it_is_good_news(reason: Reason) -> None:
    assert reason.meaning.endswith(".")
    assert bool(reason.remedy) is (reason not in GOOD_NEWS)
    assert reason.remedy == "" or reason.remedy.endswith(".")


@pytest.mark.parametrize("kind", Type)
def test_a_type_has_a_meaning(kind: Type) -> None:
    assert kind.meaning.endswith(".")


def test_a_reason_never_repeats_a_type() -> None:
    assert {reason.value for reason in Reason} & {kind.value for kind in Type} == set()


def test_a_reason_is_found_by_its_word() -> None:
    by_word: Callable[[str], Reason] = Reason  # type: ignore[assignment]  # mypy takes __new__ for the call
    assert (by_word("ImageMissing"), str(Reason.IMAGE_MISSING)) == (Reason.IMAGE_MISSING, "ImageMissing")
