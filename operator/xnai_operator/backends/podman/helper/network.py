"""A pod's network namespace: probes of ports that are not published, and who may connect."""

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
MIN_SECONDS = 0.001
"""A timeout of 0 would make a socket non-blocking."""
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
    return _in_network_of(request["pid"], lambda: ask(request["port"], request["path"], request["seconds"]))


def ask(port: int, path: str | None, seconds: float) -> protocol.ProbeAnswer:
    """The probe in this network namespace."""
    deadline = time.monotonic() + seconds
    try:
        with socket.socket() as connection:
            connection.settimeout(seconds)
            connection.connect(("127.0.0.1", port))
            if path is None:
                return {"success": True, "message": f"port {port} accepts connections"}
            connection.settimeout(max(deadline - time.monotonic(), MIN_SECONDS))
            connection.sendall(_http_get(port, path))
            line = _status_line(connection, deadline)
    except TimeoutError:
        return {"success": False, "message": f"no answer from :{port} in {seconds:g} s"}
    except ConnectionRefusedError:
        return {"success": False, "message": f"nothing listens on port {port}"}
    except ConnectionError as error:
        return {"success": False, "message": f"port {port}: {error.strerror}"}
    if not line:
        return {"success": False, "message": f"port {port} closed the connection without an answer"}
    status = parse_status(line)
    if status is None:
        return {"success": False, "message": f"the answer from :{port}{path} is not HTTP"}
    return {"success": 200 <= status < 400, "message": f"HTTP {status} from :{port}{path}"}


def _http_get(port: int, path: str) -> bytes:
    # A blank or a line break would end the path.
    target = "".join(chr(byte) if 0x21 <= byte <= 0x7E else f"%{byte:02X}" for byte in path.encode())
    headers = f"Host: 127.0.0.1:{port}\r\nUser-Agent: xnai-probe\r\nAccept: */*\r\nConnection: close\r\n"
    return f"GET {target} HTTP/1.1\r\n{headers}\r\n".encode()


def _status_line(connection: socket.socket, deadline: float) -> bytes:
    """The first line of the answer, or what came before its end. Raises TimeoutError at the deadline, although single
    bytes come in time."""
    received = b""
    while b"\n" not in received and len(received) < STATUS_LINE_BYTES:
        remaining = deadline - time.monotonic()
        if remaining <= 0:
            raise TimeoutError
        connection.settimeout(remaining)
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
