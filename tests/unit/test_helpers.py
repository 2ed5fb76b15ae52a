"""Helpers of the tests on real machines, as far as they need none."""

from pathlib import Path

import pytest

from tests.guest.conftest import Workload
from tests.stack.conftest import Stack
from tests.waiting import wait_until
from xnai_operator.config import Config


def test_waiting_ends_with_the_first_true_answer() -> None:
    answers = iter([0, "", 7, 8])
    assert wait_until("a number", 5, lambda: next(answers), 0) == 7


def test_waiting_says_what_did_not_come() -> None:
    with pytest.raises(AssertionError, match="a number: not within 0 s"):
        wait_until("a number", 0, lambda: 0, 0)


@pytest.fixture
def workload(tmp_path: Path) -> Workload:
    return Workload(Stack(Config.read({}), tmp_path, {}), "limits", tmp_path)


def test_an_order_appears_at_once(workload: Workload) -> None:
    workload.order("fill hog")
    assert {path.name: path.read_text() for path in workload.folder.iterdir()} == {"order": "fill hog"}


def test_what_the_program_did_is_read_by_kind(workload: Workload) -> None:
    assert workload.did("start") == []
    (workload.folder / "log").write_text(
        '{"did": "start", "at": 1}\n{"did": "hog", "at": 2}\n{"did": "start", "at": 3}\n'
    )
    assert [entry["at"] for entry in workload.did("start")] == [1, 3]
    assert workload.after("start", 2, 0)["at"] == 3
