"""`xnai serve`: the control plane, the Podman service and the operator, supervised in the foreground.

It lives as long as the stack, so it is a process of its own that imports neither typer nor rich nor cryptography:
22 MiB of memory, 82 with them (measured).
"""

import asyncio
import contextlib
import fcntl
import hashlib
import os
import signal
import struct
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from xnai_controlplane import PrepareError, Process, StartError, Supervisor
from xnai_operator.cli import api_server
from xnai_operator.config import Config

COMMAND: Final = (sys.executable, "-m", "xnai_operator.cli.serve")
Progress = Callable[[str], None]


class ServeError(Exception):
    """Nothing was started. The message says what to do."""


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
[containers]
# The log of a container in a file begins anew at this size: without it one that writes without end fills the disk.
log_size_max = 10485760

[engine]
# After an exec over the API Podman keeps a process for five minutes; a probe each ten seconds would keep thirty.
exit_command_delay = 10

[network]
# The way out of the bridges is one pasta of the rootless network namespace; its default MTU is 65520.
pasta_options = ["--mtu", "1500"]
"""


def podman_service(socket: Path) -> Process:
    """`podman system service`. A socket left by a killed one would make it refuse to start.

    The first Podman of a login makes the user namespace and waits in the parent of the one that works in it, with
    43 MiB (Podman 5.4): `podman unshare` makes the namespace before, and the service joins it in its own process.
    """
    settings = socket.with_name("containers.conf")
    settings.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    settings.write_text(CONTAINERS_CONF)
    command = f'rm -f "{socket}"; podman unshare true; exec podman system service --time=0 "unix://{socket}"'
    return Process(
        "podman",
        ("sh", "-c", command),
        # GOGC: 13.4 -> 11.0 MiB anonymous after 600 requests, the same CPU.
        {"CONTAINERS_CONF_OVERRIDE": str(settings), "GOGC": "30"},
        ready=lambda: _answers(socket),
        ready_seconds=60,
    )


def operator(kubeconfig: Path) -> Process:
    """The operator."""
    return Process("operator", (sys.executable, "-m", "xnai_operator"), {"KUBECONFIG": str(kubeconfig)})


async def serve(config: Config, progress: Progress) -> None:
    """Run everything until SIGTERM or SIGINT. Pods stay. Raises ServeError, StartError, PrepareError."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    with locked(config):
        config.runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
        config.models.mkdir(parents=True, exist_ok=True)
        config.code.write_text(code_digest())
        running = asyncio.create_task(_run(config, progress))
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({running, stopping}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def _run(config: Config, progress: Progress) -> None:
    """Start everything and keep it running until cancelled."""
    supervisor = Supervisor(await _processes(config, progress), config.logs, progress)
    try:
        await supervisor.start()
        progress("serving")
        await asyncio.Event().wait()
    finally:
        progress("stopping")
        await supervisor.stop()


async def _processes(config: Config, progress: Progress) -> list[Process]:
    """The control plane unless another API server was chosen, the Podman service, the operator."""
    api, servers = api_server.context_file(config), []
    if not api.exists():
        plane = api_server.control_plane(config)
        servers = plane.processes(await plane.prepare(progress))
        api = plane.operator_kubeconfig
    return [*servers, podman_service(config.podman_socket), operator(api)]


def _log(message: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {message}", flush=True)  # noqa: T201 - a log line


def main() -> None:
    """The process `xnai serve` becomes, and `xnai up` starts."""
    try:
        asyncio.run(serve(Config.read(), _log))
    except (ServeError, StartError, PrepareError) as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
