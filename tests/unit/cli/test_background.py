"""How the server is started in the background."""

import subprocess
import sys
from pathlib import Path

import pytest

from xnai_operator.cli import background, serve
from xnai_operator.config import Config


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    for name in ("XDG_STATE_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("XNAI_INSTANCE", "test")
    monkeypatch.setenv("PATH", "/bin:/usr/bin")
    return Config.read()


def test_the_systemd_unit_sets_what_the_server_needs(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "XDG_RUNTIME_DIR" / "systemd").mkdir(parents=True)
    (tmp_path / "XDG_RUNTIME_DIR" / "systemd" / "private").touch()
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "run", lambda command, **_: commands.append(command))
    background.start(config)
    unit = (tmp_path / "XDG_CONFIG_HOME/systemd/user/xnai-test.service").read_text().splitlines()
    assert f"ExecStart={sys.executable} -m xnai_operator.cli.serve" in unit
    assert "Environment=PATH=/bin:/usr/bin" in unit
    assert "Environment=XNAI_INSTANCE=test" in unit
    assert f"Environment=XDG_STATE_HOME={tmp_path}/XDG_STATE_HOME" in unit
    assert commands[-1] == ["systemctl", "--user", "--quiet", "enable", "--now", "xnai-test.service"]


def test_podman_makes_the_user_namespace_before_its_service(tmp_path: Path) -> None:
    process = serve.podman_service(tmp_path / "xnai" / "podman.sock")
    steps = [step.strip() for step in process.argv[-1].split(";")]
    assert steps[1:] == [
        "podman unshare true",
        f'exec podman system service --time=0 "unix://{tmp_path}/xnai/podman.sock"',
    ]


@pytest.mark.parametrize(
    ("environ", "line"),
    [
        pytest.param({"XNAI_RESERVE_BYTES": "1"}, "Environment=XNAI_RESERVE_BYTES=1", id="a setting of ours"),
        pytest.param({"XDG_DATA_HOME": "/my data"}, 'Environment="XDG_DATA_HOME=/my data"', id="a space"),
        pytest.param({"PATH": "/50%"}, "Environment=PATH=/50%%", id="a specifier of systemd"),
        pytest.param({"PATH": '/a"b\\c'}, 'Environment="PATH=/a\\"b\\\\c"', id="a quote and a backslash"),
        pytest.param({"PATH": "/$HOME"}, "Environment=PATH=/$HOME", id="a dollar is none of a variable"),
    ],
)
def test_the_unit_has_the_settings_of_the_shell(environ: dict[str, str], line: str) -> None:
    assert line in background.unit_text(("xnai",), environ).splitlines()


def test_the_unit_has_no_variable_of_a_session() -> None:
    assert background.environment({"XDG_SESSION_ID": "4", "HOME": "/root"}) == {}


def test_the_command_of_the_unit_is_quoted() -> None:
    unit = background.unit_text(("/my venv/50%/$x/python", "-m"), {}).splitlines()
    assert 'ExecStart="/my venv/50%%/$$x/python" -m' in unit
