"""What becomes of Podman's answers: a service in its place answers on a socket."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingUnixStreamServer
from typing import Any

import pytest
import pytest_asyncio
import requests

from xnai_operator.api.conditions import Reason
from xnai_operator.backends.podman.transport import THREADS, Transport
from xnai_operator.errors import BackendError

REFUSAL = json.dumps({"cause": "no such pod", "message": "inspecting: no such pod", "response": 500}).encode()
ANSWERS: dict[str, tuple[int, bytes]] = {
    "/good": (200, b'{"a": 1}'),
    "/empty": (204, b""),
    "/together": (204, b""),
    "/refused": (500, REFUSAL),
    "/no-cause": (409, b'{"message": "in use"}'),
    "/text": (500, b"not JSON"),
    "/list": (400, b"[]"),
    "/images/localhost%2Fa%3A1/exists": (204, b""),
    "/events": (200, b'{"Type": "container"}\n{"Type": "image"}\n'),
}


TOGETHER = threading.Barrier(THREADS)
"""Answers `/together` when every thread of a transport has asked."""


class Server(ThreadingUnixStreamServer):
    daemon_threads = True
    request_queue_size = THREADS
    """All threads connect at once: with the default of 5 the kernel refuses some (EAGAIN)."""


class Service(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        path = self.path.split("/libpod", 1)[1].split("?")[0]
        if path == "/together":
            TOGETHER.wait(20)
        status, body = ANSWERS.get(path, (404, b""))
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_GET  # noqa: N815

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: Any) -> None:
        pass


@pytest_asyncio.fixture
async def transport(tmp_path: Path) -> AsyncIterator[Transport]:
    socket = str(tmp_path / "podman.sock")
    with Server(socket, Service) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        transport = Transport(socket)
        yield transport
        transport.close()
        await asyncio.to_thread(server.shutdown)
        thread.join()


@pytest.mark.parametrize(
    ("path", "expected"),
    [pytest.param("/good", {"a": 1}, id="JSON"), pytest.param("/empty", None, id="no content")],
)
async def test_an_answer_is_its_json(path: str, expected: Any, transport: Transport) -> None:
    assert await transport.call("GET", path) == expected


@pytest.mark.parametrize(
    ("path", "message"),
    [
        pytest.param("/refused", "inspecting: no such pod", id="the message, which ends with the cause"),
        pytest.param("/no-cause", "in use", id="a message without a cause"),
        pytest.param("/text", "not JSON", id="else the text"),
        pytest.param("/list", "GET /list: HTTP 400", id="else the status"),
        pytest.param("/missing", "GET /missing: HTTP 404", id="no content"),
    ],
)
@pytest.mark.parametrize("method", ["call", "read"])
async def test_a_refusal_is_an_error_with_podmans_words(
    method: str, path: str, message: str, transport: Transport
) -> None:
    with pytest.raises(BackendError) as refused:
        await getattr(transport, method)("GET", path)
    assert (refused.value.reason, refused.value.message) == (Reason.RUNTIME_REFUSED, message)


async def test_a_start_that_is_refused_is_a_failed_start(transport: Transport) -> None:
    with pytest.raises(BackendError) as refused:
        await transport.call("GET", "/refused", reason=Reason.START_FAILED)
    assert refused.value.reason is Reason.START_FAILED


async def test_an_expected_status_is_no_error(transport: Transport) -> None:
    assert await transport.call("GET", "/missing", ok=(404,)) is None


async def test_a_raw_answer_is_read(transport: Transport) -> None:
    assert await transport.read("GET", "/good") == b'{"a": 1}'


@pytest.mark.parametrize(("name", "there"), [("localhost/a:1", True), ("localhost/b:1", False)])
async def test_an_object_is_there_or_not(name: str, there: bool, transport: Transport) -> None:
    assert await transport.exists("images", name) is there


async def test_podman_that_does_not_answer_is_unavailable(
    transport: Transport, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: str) -> None:
        raise requests.ConnectionError("no such socket")

    # Not a socket that is missing: podman-py 5.8 leaves its own open then.
    monkeypatch.setattr(transport._client, "get", refuse)
    with pytest.raises(BackendError) as failed:
        await transport.call("GET", "/good")
    message = f"Podman does not answer on {transport.socket}: no such socket; `xnai doctor` says why"
    assert (failed.value.reason, failed.value.message) == (Reason.PODMAN_UNAVAILABLE, message)


async def test_events_begin_with_an_empty_one_and_their_end_is_an_error(transport: Transport) -> None:
    events = transport.events()
    assert [await anext(events) for _ in range(3)] == ["", "container", "image"]
    with pytest.raises(BackendError, match="Podman's events ended") as ended:
        await anext(events)
    assert ended.value.reason is Reason.PODMAN_UNAVAILABLE


async def test_events_of_a_podman_that_does_not_answer_are_an_error(tmp_path: Path) -> None:
    transport = Transport(str(tmp_path / "none.sock"))
    with pytest.raises(BackendError, match="Podman's events ended"):
        await anext(transport.events())
    transport.close()


@pytest.mark.parametrize(
    ("limit", "output"), [pytest.param(100, b'{"a": 1}', id="whole"), pytest.param(3, b'{"a', id="cut")]
)
async def test_the_output_of_a_command_is_cut(limit: int, output: bytes, transport: Transport) -> None:
    assert await transport.attach("/good", "{}", limit) == output


async def test_a_command_that_is_refused_is_an_error_in_podmans_words(transport: Transport) -> None:
    with pytest.raises(BackendError, match="inspecting: no such pod") as failed:
        await transport.attach("/refused", "{}", 1000)
    assert failed.value.reason is Reason.RUNTIME_REFUSED


async def test_a_command_without_podman_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match="`xnai doctor` says why"):
        await Transport(str(tmp_path / "none.sock")).attach("/good", "{}", 1000)


async def test_every_thread_keeps_its_connection(transport: Transport, caplog: pytest.LogCaptureFixture) -> None:
    await asyncio.gather(*(transport.status("GET", "/together") for _ in range(THREADS)))
    assert [record.message for record in caplog.records if record.name.startswith("urllib3")] == []
