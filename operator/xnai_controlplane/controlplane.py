"""The private control plane: its files, its processes."""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from xnai_controlplane import binaries, certificates, kubeconfig, servers
from xnai_controlplane.process import Process

DEFAULT_PORT: Final = 6444


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
    def _certificates(self) -> Path:
        return self.state / "certificates"

    @property
    def port(self) -> int:
        """The API server's port on 127.0.0.1: chosen once and kept, so that kubeconfigs stay valid."""
        file = self.state / "port"
        if not file.exists():
            self.state.mkdir(parents=True, exist_ok=True)
            certificates.write_private(file, f"{_free_port()}\n".encode())
        return int(file.read_text())

    def prepare(
        self, environ: Mapping[str, str] = os.environ, progress: Callable[[str], None] = lambda _: None
    ) -> Path:
        """Binaries, certificates and kubeconfigs; the folder of the binaries. Raises BinariesError."""
        folder = binaries.ensure(environ, progress)
        self.runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
        certificates.ensure(self._certificates)
        for path, user in (
            (self.kubeconfig, "admin"),
            (self.operator_kubeconfig, "operator"),
            (self.state / "controller-manager.kubeconfig", "controller-manager"),
        ):
            kubeconfig.write(path, self._certificates, user, self.port)
        return folder

    def processes(self, folder: Path) -> list[Process]:
        """The servers in the order of their start."""
        api = servers.apiserver(folder, self._certificates, self.runtime, self.port)
        return [
            servers.etcd(folder, self.state / "etcd", self.runtime),
            replace(api, ready=self.ready),
            servers.controller_manager(folder, self.state / "controller-manager.kubeconfig"),
        ]

    async def ready(self) -> bool:
        """Whether the API server answers `/readyz` with 200."""
        context = ssl.create_default_context(cafile=str(self._certificates / "ca.crt"))
        context.load_cert_chain(self._certificates / "admin.crt", self._certificates / "admin.key")
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
