"""Probes against servers that answer in every way, and what the packet filter says."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from xnai_operator.backends.podman.helper import network, protocol
from xnai_operator.backends.podman.helper.network import (
    LOOPBACK,
    STATUS_LINE_BYTES,
    ask,
    filter_rules,
    parse_gateway,
    parse_status,
)

SECONDS = 20.0
SHORT = 0.1
"""The time of a probe that runs into it."""
Answer = Callable[[socket.socket], None]


@contextlib.contextmanager
def server(answer: Answer, address: str = "127.0.0.1") -> Iterator[int]:
    """The port of a server that answers one connection."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, 0), family=family) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listener.accept()
                with connection:
                    answer(connection)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def says(*pieces: bytes) -> Answer:
    """An answer in pieces, after the whole request."""

    def answer(connection: socket.socket) -> None:
        received = b""
        while b"\r\n\r\n" not in received:
            if not (piece := connection.recv(4096)):
                return  # a client that only connects
            received += piece
        for piece in pieces:
            connection.sendall(piece)

    return answer


def waits(connection: socket.socket) -> None:
    """Says nothing until the client goes."""
    while connection.recv(4096):
        pass


def drips(connection: socket.socket) -> None:
    """A byte at a time, and never the end of a line."""
    connection.settimeout(0.01)
    while True:
        connection.sendall(b"H")
        with contextlib.suppress(TimeoutError):
            if not connection.recv(4096):
                return


def floods(connection: socket.socket) -> None:
    """Never ends a line, and never ends."""
    while True:
        connection.sendall(b"x" * 4096)


def resets(connection: socket.socket) -> None:
    """Closes with data unread, which the kernel tells with a reset."""
    connection.recv(1)


@pytest.mark.parametrize(
    ("answer", "success", "message"),
    [
        pytest.param(says(b"HTTP/1.1 200 OK\r\n\r\nhello"), True, "HTTP 200 from :{port}/x", id="good"),
        pytest.param(says(b"HTTP/1.0 399 \r\n\r\n"), True, "HTTP 399 from :{port}/x", id="the last good status"),
        pytest.param(says(b"HTTP/1.0 400 Bad\r\n\r\n"), False, "HTTP 400 from :{port}/x", id="the first bad status"),
        pytest.param(says(b"HTTP/1.1 503 S", b"low\r\n"), False, "HTTP 503 from :{port}/x", id="in pieces"),
        pytest.param(says(b"HTTP/1.1 200 OK"), True, "HTTP 200 from :{port}/x", id="no line end"),
        pytest.param(says(b"+PONG\r\n"), False, "the answer from :{port}/x is not HTTP", id="another protocol"),
        pytest.param(
            says(b"HTTP/1.1 200 " + b"x" * 2 * STATUS_LINE_BYTES),
            True,
            "HTTP 200 from :{port}/x",
            id="a reason without end",
        ),
        pytest.param(floods, False, "the answer from :{port}/x is not HTTP", id="a line without end"),
        pytest.param(says(), False, "port {port} closed the connection without an answer", id="no answer"),
        pytest.param(resets, False, "port {port}: Connection reset by peer", id="reset"),
    ],
)
def test_an_http_probe_goes_by_the_status(answer: Answer, success: bool, message: str) -> None:
    with server(answer) as port:
        assert ask(port, "/x", SECONDS, LOOPBACK) == {"success": success, "message": message.format(port=port)}


@pytest.mark.parametrize("answer", [waits, drips], ids=["a silent server", "a slow one"])
def test_an_http_probe_ends_in_its_time(answer: Answer) -> None:
    with server(answer) as port:
        assert ask(port, "/", SHORT, LOOPBACK) == {"success": False, "message": f"no answer from :{port} in 0.1 s"}


def test_a_tcp_probe_connects() -> None:
    with server(waits) as port:
        assert ask(port, None, SECONDS, LOOPBACK) == {"success": True, "message": f"port {port} accepts connections"}


@pytest.mark.parametrize("path", ["/", None], ids=["http", "tcp"])
def test_a_port_that_nobody_listens_on_is_told(path: str | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = int(closed.getsockname()[1])
    assert ask(port, path, SECONDS, LOOPBACK) == {"success": False, "message": f"nothing listens on port {port}"}


@pytest.mark.parametrize(
    ("bound", "addresses", "success", "message"),
    [
        pytest.param("127.0.0.2", ["127.0.0.2"], True, "HTTP 200 from :{port}/", id="the pod's own address"),
        pytest.param(
            "127.0.0.1",
            ["127.0.0.2"],
            False,
            "port {port} listens on 127.0.0.1 only; bind it to 0.0.0.0",
            id="the loopback address only",
        ),
        pytest.param("::1", ["127.0.0.2"], False, "port {port} listens on ::1 only; bind it to 0.0.0.0", id="::1 only"),
        pytest.param("::1", LOOPBACK, True, "HTTP 200 from :{port}/", id="::1 where nobody else connects"),
        pytest.param("127.0.0.2", ["2001:db8::1", "127.0.0.2"], True, "HTTP 200 from :{port}/", id="the next address"),
    ],
)
def test_a_probe_goes_to_the_address_that_others_use(
    bound: str, addresses: list[str], success: bool, message: str
) -> None:
    with server(says(b"HTTP/1.1 200 OK\r\n\r\n"), bound) as port:
        assert ask(port, "/", SECONDS, addresses) == {"success": success, "message": message.format(port=port)}


@pytest.mark.parametrize(
    ("path", "target"),
    [
        pytest.param("/a?b=c%20d", "/a?b=c%20d", id="as it is"),
        pytest.param("/a b\r\nX: y", "/a%20b%0D%0AX:%20y", id="blanks and line breaks"),
        pytest.param("/ä", "/%C3%A4", id="not ASCII"),
    ],
)
def test_the_request_is_http(path: str, target: str) -> None:
    received: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        received.append(connection.recv(4096))

    with server(answer) as port:
        ask(port, path, SECONDS, LOOPBACK)
    assert received[0].decode().split("\r\n") == [
        f"GET {target} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "User-Agent: xnai-probe",
        "Accept: */*",
        "Connection: close",
        "",
        "",
    ]


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"HTTP/1.1 200 OK", 200),
        (b"HTTP/1.1 200 OK\r", 200),
        (b"HTTP/1.1 404", 404),
        (b"HTTP/2 503 ", 503),
        (b"HTTP/1.1 20", None),
        (b"HTTP/1.1 2000", None),
        (b"HTTP/1.1 2x0 OK", None),
        (b"HTTP/1.1  200 OK", None),
        (b"HTTP/1.1", None),
        (b"ICY 200 OK", None),
        (b"\xff\xfe\x00", None),
        (b"", None),
    ],
)
def test_a_status_line_is_parsed(line: bytes, status: int | None) -> None:
    assert parse_status(line) == status


def test_a_probe_of_a_pod_that_ended_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        network.probe(protocol.Probe(pid=1 << 30, port=1, path=None, seconds=1, reached=False))


ROUTES = """\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t0000580A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
"""


@pytest.mark.parametrize(
    ("text", "gateway"),
    [
        pytest.param(
            ROUTES + "eth0\t00000000\t0100580A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n", "10.88.0.1", id="bridge"
        ),
        pytest.param(ROUTES, None, id="no default route"),
    ],
)
def test_the_gateway_is_that_of_the_default_route(text: str, gateway: str | None) -> None:
    assert parse_gateway(text) == gateway


def test_the_filter_replaces_the_one_before_and_names_who_may_connect() -> None:
    lines = [line.strip() for line in filter_rules(["10.88.0.1", "10.88.0.7"]).splitlines()]
    assert lines[:3] == ["table inet xnai", "delete table inet xnai", "table inet xnai {"]
    assert lines[5:9] == [
        'iifname != "eth0" accept',
        "ct state established,related accept",
        "ip saddr { 10.88.0.1, 10.88.0.7 } accept",
        "meta l4proto ipv6-icmp accept",
    ]
    assert lines[9] == "drop"
