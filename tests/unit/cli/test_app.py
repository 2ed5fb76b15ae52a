"""The command line: what it prints, and how it ends."""

import os
import struct
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from tests.unit.models.gguf_files import ARCHITECTURE, WEIGHTS, file, value
from xnai_operator.cli.app import app

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
        pytest.param("a: [", "not YAML", id="not YAML"),
        pytest.param(yaml.safe_dump({**SERVICE, "spec": {"imag": "i"}}), "spec.image: Field required", id="a misspelt field"),
        pytest.param(yaml.safe_dump({**SERVICE, "spec": {"image": "i", "ports": [{"name": "p", "containerPort": 0}]}}), "spec.ports[0].containerPort", id="a port of 0"),
    ],
)  # fmt: skip
def test_render_of_a_wrong_file_says_what_is_wrong(text: str, message: str) -> None:
    done = run("render", "-f", "-", stdin=text)
    assert (done.exit_code, message in done.output) == (2, True)


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("command", ["status", "kubeconfig", "plan -f -"])
def test_without_a_control_plane_the_next_command_is_named(command: str) -> None:
    done = run(*command.split(), stdin=yaml.safe_dump(SERVICE))
    assert (done.exit_code, "xnai up" in done.output) == (3, True)


@pytest.mark.usefixtures("home")
def test_size_of_what_is_no_model() -> None:
    done = run("size", "none.gguf")
    assert (done.exit_code, "none.gguf" in done.output) == (2, True)


def test_size_refuses_a_cache_that_llama_cpp_cannot_make(tmp_path: Path) -> None:
    layers, width = struct.pack("<I", 2), struct.pack("<I", 160)
    values = [ARCHITECTURE, value("llama.block_count", 4, layers), value("llama.embedding_length", 4, width)]
    heads = value("llama.attention.head_count", 4, layers)
    (tmp_path / "m.gguf").write_bytes(file([*values, heads], WEIGHTS) + b"\0" * 4096)
    done = run("size", str(tmp_path / "m.gguf"), "--kv-type", "q8_0")
    assert (done.exit_code, "80 wide" in done.output) == (2, True)


COMMANDS = sorted(c.name or (c.callback.__name__ if c.callback else "") for c in app.registered_commands)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    assert run(command, "--help").exit_code == 0


# Each costs every `xnai --help`, and every completion in a shell, a tenth of a second or more.
HEAVY = {
    "aiohttp", "cryptography", "kopf", "kubernetes", "podman", "prometheus_client", "pydantic", "requests", "structlog",
    "urllib3", "yaml",
}  # fmt: skip


def imported(*arguments: str) -> tuple[str, set[str]]:
    """What a fresh `python` with these arguments prints, and the packages it imports."""
    command = [sys.executable, "-X", "importtime", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    names = (line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:"))
    return done.stdout, {name.partition(".")[0] for name in names}


def test_the_help_imports_none_of_the_heavy_packages_and_lists_every_command() -> None:
    text, packages = imported("-m", "xnai_operator.cli", "--help")
    listed = {line.split()[0] for line in text.partition("Commands:")[2].splitlines() if line.strip()}
    assert (packages & HEAVY, set(COMMANDS) - listed, "typer" in packages) == (set(), set(), True)


def test_the_supervisor_imports_neither_them_nor_the_command_line() -> None:
    _, packages = imported("-c", "import xnai_operator.cli.serve")
    assert (packages & (HEAVY | {"typer", "rich"}), "asyncio" in packages) == (set(), True)


def test_serve_becomes_the_supervisor(monkeypatch: pytest.MonkeyPatch) -> None:
    became: list[tuple[str, ...]] = []
    monkeypatch.setattr(os, "execv", lambda _, command: became.append(command))
    run("serve")
    assert became == [(sys.executable, "-m", "xnai_operator.cli.serve")]
