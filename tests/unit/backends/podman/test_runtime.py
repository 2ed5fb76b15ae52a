"""What the runtime makes of Podman's streams."""

import pytest

from xnai_operator.backends.podman.runtime import text_of_frames


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
