"""Which API server this user's operator and commands talk to: the private one, or that of `xnai up --context`."""

import subprocess
from pathlib import Path

from xnai_controlplane import ControlPlane
from xnai_operator.config import Config
from xnai_operator.host.files import write_atomically


class ContextError(Exception):
    """The context of the user's kubeconfig cannot be read. The message says what to do."""


def control_plane(config: Config) -> ControlPlane:
    """The private control plane of this user."""
    return ControlPlane(config.state / "control-plane", config.runtime / "control-plane")


def context_file(config: Config) -> Path:
    """The kubeconfig of `xnai up --context`: there when another API server is used."""
    return config.state / "context.kubeconfig"


def kubeconfig(config: Config) -> Path:
    """The kubeconfig clients use."""
    chosen = context_file(config)
    return chosen if chosen.exists() else control_plane(config).kubeconfig


def use_context(config: Config, context: str | None) -> None:
    """From now on this context of the user's kubeconfig; with None, the private API server. Raises ContextError."""
    target = context_file(config)
    if context is None:
        target.unlink(missing_ok=True)
        return
    command = ["kubectl", "config", "view", "--minify", "--flatten", f"--context={context}"]
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except FileNotFoundError:
        raise ContextError("--context needs kubectl on PATH to read your kubeconfig") from None
    if done.returncode != 0:
        raise ContextError(f"{done.stderr.decode().strip()}; `kubectl config get-contexts` lists them")
    write_atomically(target, done.stdout)
