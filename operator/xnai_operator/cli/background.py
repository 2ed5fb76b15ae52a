"""`xnai serve` in the background: a systemd user unit where systemd runs, else a process of its own."""

import os
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from xnai_operator.cli import serve
from xnai_operator.config import Config

LOG_BYTES: Final = 4 << 20
# Its children are ours to stop, in order; pods live in scopes of their own and must outlive a restart of the server.
_UNIT_TEXT: Final = """\
[Unit]
Description=XNAi operator: private control plane, Podman service, operator

[Service]
ExecStart={command}
{environment}
Restart=on-failure
KillMode=process
TimeoutStopSec=90

[Install]
WantedBy=default.target
"""


_DIRECTORIES: Final = ("XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_RUNTIME_DIR", "XDG_STATE_HOME")


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What the server is given of the environment of `xnai up`: PATH, every XNAI_*, the XDG directories."""
    return {
        name: value
        for name, value in sorted(environ.items())
        if name == "PATH" or name.startswith("XNAI_") or name in _DIRECTORIES
    }


def quoted(text: str) -> str:
    """A word of a systemd unit (systemd.syntax(7), systemd.unit(5)): quoted where needed; `%` starts a specifier."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("%", "%%")
    return f'"{escaped}"' if not text or any(c in text for c in " \t\n\"'\\;") else escaped


def unit_text(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """The systemd user unit of the server. In ExecStart `$` starts a variable; in Environment it does not."""
    settings = [f"Environment={quoted(f'{name}={value}')}" for name, value in environment(environ).items()]
    words = " ".join(quoted(word).replace("$", "$$") for word in command)
    return _UNIT_TEXT.format(command=words, environment="\n".join(settings))


def systemd() -> bool:
    """Whether a systemd user manager answers."""
    return Path(os.environ.get("XDG_RUNTIME_DIR", "/nonexistent"), "systemd", "private").exists()


def start(config: Config) -> None:
    """Start the server when it does not run, or runs other code than this. Pods stay. Returns soon."""
    current = config.code.exists() and config.code.read_text() == serve.code_digest()
    if not current:
        stop(config)
    if systemd():
        _start_unit(config)
    elif serve.server_pid(config) is None:
        _start_process(config)


def _unit(config: Config) -> str:
    return f"{config.name}.service"


def unit_path(config: Config) -> Path:
    """The user unit that `xnai up` writes where systemd runs."""
    return Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "systemd" / "user" / _unit(config)


def _start_unit(config: Config) -> None:
    path = unit_path(config)
    text = unit_text(serve.COMMAND, os.environ)
    if not path.exists() or path.read_text() != text:
        stop(config)  # `enable --now` leaves a running server with its old environment
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        subprocess.run(["systemctl", "--user", "daemon-reload"], check=True)
    subprocess.run(["systemctl", "--user", "--quiet", "enable", "--now", _unit(config)], check=True)


def _start_process(config: Config) -> None:
    config.logs.mkdir(parents=True, exist_ok=True)
    log = config.logs / "serve.log"
    if log.exists() and log.stat().st_size > LOG_BYTES:
        log.replace(log.with_suffix(".log.1"))
    with log.open("ab") as file:
        subprocess.Popen(
            serve.COMMAND,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )


def stop(config: Config, seconds: float = 90.0) -> bool:
    """Stop the server and wait until it is gone; whether it ran. Raises TimeoutError."""
    pid = serve.server_pid(config)
    if pid is None:
        return False
    is_active = ["systemctl", "--user", "is-active", "--quiet", _unit(config)]
    if systemd() and subprocess.run(is_active, check=False).returncode == 0:
        subprocess.run(["systemctl", "--user", "stop", _unit(config)], check=True)
    else:
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + seconds
    while serve.server_pid(config) is not None:
        if time.monotonic() > deadline:
            raise TimeoutError(f"xnai serve did not stop in {seconds:.0f} s; see {config.logs}/serve.log")
        time.sleep(0.1)
    return True


def remove_unit(config: Config) -> None:
    """Delete the user unit, which starts the server with every login."""
    if systemd():
        subprocess.run(["systemctl", "--user", "--quiet", "disable", _unit(config)], check=True)
    unit_path(config).unlink(missing_ok=True)


def last_lines(config: Config, count: int = 5) -> str:
    """The end of the server's log, for an error message."""
    log = config.logs / "serve.log"
    return "\n".join(log.read_text(errors="replace").splitlines()[-count:]) if log.exists() else ""
