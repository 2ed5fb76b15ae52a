"""The operator's parts put together from its environment."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from xnai_operator.plan.model import Machine
from xnai_operator.render.environment import Environment

RESERVE_BYTES: Final = 1536 << 20
"""Memory left to the system, the desktop and the control plane (facts: 1.5 GiB on a laptop)."""


def installation_key(path: Path) -> bytes:
    """The key of the hashes, made on first use: 32 bytes, readable by the user alone."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
        temporary.replace(path)
    return path.read_bytes()


def memory_total(meminfo: str) -> int:
    """MemTotal of /proc/meminfo's text, in bytes."""
    line = next(line for line in meminfo.splitlines() if line.startswith("MemTotal:"))
    return int(line.split()[1]) * 1024


def machine(environ: Mapping[str, str]) -> Machine:
    """The node. Reads XDG_RUNTIME_DIR, XDG_STATE_HOME, XDG_DATA_HOME, XNAI_RESERVE_BYTES."""
    home = environ.get("HOME", "/")
    state = Path(environ.get("XDG_STATE_HOME") or f"{home}/.local/state") / "xnai"
    data = Path(environ.get("XDG_DATA_HOME") or f"{home}/.local/share") / "xnai"
    runtime = Path(environ.get("XDG_RUNTIME_DIR") or f"/tmp/xnai-{os.getuid()}") / "xnai"
    total = memory_total(Path("/proc/meminfo").read_text())
    return Machine(
        allocatable=max(total - int(environ.get("XNAI_RESERVE_BYTES", RESERVE_BYTES)), 0),
        environment=Environment(
            runtime_dir=str(runtime),
            models_dir=str(data / "models"),
            key=installation_key(state / "installation.key"),
            cores=len(os.sched_getaffinity(0)),
        ),
    )
