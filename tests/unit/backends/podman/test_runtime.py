"""What the runtime sends to Podman's kube play, and what it makes of Podman's streams."""

import json
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from xnai_operator.api.conditions import Reason
from xnai_operator.backends.podman.runtime import HALF_A_LINE, LOG_TRIES, PodmanRuntime, kube_json, text_of_frames
from xnai_operator.errors import BackendError


def frame(text: bytes, stream: int = 1) -> bytes:
    return bytes([stream, 0, 0, 0]) + len(text).to_bytes(4, "big") + text


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param(b"", "", id="nothing"),
        pytest.param(frame(b"one\n") + frame(b"two\n", stream=2), "one\ntwo\n", id="both streams"),
        pytest.param(frame("ä".encode()[:1]) + frame("ä".encode()[1:]), "ä", id="a character in two pieces"),
        pytest.param(frame(b"\xff"), "\N{REPLACEMENT CHARACTER}", id="not UTF-8"),
        pytest.param(frame(b"whole") + frame(b"cut")[:6], "whole", id="cut in a header"),
        pytest.param(frame(b"cut off")[:-4], "cut", id="cut in a piece"),
    ],
)
def test_the_text_of_a_stream(data: bytes, text: str) -> None:
    assert text_of_frames(data) == text


@pytest.mark.parametrize(
    ("value", "sent"),
    [
        pytest.param("1e3", '"1e3"', id="a number to another YAML library"),
        pytest.param("08", '"08"', id="an octal number to another YAML library"),
        pytest.param(
            "\x7f\x85\u2028\ufeff", '"\\u007f\\u0085\\u2028\\ufeff"', id="not allowed in YAML, or a line break"
        ),
        pytest.param("\N{GRINNING FACE}", '"\N{GRINNING FACE}"', id="no surrogate pair"),
        pytest.param("a\tb\n", '"a\\tb\\n"', id="control characters"),
    ],
)
def test_a_string_is_sent_quoted(value: str, sent: str) -> None:
    text = kube_json({"value": value}).decode()
    assert text == f'{{"value": {sent}}}'
    assert yaml.safe_load(text) == json.loads(text) == {"value": value}


@pytest.mark.parametrize(
    ("failures", "expected"),
    [
        pytest.param([], "hello", id="at once"),
        pytest.param([HALF_A_LINE] * (LOG_TRIES - 1), "hello", id="a line half written"),
        pytest.param([HALF_A_LINE] * LOG_TRIES, HALF_A_LINE, id="a line half written each time"),
        pytest.param(["no such container"], "no such container", id="another failure"),
    ],
)
async def test_a_log_that_is_being_written_is_read_again(failures: list[str], expected: str) -> None:
    async def read(method: str, path: str, **_: Any) -> bytes:
        if failures:
            raise BackendError(Reason.RUNTIME_REFUSED, failures.pop(0))
        return frame(b"hello")

    transport: Any = SimpleNamespace(read=read)
    others: Any = SimpleNamespace()
    runtime = PodmanRuntime(transport, others, others, others, "installation")
    if expected == "hello":
        assert await runtime.logs("default.a", 1) == expected
    else:
        with pytest.raises(BackendError, match=expected):
            await runtime.logs("default.a", 1)
    assert failures == []
