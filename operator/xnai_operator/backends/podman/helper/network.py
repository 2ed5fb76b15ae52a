"""A pod's network namespace: probes of ports that are not published, and who may connect."""

import contextlib
import fcntl
import os
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable
from typing import TypeVar

from xnai_operator.backends.podman.helper import protocol, syscalls

T = TypeVar("T")

SIOCGIFADDR = 0x8915  # linux/sockios.h
LOOPBACK = ["127.0.0.1", "::1"]
LOOPBACK_SECONDS = 1.0
"""The time for a look whether a program listens on the loopback address."""
OTHERS = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
"""Addresses of other machines, reserved for documentation (RFC 5737, RFC 3849)."""
STATUS_LINE_BYTES = 4096
"""A longer status line is none."""


def _in_network_of(pid: int, work: Callable[[], T]) -> T:
    """Run `work` in a thread of its own that has joined the network namespace: a thread cannot go back to the
    machine's, which does not belong to Podman's user namespace. A socket stays in its namespace for life."""
    result: list[T] = []
    failure: list[Exception] = []

    def body() -> None:
        try:
            syscalls.join_network(pid)
            result.append(work())
        except Exception as error:
            failure.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return result[0]


def probe(request: protocol.Probe) -> protocol.ProbeAnswer:
    """Connects to the port in the pod; an HTTP GET succeeds with a status of 200 to 399."""

    def work() -> protocol.ProbeAnswer:
        addresses = own_addresses() if request["reached"] else []
        return ask(request["port"], request["path"], request["seconds"], addresses or LOOPBACK)

    return _in_network_of(request["pid"], work)


def own_addresses() -> list[str]:
    """The IPv4 and the IPv6 address with which this network namespace connects to others; no packet is sent."""
    found = []
    for family, other in OTHERS:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_DGRAM) as sock:
            sock.connect((other, 9))
            found.append(str(sock.getsockname()[0]))
    return found


def ask(port: int, path: str | None, seconds: float, addresses: list[str]) -> protocol.ProbeAnswer:
    """The probe in this network namespace, at the first address that does not refuse the connection."""
    deadline = time.monotonic() + seconds
    try:
        connection, address = _connect(port, deadline, addresses)
        with connection:
            if path is None:
                return {"success": True, "message": f"port {port} accepts connections"}
            connection.settimeout(_remaining(deadline))
            connection.sendall(_http_get(address, port, path))
            line = _status_line(connection, deadline)
    except TimeoutError:
        return {"success": False, "message": f"no answer from :{port} in {seconds:g} s"}
    except ConnectionRefusedError:
        return {"success": False, "message": _refused(port, addresses)}
    except ConnectionError as error:
        return {"success": False, "message": f"port {port}: {error.strerror}"}
    if not line:
        return {"success": False, "message": f"port {port} closed the connection without an answer"}
    status = parse_status(line)
    if status is None:
        return {"success": False, "message": f"the answer from :{port}{path} is not HTTP"}
    return {"success": 200 <= status < 400, "message": f"HTTP {status} from :{port}{path}"}


def _connect(port: int, deadline: float, addresses: list[str]) -> tuple[socket.socket, str]:
    """A connection and its address. Raises ConnectionRefusedError when every address refuses, and TimeoutError."""
    for address in addresses:
        # An address of a family that the pod does not have (EADDRNOTAVAIL, EAFNOSUPPORT) refuses too.
        try:
            return socket.create_connection((address, port), _remaining(deadline)), address
        except (TimeoutError, ConnectionResetError):
            raise
        except OSError:
            continue
    raise ConnectionRefusedError


def _remaining(deadline: float) -> float:
    """Raises TimeoutError at the deadline."""
    remaining = deadline - time.monotonic()
    if remaining <= 0:
        raise TimeoutError
    return remaining


def _refused(port: int, addresses: list[str]) -> str:
    """Why nobody reaches the port: a program that listens for itself only looks healthy from inside."""
    for address in LOOPBACK:
        if address in addresses:
            continue
        with contextlib.suppress(OSError), socket.create_connection((address, port), LOOPBACK_SECONDS):
            return f"port {port} listens on {address} only; bind it to 0.0.0.0"
    return f"nothing listens on port {port}"


def _http_get(address: str, port: int, path: str) -> bytes:
    # A blank or a line break would end the path.
    target = "".join(chr(byte) if 0x21 <= byte <= 0x7E else f"%{byte:02X}" for byte in path.encode())
    host = f"[{address}]" if ":" in address else address
    headers = f"Host: {host}:{port}\r\nUser-Agent: xnai-probe\r\nAccept: */*\r\nConnection: close\r\n"
    return f"GET {target} HTTP/1.1\r\n{headers}\r\n".encode()


def _status_line(connection: socket.socket, deadline: float) -> bytes:
    """The first line of the answer, or what came before its end. Raises TimeoutError at the deadline, although single
    bytes come in time."""
    received = b""
    while b"\n" not in received and len(received) < STATUS_LINE_BYTES:
        connection.settimeout(_remaining(deadline))
        piece = connection.recv(STATUS_LINE_BYTES)
        if not piece:
            break
        received += piece
    return received.partition(b"\n")[0][:STATUS_LINE_BYTES]


def parse_status(line: bytes) -> int | None:
    """The status of `HTTP/1.1 200 OK` (RFC 9112, section 4); None when the line is no status line."""
    version, _, rest = line.rstrip(b"\r").partition(b" ")
    status, _, _reason = rest.partition(b" ")
    if not version.startswith(b"HTTP/") or len(status) != 3 or not status.isdigit():
        return None
    return int(status)


def _address(pid: int) -> str | None:
    """The IPv4 address of the pod on its bridge; None when it ended."""

    def work() -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            answer = fcntl.ioctl(sock, SIOCGIFADDR, struct.pack("256s", b"eth0"))
        return socket.inet_ntoa(answer[20:24])

    try:
        return _in_network_of(pid, work)
    except OSError:
        return None


def parse_gateway(text: str) -> str | None:
    """The gateway of the default route in a text of /proc/PID/net/route (proc_pid_net(5)); None without one."""
    for line in text.splitlines()[1:]:
        fields = line.split()
        if fields[1] == "00000000":
            return socket.inet_ntoa(struct.pack("=L", int(fields[2], 16)))
    return None


def filter_rules(allowed: list[str]) -> str:
    """nftables rules that replace our own: new connections from the bridge come from these addresses only."""
    return f"""\
table inet xnai
delete table inet xnai
table inet xnai {{
  chain input {{
    type filter hook input priority 0; policy accept;
    iifname != "eth0" accept
    ct state established,related accept
    ip saddr {{ {", ".join(allowed)} }} accept
    meta l4proto ipv6-icmp accept
    drop
  }}
}}
"""


def allow_ingress(request: protocol.AllowIngress) -> protocol.Empty:
    """A packet filter in the pod's network. It allows the bridge too, from which published ports are forwarded."""
    pid = request["pid"]
    with open(f"/proc/{pid}/net/route") as file:
        gateway = parse_gateway(file.read())
    if gateway is None:
        raise OSError(f"the pod of process {pid} has no default route")
    clients = (_address(client) for client in request["clients"])
    allowed = sorted({gateway, *(address for address in clients if address is not None)})
    command = ["nsenter", f"--net=/proc/{pid}/ns/net", "nft", "-f", "-"]
    # A normal user's PATH lacks the directories of nft.
    environ = {**os.environ, "PATH": f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"}
    rules = filter_rules(allowed)
    done = subprocess.run(command, input=rules, capture_output=True, text=True, check=False, env=environ)
    if done.returncode != 0:
        raise OSError(done.returncode, f"nft: {done.stderr.strip()}")
    return {}
