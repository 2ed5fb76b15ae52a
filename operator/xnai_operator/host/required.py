"""What services require of the machine: ports that can be bound, paths that are there."""

import errno
import socket
from collections.abc import Iterable
from pathlib import Path

from xnai_operator.api.host_ports import HostPort

UNPRIVILEGED = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")


def port_faults(ports: Iterable[HostPort]) -> dict[HostPort, str]:
    """The ports that this user cannot bind now -> why. Rootless Podman binds them as the same user."""
    faults = {port: _port_fault(port) for port in ports}
    return {port: fault for port, fault in faults.items() if fault}


def _port_fault(port: HostPort) -> str:
    family = socket.AF_INET6 if ":" in port.address else socket.AF_INET
    kind = socket.SOCK_STREAM if port.protocol == "TCP" else socket.SOCK_DGRAM
    try:
        with socket.socket(family, kind) as probe:
            if port.protocol == "TCP":  # as Podman: a connection in TIME_WAIT does not keep the port
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((port.address, port.port))
    except OSError as error:
        return _explained(port, error)
    return ""


def _explained(port: HostPort, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "is in use by another program: stop that program, or choose another port"
    if error.errno == errno.EACCES:
        first = UNPRIVILEGED.read_text().strip() if UNPRIVILEGED.exists() else "1024"
        return (
            f"is below {first}, which a normal user cannot bind: choose a port from {first} on, "
            "or lower the sysctl net.ipv4.ip_unprivileged_port_start"
        )
    if error.errno in {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}:
        return f"cannot be bound: {port.address} is not an address of this machine (`ip address` lists them)"
    return f"cannot be bound: {error.strerror}"


def path_faults(paths: Iterable[str]) -> dict[str, str]:
    """The paths that this user cannot reach -> why."""
    faults = {}
    for path in paths:
        try:
            Path(path).stat()
        except OSError as error:
            faults[path] = "is not on this machine" if error.errno == errno.ENOENT else (error.strerror or str(error))
    return faults
