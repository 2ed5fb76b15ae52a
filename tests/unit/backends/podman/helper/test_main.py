"""The loop of the helper: what is asked, and what it replies."""

import io
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from xnai_operator.backends.podman.helper import __main__ as helper
from xnai_operator.backends.podman.helper import protocol

OWNERS = {"operation": "owners", "request": {"paths": []}}


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param({}, {"answer": {"uids": []}}, id="answered"),
        pytest.param({"operation": "fly"}, {"error": "'fly'"}, id="no such operation"),
        pytest.param({"request": {}}, {"error": "'paths'"}, id="a field is missing"),
        pytest.param(
            {"operation": "resize", "request": {"path": "/nowhere", "size": 1}},
            {"error": "/nowhere is no longer mounted in Podman's namespace: its size can be changed at the next start"},
            id="the operation fails",
        ),
    ],
)
def test_a_request_is_answered_or_its_failure_told(asked: dict[str, Any], expected: dict[str, Any]) -> None:
    assert helper.reply({"id": 7, **OWNERS, **asked}) == {"id": 7, **expected}


class Replies(io.StringIO):
    """Replies as they come; `came` is set at the first."""

    def __init__(self) -> None:
        super().__init__()
        self.came = threading.Event()

    def flush(self) -> None:
        self.came.set()

    def ids(self) -> list[int]:
        return [json.loads(line)["id"] for line in self.getvalue().splitlines()]


def test_requests_are_answered_in_turn_until_they_end() -> None:
    replies = Replies()
    helper.serve(io.StringIO("".join(json.dumps({"id": n, **OWNERS}) + "\n" for n in range(3))), replies)
    assert replies.ids() == [0, 1, 2]


def test_a_probe_holds_up_no_other_request(monkeypatch: pytest.MonkeyPatch) -> None:
    released, replies, threads = threading.Event(), Replies(), []

    def slow(request: protocol.Probe) -> protocol.ProbeAnswer:
        threads.append(threading.current_thread())
        assert released.wait(20)
        return {"success": True, "message": "late"}

    def requests() -> Iterator[str]:
        probe = {"pid": 1, "port": 1, "path": None, "seconds": 1}
        yield json.dumps({"id": 1, "operation": "probe", "request": probe})
        yield json.dumps({"id": 2, **OWNERS})
        assert replies.came.wait(20)
        assert replies.ids() == [2]
        released.set()

    monkeypatch.setitem(helper.HANDLERS, "probe", (protocol.PROBE, slow))
    helper.serve(requests(), replies)  # type: ignore[arg-type]
    threads[0].join(20)
    assert replies.ids() == [2, 1]
