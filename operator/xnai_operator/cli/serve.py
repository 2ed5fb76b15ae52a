"""`xnai serve`: the control plane, the Podman service and the operator, supervised in the foreground."""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from xnai_controlplane import ControlPlane, Process, Supervisor
from xnai_operator.config import Config

Progress = Callable[[str], None]


class ServeError(Exception):
    """Nothing was started. The message says what to do."""


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
    """From now on the API server of the user's kubeconfig context, or with None the private one. Raises ServeError."""
    target = context_file(config)
    if context is None:
        target.unlink(missing_ok=True)
        return
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        raise ServeError("--context needs kubectl on PATH to read your kubeconfig")
    command = [kubectl, "config", "view", "--minify", "--flatten", f"--context={context}"]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        raise ServeError(f"{done.stderr.decode().strip()}; `kubectl config get-contexts` lists them")
    target.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(done.stdout)


def server_pid(config: Config) -> int | None:
    """The process id of this user's `xnai serve`; None when it does not run."""
    if not config.lock.exists():
        return None
    with config.lock.open("r+b") as file:
        # struct flock (fcntl.h): asking who holds the lock, without taking it for a moment from one who starts.
        asked = struct.pack("@hhlli", fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        kind, _, _, _, pid = struct.unpack(
            "@hhlli", fcntl.fcntl(file, fcntl.F_GETLK, asked)[: struct.calcsize("@hhlli")]
        )
    return None if kind == fcntl.F_UNLCK else int(pid)


@contextlib.contextmanager
def locked(config: Config) -> Iterator[None]:
    """Hold the lock of the one server. Raises ServeError when another holds it."""
    config.lock.parent.mkdir(parents=True, exist_ok=True)
    with config.lock.open("ab") as file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ServeError(f"xnai serve runs already (process {server_pid(config)}); `xnai down` stops it") from None
        yield


def code_digest() -> str:
    """Of every source file of the operator and the control plane: a server of older code is replaced by `xnai up`."""
    packages = Path(__file__).resolve().parents[2]
    digest = hashlib.sha256()
    for package in ("xnai_controlplane", "xnai_operator"):
        for file in sorted((packages / package).rglob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


async def _answers(socket: Path) -> bool:
    try:
        _, writer = await asyncio.open_unix_connection(str(socket))
    except OSError:
        return False
    writer.close()
    return True


CONTAINERS_CONF: Final = """\
[engine]
# After an exec over the API Podman keeps a process for five minutes; a probe each ten seconds would keep thirty.
exit_command_delay = 10

[network]
# The way out of the bridges is one pasta of the rootless network namespace; its default MTU is 65520.
pasta_options = ["--mtu", "1500"]
"""


def podman_service(socket: Path) -> Process:
    """`podman system service`. A socket left by a killed one would make it refuse to start."""
    settings = socket.with_name("containers.conf")
    settings.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings.write_text(CONTAINERS_CONF)
    command = f'rm -f "{socket}"; exec podman system service --time=0 "unix://{socket}"'
    return Process(
        "podman",
        ("sh", "-c", command),
        {"CONTAINERS_CONF_OVERRIDE": str(settings)},
        ready=lambda: _answers(socket),
        ready_seconds=60,
    )


def operator(kubeconfig: Path) -> Process:
    """The operator."""
    return Process("operator", (sys.executable, "-m", "xnai_operator"), {"KUBECONFIG": str(kubeconfig)})


async def serve(config: Config, progress: Progress) -> None:
    """Run everything until SIGTERM or SIGINT. Pods stay. Raises ServeError, StartError, BinariesError."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with locked(config):
        config.runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
        config.models.mkdir(parents=True, exist_ok=True)
        config.code.write_text(code_digest())
        processes = []
        api = context_file(config)
        if not api.exists():
            plane = control_plane(config)
            folder = await asyncio.to_thread(plane.prepare, os.environ, progress)
            processes += plane.processes(folder)
            api = plane.operator_kubeconfig
        processes += [podman_service(config.podman_socket), operator(api)]
        supervisor = Supervisor(processes, config.logs, progress)
        starting = asyncio.create_task(supervisor.start())
        stopping = asyncio.create_task(stop.wait())
        try:
            await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
            if starting.done():
                starting.result()
                progress("serving")
                await stopping
        finally:
            progress("stopping")
            starting.cancel()
            stopping.cancel()
            await supervisor.stop()
