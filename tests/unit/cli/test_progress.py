"""What `xnai up` and the set-up print while they work, where there is no terminal."""

import time

import pytest

from xnai_operator.cli.up import Progress


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time; a test sets its only element."""
    now = [100.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    return now


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_state_is_printed_once(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    shown = Progress(None, 100.0)
    for clock[0] in (100.0, 101.0, 109.0):
        shown.say("images", "building")
    assert lines(capsys) == ["[   0.0 s] images: building"]


def test_a_state_that_lasts_gives_a_sign_of_life_every_ten_seconds(
    clock: list[float], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = Progress(None, 100.0)
    for clock[0] in (100.0, 110.0, 115.0, 120.0):
        shown.say("images", "building")
    assert lines(capsys)[1:] == ["[  10.0 s] images: building (for 10 s)", "[  20.0 s] images: building (for 20 s)"]


def test_a_finished_item_is_silent(clock: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    shown = Progress(None, 100.0)
    for clock[0] in (100.0, 200.0):
        shown.say("images", "done", done=True)
    assert len(lines(capsys)) == 1
