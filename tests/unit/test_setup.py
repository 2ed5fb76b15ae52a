"""The stages of `hack/setup.py`: what waits for what, and what is kept of their output."""

import sys
import time
from pathlib import Path

import pytest
from hack.setup import Stage, run_all, stages

from xnai_operator.cli.up import Progress


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))


def python(text: str) -> tuple[str, ...]:
    return (sys.executable, "-c", text)


@pytest.mark.parametrize(
    ("root", "tests", "expected"),
    [
        pytest.param(False, True, {"control plane": None, "images": None, "model": None}, id="a normal user"),
        pytest.param(
            True,
            True,
            {"environment": None, "control plane": None} | dict.fromkeys(("images", "model", "browser"), "environment"),
            id="root, for the tests",
        ),
        pytest.param(
            True,
            False,
            {"environment": None, "control plane": None} | dict.fromkeys(("images", "model"), "environment"),
            id="root",
        ),
    ],
)
def test_the_stages_of(root: bool, tests: bool, expected: dict[str, str | None]) -> None:
    assert {stage.name: stage.after for stage in stages(root=root, tests=tests)} == expected


async def test_a_stage_is_not_tried_when_the_one_before_it_failed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    made = [
        Stage("first", python("print('no network'); raise SystemExit(3)")),
        Stage("second", ("touch", tmp_path / "second"), "first"),
        Stage("other", ("touch", tmp_path / "other")),
    ]
    failed = await run_all(made, Progress(None, time.monotonic()))
    told = capsys.readouterr().err
    assert [stage.name for stage in failed] == ["first", "second"]
    assert ("first: failed: no network" in told, "second: not tried: first failed" in told) == (True, True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "xnai"]


async def test_the_whole_output_of_a_stage_is_kept() -> None:
    stage = Stage("one", python("import sys; print('out'); print('err', file=sys.stderr)"))
    assert await run_all([stage], Progress(None, time.monotonic())) == []
    assert sorted(stage.log.read_text().split()) == ["err", "out"]


async def test_a_stage_begins_when_the_one_before_it_has_ended(tmp_path: Path) -> None:
    made = [Stage("first", ("touch", tmp_path / "a")), Stage("second", ("mv", tmp_path / "a", tmp_path / "b"), "first")]
    assert await run_all(made, Progress(None, time.monotonic())) == []
