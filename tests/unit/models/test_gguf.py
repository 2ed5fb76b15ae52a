"""Reading headers: what is written is read, and what is wrong is told."""

import contextlib
import http.server
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.models.gguf_files import (
    ARCHITECTURE,
    LAYERS,
    TOKENS,
    WEIGHTS,
    WHOLE,
    file,
    kind_of,
    tensor,
    text,
    value,
    whole_file,
)
from xnai_operator.models import gguf
from xnai_operator.models.gguf import GgufError


def parse(data: bytes) -> Any:
    return gguf.parse(lambda offset, length: data[offset : offset + length])


def test_values_lengths_and_tensor_sizes() -> None:
    model = parse(WHOLE)
    assert (model.architecture, model.value("block_count"), model.lengths) == (
        "llama", 2, {"tokenizer.ggml.tokens": 3},
    )  # fmt: skip
    assert [(t.kind, t.size) for t in model.tensors] == [("Q4_0", 640 // 32 * 18), ("F32", 28)]


def numbers(key: str, values: list[int]) -> bytes:
    return value(key, 9, struct.pack(f"<IQ{len(values)}I", 4, len(values), *values))


def test_a_short_array_of_numbers_is_kept_and_a_long_one_counted() -> None:
    heads, scores = numbers("llama.attention.head_count_kv", [2, 0, 1]), numbers("scores", [7] * 2000)
    model = parse(file([ARCHITECTURE, heads, scores]))
    assert (model.value("attention.head_count_kv"), model.metadata.get("scores"), model.lengths["scores"]) == (
        [2, 0, 1], None, 2000,
    )  # fmt: skip


@pytest.mark.parametrize("length", [1, 3, 4, 10, 30, pytest.param(len(WHOLE) - 1, id="all but one")])
def test_a_file_cut_short_is_incomplete(length: int) -> None:
    with pytest.raises(GgufError, match=r"incomplete|does not begin"):
        parse(WHOLE[:length])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        pytest.param(b"PK\x03\x04" + b"\0" * 100, "does not begin with GGUF", id="a zip file"),
        pytest.param(file([ARCHITECTURE], version=1), "version 1", id="version 1"),
        pytest.param(file([LAYERS]), "not a model", id="no architecture"),
        pytest.param(
            b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0), "tensors: 1152921504606846976", id="too many tensors"
        ),
        pytest.param(
            b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, 1 << 60),
            "a string of 1152921504606846976 at byte 24",
            id="a long string",
        ),
        pytest.param(
            file([value("k", 9, struct.pack("<IQ", 4, 1 << 60))]), "an array of 1152921504606846976", id="a long array"
        ),
        pytest.param(file([value("k", 99, b"")]), "unknown type 99", id="an unknown type"),
        pytest.param(
            file([ARCHITECTURE], [tensor("t", (1,), 77)]),
            "tensor t has the unknown type 77",
            id="a tensor of unknown type",
        ),
        pytest.param(file([ARCHITECTURE], [tensor("t", (1,) * 9, 0)]), "9 dimensions", id="nine dimensions"),
        pytest.param(
            file([ARCHITECTURE], [tensor("t", (33, 2), 2)]),
            "rows of 33 are no whole blocks of Q4_0",
            id="rows of no whole blocks",
        ),
        pytest.param(
            file([ARCHITECTURE], [tensor("t", (1 << 40, 1 << 40), 0)]),
            "tensor t of shape .* not sensible",
            id="a tensor too large",
        ),
        pytest.param(b"GGUF" + struct.pack(">IQQ", 3, 0, 0), "big-endian", id="big-endian"),
        pytest.param(
            file([value("general.architecture", 4, struct.pack("<I", 1))]),
            "not a model",
            id="an architecture that is a number",
        ),
        pytest.param(
            file([ARCHITECTURE, value("split.count", 2, struct.pack("<H", 3))]),
            "one of 3 parts of a split model",
            id="a part of a split model",
        ),
        pytest.param(
            file([ARCHITECTURE, value("llama.block_count", 10, struct.pack("<Q", 10**6))]),
            "at most 10000 layers",
            id="too many layers",
        ),
        pytest.param(
            file([ARCHITECTURE, value("llama.block_count", 8, text("x"))]),
            "llama.block_count is x: not a sensible number",
            id="layers as text",
        ),
        pytest.param(
            file([ARCHITECTURE, value("llama.block_count", 5, struct.pack("<i", -1))]),
            "block_count is -1",
            id="layers below 0",
        ),
        pytest.param(
            file([ARCHITECTURE, numbers("llama.embedding_length", [1, 2])]),
            r"embedding_length is \[1, 2\]",
            id="a list of lengths",
        ),
        pytest.param(
            file([value("k", 9, struct.pack("<IQ", 10, 9_000_000))]), "larger than 64 MiB", id="a header over 64 MiB"
        ),
        pytest.param(
            file([value("k", 9, struct.pack("<IQI", 9, 1, 4))]), "array of unknown type 9", id="an array of arrays"
        ),
    ],
)
def test_what_is_wrong_is_told(data: bytes, message: str) -> None:
    with pytest.raises(GgufError, match=message):
        parse(data)


LONG = file([ARCHITECTURE, LAYERS, *[value(f"k{i}", 8, text("x" * 400_000)) for i in range(6)]], [tensor("a", (7,), 0)])
"""A header of more than one request."""


@pytest.fixture
def server() -> Iterator[Any]:
    """Serves LONG followed by ten megabytes; `ranges` says whether it answers ranges."""

    class Handler(http.server.BaseHTTPRequestHandler):
        ranges = True
        shift = 0
        sent = 0

        def do_GET(self) -> None:
            data = LONG + b"\0" * (10 << 20)
            if self.path != "/model.gguf":
                self.send_error(404)
                return
            wanted = self.headers.get("Range", "")
            if Handler.ranges and wanted:
                first, last = wanted.removeprefix("bytes=").split("-")
                data = data[int(first) : int(last) + 1]
                self.send_response(206)
                start = int(first) + Handler.shift
                self.send_header("Content-Range", f"bytes {start}-{start + len(data) - 1}/*")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            Handler.sent += len(data)
            with contextlib.suppress(ConnectionError):  # the client reads no more than it asked for
                self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", Handler
        server.shutdown()
        thread.join()


def test_of_a_remote_file_only_the_header_is_fetched(server: Any) -> None:
    url, handler = server
    assert gguf.read_url(f"{url}/model.gguf").architecture == "llama"
    assert len(LONG) < handler.sent <= 2 * len(LONG)


def test_a_server_without_ranges_is_told(server: Any) -> None:
    url, handler = server
    handler.ranges = False
    with pytest.raises(GgufError, match=r"/model.gguf: the server does not answer ranges; download the file"):
        gguf.read_url(f"{url}/model.gguf")


def test_a_range_that_begins_elsewhere_is_told(server: Any) -> None:
    url, handler = server
    handler.shift = 7
    with pytest.raises(GgufError, match="when asked for byte 0"):
        gguf.read_url(f"{url}/model.gguf")


@pytest.mark.parametrize(
    ("url", "message"),
    [
        pytest.param("{}/none.gguf", "/none.gguf: HTTP 404", id="no such file"),
        pytest.param("file:///etc/passwd", "no http address", id="no http"),
        pytest.param("http://127.0.0.1:1/m.gguf", "refused", id="no server"),
        pytest.param("http://[::1/m.gguf", "Invalid IPv6", id="a broken host"),
        pytest.param("http://127.0.0.1:1/a b", "control characters", id="a space"),
    ],
)
def test_a_wrong_address_is_told(url: str, message: str, server: Any) -> None:
    with pytest.raises(GgufError, match=message):
        gguf.read_url(url.format(server[0]))


def test_a_local_file(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(whole_file())
    assert len(gguf.read_file(tmp_path / "m.gguf").tensors) == 2


def test_a_broken_local_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(WHOLE[:40])
    with pytest.raises(GgufError, match=r"m\.gguf: the file ends at byte 40"):
        gguf.read_file(tmp_path / "m.gguf")


def architecture(name: str) -> bytes:
    return value("general.architecture", 8, text(name))


@pytest.mark.parametrize(
    ("values", "tensors", "message"),
    [
        pytest.param([kind_of("mmproj"), architecture("clip")], WEIGHTS, "is a projector", id="projector"),
        pytest.param([architecture("clip")], WEIGHTS, "is a projector", id="projector of an older file"),
        pytest.param([kind_of("adapter"), ARCHITECTURE], WEIGHTS, "is a LoRA adapter", id="adapter"),
        pytest.param(
            [ARCHITECTURE, value("adapter.type", 8, text("lora"))], WEIGHTS, "is a LoRA adapter", id="older adapter"
        ),
        pytest.param([kind_of("imatrix")], WEIGHTS, "is an importance matrix", id="importance matrix"),
        pytest.param([architecture("controlvector")], WEIGHTS, "is a control vector", id="control vector"),
        pytest.param([kind_of("poem"), ARCHITECTURE], WEIGHTS, "of the type poem", id="unknown type"),
        pytest.param([value("general.type", 4, b"aaaa"), ARCHITECTURE], WEIGHTS, "no type", id="type that is a number"),
        pytest.param([ARCHITECTURE, TOKENS], [], "no weights", id="vocabulary only"),
        pytest.param(
            [ARCHITECTURE, value("general.alignment", 4, struct.pack("<I", 3))],
            WEIGHTS,
            "alignment is 3",
            id="alignment",
        ),
    ],
)
def test_a_file_that_is_no_model_is_refused(
    values: list[bytes], tensors: list[bytes], message: str, tmp_path: Path
) -> None:
    (tmp_path / "m.gguf").write_bytes(file(values, tensors) + b"\0" * 4096)
    with pytest.raises(GgufError, match=message):
        gguf.read_file(tmp_path / "m.gguf")


def test_a_file_of_the_type_model_is_read(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(file([kind_of("model"), ARCHITECTURE], WEIGHTS) + b"\0" * 4096)
    assert gguf.read_file(tmp_path / "m.gguf").architecture == "llama"


@pytest.mark.parametrize("alignment", [None, 64])
def test_a_file_that_ends_before_its_last_tensor_is_incomplete(alignment: int | None, tmp_path: Path) -> None:
    own = [] if alignment is None else [value("general.alignment", 4, struct.pack("<I", alignment))]
    head = file([ARCHITECTURE, *own], [tensor("a", (64, 10), 2)])
    end = len(head) + -len(head) % (alignment or 32) + 360
    (tmp_path / "m.gguf").write_bytes(head.ljust(end, b"\0"))
    assert gguf.read_file(tmp_path / "m.gguf").end == end
    (tmp_path / "m.gguf").write_bytes(head.ljust(end - 1, b"\0"))
    with pytest.raises(GgufError, match=f"has {end - 1} bytes, its header tells of {end}: it is incomplete"):
        gguf.read_file(tmp_path / "m.gguf")
