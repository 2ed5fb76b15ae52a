"""`.venv/bin/xnai` of root: what it hands over to the private environment."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

WRAPPER = Path(__file__).resolve().parents[3] / "hack" / "xnai"
STUB = '#!/bin/sh\nprintf "%s: %s\\n" "{name}" "$*"\n[ "$XNAI_STDIN" ] && cat\nexit 0\n'


@dataclass(frozen=True)
class Checkout:
    """A clone whose `hack/env` and Python say what they are called with. `uid` is what `id -u` answers."""

    root: Path

    def xnai(self, *arguments: str, uid: int = 0, stdin: str = "", **environ: str) -> list[str]:
        """What is printed, without the lines between documents."""
        (self.root / "bin" / "id").write_text(f"#!/bin/sh\necho {uid}\n")
        (self.root / "bin" / "id").chmod(0o755)
        path = f"{self.root / 'bin'}:{os.environ['PATH']}"
        done = subprocess.run(
            [str(self.root / ".venv/bin/xnai"), *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            check=True,
            env={"PATH": path, **environ},
            cwd=self.root,
        )
        return [line for line in done.stdout.splitlines() if line not in {"", "---"}]


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    for file, text in (
        ("hack/env", STUB.format(name="env")),
        (".venv/bin/python", STUB.format(name="python")),
        (".venv/bin/xnai", WRAPPER.read_text()),
    ):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text(text)
        (tmp_path / file).chmod(0o755)
    (tmp_path / "bin").mkdir()
    (tmp_path / "stack" / "redis").mkdir(parents=True)
    (tmp_path / "a.yaml").write_text("a: 1\n")
    (tmp_path / "stack" / "b.yaml").write_text("b: 1\n")
    (tmp_path / "stack" / "redis" / "c.yaml").write_text("c: 1\n")
    (tmp_path / "stack" / "notes.txt").write_text("no document\n")
    (tmp_path / "empty").mkdir()
    return Checkout(tmp_path)


INSIDE = "env: run python -m xnai_operator.cli"


@pytest.mark.parametrize(
    ("arguments", "passed", "documents"),
    [
        pytest.param(["up", "--timeout", "5"], "up --timeout 5", [], id="no files"),
        pytest.param(["plan", "-f", "a.yaml"], "plan -f -", ["a: 1"], id="a file"),
        pytest.param(["plan", "--filename=a.yaml"], "plan -f -", ["a: 1"], id="a long option"),
        pytest.param(["plan", "-fa.yaml"], "plan -f -", ["a: 1"], id="a short option with its value"),
        pytest.param(["plan", "-f", "stack"], "plan -f -", ["b: 1", "c: 1"], id="a folder"),
        pytest.param(["plan", "-f", "a.yaml", "-f", "stack", "-o", "json"], "plan -o json -f -", ["a: 1", "b: 1", "c: 1"], id="both"),
        pytest.param(["plan", "-f", "-"], "plan -f -", ["piped: 1"], id="standard input"),
        pytest.param(["plan", "-f", "a.yaml", "-f", "-"], "plan -f -", ["a: 1", "piped: 1"], id="a file and standard input"),
        pytest.param(["plan", "-f", "nowhere.yaml"], "plan -f nowhere.yaml", [], id="a file that is not there"),
        pytest.param(["plan", "-f", "empty"], "plan -f empty", [], id="a folder without documents"),
        pytest.param(["plan", "-f"], "plan -f", [], id="an option without its value"),
        pytest.param(["logs", "a b"], "logs a b", [], id="a space"),
    ],
)  # fmt: skip
def test_files_of_root_go_in_through_standard_input(
    arguments: list[str], passed: str, documents: list[str], checkout: Checkout
) -> None:
    printed = checkout.xnai(*arguments, stdin="piped: 1\n", XNAI_STDIN="1" if documents else "")
    assert printed == [f"{INSIDE} {passed}", *documents]


@pytest.mark.parametrize(
    ("arguments", "uid", "environ"),
    [
        pytest.param([], 0, {}, id="no command"),
        pytest.param(["--help"], 0, {}, id="help"),
        pytest.param(["--show-completion"], 0, {}, id="completion is shown"),
        pytest.param(["status"], 0, {"_XNAI_COMPLETE": "complete_bash"}, id="a shell asks for completion"),
        pytest.param(["status"], 1000, {}, id="a normal user"),
    ],
)
def test_what_needs_no_environment_runs_outside(
    arguments: list[str], uid: int, environ: dict[str, str], checkout: Checkout
) -> None:
    printed = checkout.xnai(*arguments, uid=uid, **environ)
    assert printed == [" ".join(["python: -m xnai_operator.cli", *arguments])]
