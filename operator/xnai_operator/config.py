"""The operator's own settings: where things are kept. Read once from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

RESERVE_BYTES: Final = 1536 << 20
"""Memory left to the system, the desktop and the control plane: 1.5 GiB, as on a laptop with a browser open."""
METRICS_PORT: Final = 9469
"""Free in the list of ports that exporters of Prometheus take."""


@dataclass(frozen=True)
class Config:
    """`state` is kept over restarts, `data` holds what the user put there, `runtime` is in memory."""

    name: str
    state: Path
    data: Path
    runtime: Path
    reserve: int = RESERVE_BYTES
    metrics_port: int = METRICS_PORT

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> "Config":
        """From XDG_STATE_HOME, XDG_DATA_HOME, XDG_RUNTIME_DIR, XNAI_RESERVE_BYTES, XNAI_METRICS_PORT
        (0: no metrics); and XNAI_INSTANCE, which names a
        second installation of the same user with folders, pods and an API server of its own."""
        home = environ.get("HOME", "/")
        instance = environ.get("XNAI_INSTANCE")
        name = f"xnai-{instance}" if instance else "xnai"
        return cls(
            name=name,
            state=Path(environ.get("XDG_STATE_HOME") or f"{home}/.local/state") / name,
            data=Path(environ.get("XDG_DATA_HOME") or f"{home}/.local/share") / name,
            runtime=Path(environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}") / name,
            reserve=int(environ.get("XNAI_RESERVE_BYTES", RESERVE_BYTES)),
            # The port is the first installation's, unless another is asked for.
            metrics_port=int(environ.get("XNAI_METRICS_PORT", 0 if instance else METRICS_PORT)),
        )

    @property
    def instance(self) -> str:
        """What XNAI_INSTANCE was; empty for the first installation."""
        return self.name.removeprefix("xnai").removeprefix("-")

    @property
    def logs(self) -> Path:
        """One file a process."""
        return self.state / "logs"

    @property
    def models(self) -> Path:
        """GGUF files."""
        return self.data / "models"

    @property
    def podman_socket(self) -> Path:
        """The Podman service of the operator."""
        return self.runtime / "podman.sock"

    @property
    def operator_pid(self) -> Path:
        """Written by the operator after its first pass: from then on statuses are true."""
        return self.runtime / "operator.pid"

    @property
    def pressure(self) -> Path:
        """Where the pressure ladder stands."""
        return self.runtime / "pressure.json"

    @property
    def code(self) -> Path:
        """Written by `xnai serve`: the digest of the code it runs."""
        return self.runtime / "serve.code"

    @property
    def lock(self) -> Path:
        """Held while `xnai serve` runs: one operator a user."""
        return self.state / "serve.lock"
