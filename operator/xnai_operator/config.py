"""The operator's settings: directories, the memory reserve, ports. Read once from the environment."""

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
    """`state` survives restarts, `data` holds the user's files, `runtime` is in memory."""

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
        """The value of XNAI_INSTANCE; empty for the first installation."""
        return self.name.removeprefix("xnai").removeprefix("-")

    @property
    def logs(self) -> Path:
        """The directory of logs, with a file for each process."""
        return self.state / "logs"

    @property
    def models(self) -> Path:
        """The directory of GGUF files."""
        return self.data / "models"

    @property
    def podman_socket(self) -> Path:
        """The socket of the operator's Podman service."""
        return self.runtime / "podman.sock"

    @property
    def operator_pid(self) -> Path:
        """The file with the operator's process id. Written after the first pass, which updates all statuses."""
        return self.runtime / "operator.pid"

    @property
    def pressure(self) -> Path:
        """The file with the step of the pressure ladder."""
        return self.runtime / "pressure.json"

    @property
    def code(self) -> Path:
        """The file with the digest of the code that `xnai serve` runs."""
        return self.runtime / "serve.code"

    @property
    def lock(self) -> Path:
        """The lock file of `xnai serve`. It keeps a second operator of the same user away."""
        return self.state / "serve.lock"
