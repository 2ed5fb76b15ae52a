"""The command line: what it prints, and how it ends."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from xnai_operator.cli.app import app
from xnai_operator.cli.root import _without_files

SERVICE = {"apiVersion": "xnai.dev/v1alpha1", "kind": "XnaiService", "metadata": {"name": "a"}, "spec": {"image": "i"}}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.delenv("XNAI_INSTANCE", raising=False)
    return tmp_path


def run(*arguments: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(app, list(arguments), input=stdin)


@pytest.mark.usefixtures("home")
def test_render_prints_the_pod() -> None:
    done = run("render", "-f", "-", stdin=yaml.safe_dump(SERVICE))
    assert (done.exit_code, yaml.safe_load(done.stdout)["metadata"]["name"]) == (0, "default.a")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", "not YAML"),
        (yaml.safe_dump({**SERVICE, "spec": {"imag": "i"}}), "spec.image: Field required"),
        (yaml.safe_dump({**SERVICE, "spec": {"image": "i", "ports": [{"name": "p", "containerPort": 0}]}}), "spec.ports[0].containerPort"),
    ],
)  # fmt: skip
def test_render_of_a_wrong_file_says_what_is_wrong(text: str, message: str) -> None:
    done = run("render", "-f", "-", stdin=text)
    assert (done.exit_code, message in done.output) == (2, True)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("command", [["status"], ["kubeconfig"], ["plan", "-f", "-"]])
def test_without_a_control_plane_the_next_command_is_named(command: list[str]) -> None:
    done = run(*command, stdin=yaml.safe_dump(SERVICE))
    assert (done.exit_code, "xnai up" in done.output) == (3, True)


@pytest.mark.usefixtures("home")
def test_size_of_what_is_no_model() -> None:
    done = run("size", "none.gguf")
    assert (done.exit_code, "none.gguf" in done.output) == (2, True)


COMMANDS = sorted(c.name or (c.callback.__name__ if c.callback else "") for c in app.registered_commands)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    assert run(command, "--help").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "passed", "files"),
    [
        (["plan", "-f", "FILE"], ["plan", "-f", "-"], 1),
        (["plan", "-f", "-"], ["plan", "-f", "-"], 0),
        (["plan", "-f", "nowhere.yaml"], ["plan", "-f", "nowhere.yaml"], 0),
        (["up", "--timeout", "5"], ["up", "--timeout", "5"], 0),
    ],
)
def test_files_of_root_go_in_through_standard_input(
    arguments: list[str], passed: list[str], files: int, tmp_path: Path
) -> None:
    (tmp_path / "file.yaml").write_text(json.dumps(SERVICE))
    found = _without_files([str(tmp_path / "file.yaml") if a == "FILE" else a for a in arguments])
    assert (found[0], len(found[1])) == (passed, files)
