"""The private control plane: its files, its processes."""

import asyncio
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from xnai_controlplane import servers
from xnai_controlplane.files import write_private
from xnai_controlplane.process import Process

DEFAULT_PORT: Final = 6444
PROGRESS: Final = "control plane: "
"""Starts a line of `python -m xnai_controlplane` that says what it does."""


class PrepareError(Exception):
    """Binaries, certificates or kubeconfigs could not be made. The message says what to do."""


@dataclass(frozen=True)
class ControlPlane:
    """`state`: certificates, etcd's data, kubeconfigs (kept). `runtime`: sockets (at most 80 characters)."""

    state: Path
    runtime: Path

    @property
    def kubeconfig(self) -> Path:
        """For the user and kubectl."""
        return self.state / "kubeconfig"

    @property
    def operator_kubeconfig(self) -> Path:
        """For the operator."""
        return self.state / "operator.kubeconfig"

    @property
    def controller_manager_kubeconfig(self) -> Path:
        """For kube-controller-manager."""
        return self.state / "controller-manager.kubeconfig"

    @property
    def certificates(self) -> Path:
        """The folder of keys and certificates."""
        return self.state / "certificates"

    @property
    def port(self) -> int:
        """The API server's port on 127.0.0.1: chosen once and kept, so that kubeconfigs stay valid."""
        file = self.state / "port"
        # An empty file is one of a power cut; the kubeconfigs are written again with the new port.
        if not file.exists() or not file.read_text().strip():
            self.state.mkdir(parents=True, exist_ok=True)
            write_private(file, f"{_free_port()}\n".encode())
        return int(file.read_text())

    async def prepare(self, progress: Callable[[str], None] = lambda _: None) -> Path:
        """Make what is missing of binaries, certificates and kubeconfigs; the folder of the binaries.

        In a process of its own: what it imports would stay in the memory of whoever supervises the servers (58 MiB
        of 82, measured). When cancelled, that process is interrupted and leaves nothing half made. Raises PrepareError.
        """
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "xnai_controlplane", f"--state={self.state}", f"--runtime={self.runtime}"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,  # Ctrl-C on a terminal is for the parent, which passes it on
        )
        assert child.stdout is not None
        assert child.stderr is not None
        said: list[str] = []
        try:
            async for line in child.stderr:
                text = line.decode(errors="replace").rstrip()
                said = [] if text.startswith(PROGRESS) else said
                said.append(text.removeprefix(PROGRESS))
                if text.startswith(PROGRESS):
                    progress(said[0])
            folder = (await child.stdout.read()).decode().strip()
            if await child.wait() != 0:
                raise PrepareError("\n".join(said) or f"preparing the control plane ended with {child.returncode}")
            return Path(folder)
        finally:
            if child.returncode is None:
                child.send_signal(signal.SIGINT)
                await child.wait()

    def processes(self, folder: Path) -> list[Process]:
        """The servers in the order of their start."""
        api = servers.apiserver(folder, self.certificates, self.runtime, self.port)
        return [
            servers.etcd(folder, self.state / "etcd", self.runtime),
            replace(api, ready=self.ready),
            servers.controller_manager(folder, self.controller_manager_kubeconfig),
        ]

    async def ready(self) -> bool:
        """Whether the API server answers `/readyz` with 200."""
        context = ssl.create_default_context(cafile=str(self.certificates / "ca.crt"))
        context.load_cert_chain(self.certificates / "admin.crt", self.certificates / "admin.key")
        try:
            reader, writer = await asyncio.wait_for(
                asyncio.open_connection("127.0.0.1", self.port, ssl=context, server_hostname="localhost"), 5
            )
            try:
                writer.write(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
                return b" 200 " in await asyncio.wait_for(reader.readline(), 5)
            finally:
                writer.close()
        except (OSError, TimeoutError):
            return False


def _free_port() -> int:
    for wanted in (DEFAULT_PORT, 0):
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            return int(sock.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")
