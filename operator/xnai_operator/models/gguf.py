"""Reading the header of a GGUF file, local or behind HTTP, without reading the weights.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little endian. A file is input from
outside: every count and length is bounded before anything is allocated for it.
"""

import http.client
import math
import os
import struct
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from xnai_operator.memory.gguf_header import BLOCKS, ModelHeader, Tensor

MAX_HEADER: Final = 64 << 20
MAX_ENTRIES: Final = 1_000_000
MAX_STRING: Final = 1 << 20
MAX_TENSOR: Final = 1 << 50
"""Bytes of one tensor: far above any model, far below what overflows a sum."""
MAX_LAYERS: Final = 10_000
MAX_ARRAY: Final = 16_000_000
KEPT_ARRAY: Final = 1024
"""Arrays of numbers up to this length are kept (one value a layer); of longer ones the length."""
FIRST_BYTES: Final = 1 << 20

COUNTS: Final = (
    "block_count",
    "embedding_length",
    "attention.key_length",
    "attention.value_length",
    "attention.key_length_swa",
    "attention.value_length_swa",
    "attention.key_length_mla",
    "attention.shared_kv_layers",
    "attention.sliding_window",
    "full_attention_interval",
    "kda.head_dim",
    "nextn_predict_layers",
    "shortconv.l_cache",
    "token_shift_count",
    "wkv.head_size",
    "context_length",
    "vocab_size",
    "ssm.state_size",
    "ssm.inner_size",
    "ssm.group_count",
    "ssm.conv_kernel",
)
"""The numbers of an architecture that sizing reads: each is a count up to MAX_COUNT."""
LAYER_COUNTS: Final = (
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
    "attention.recurrent_layers",
    "attention.sliding_window_pattern",
)
"""The same, but these may also be given once a layer."""
MAX_COUNT: Final = 1 << 32
ALIGNMENT: Final = 32
"""Bytes: where the data of tensors begin, unless the header says otherwise (gguf.md, general.alignment)."""
MAX_ALIGNMENT: Final = 1 << 20

NOT_MODELS: Final = {
    "adapter": "a LoRA adapter",
    "mmproj": "a projector for images or sound (mmproj)",
    "imatrix": "an importance matrix",
}
"""general.type -> what the file is (GGUFType of gguf-py). A model has the type model, or none in older files."""
NOT_MODEL_ARCHITECTURES: Final = {
    "clip": "a projector for images or sound (mmproj)",
    "controlvector": "a control vector",
    "imatrix": "an importance matrix",
}
"""general.architecture of files that llama.cpp loads beside a model, never as one."""

_SCALARS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_STRING, _ARRAY = 8, 9

Read = Callable[[int, int], bytes]
"""(offset, length) -> bytes, fewer only at the end of the file."""


class GgufError(Exception):
    """Not a GGUF file that can be read. The message says what is wrong and at which byte."""


class _Header:
    def __init__(self, read: Read) -> None:
        self._read = read
        self._buffer = b""
        self._at = 0

    def take(self, size: int) -> bytes:
        end = self._at + size
        if end > MAX_HEADER:
            raise GgufError(f"the header is larger than {MAX_HEADER >> 20} MiB")
        while len(self._buffer) < end:
            wanted = max(end - len(self._buffer), FIRST_BYTES, len(self._buffer))
            more = self._read(len(self._buffer), wanted)
            if not more:
                raise GgufError(f"the file ends at byte {len(self._buffer)}, inside the header: it is incomplete")
            self._buffer += more
        taken = self._buffer[self._at : end]
        self._at = end
        return taken

    def aligned(self, alignment: int) -> int:
        """The byte after the header, rounded up."""
        return -(-self._at // alignment) * alignment

    def number(self, code: str) -> Any:
        return struct.unpack("<" + code, self.take(struct.calcsize("<" + code)))[0]

    def string(self) -> str:
        size = self.count(MAX_STRING, "a string of")
        return self.take(size).decode("utf-8", errors="replace")

    def count(self, most: int, what: str) -> int:
        at, value = self._at, int(self.number("Q"))
        if value > most:
            raise GgufError(f"{what} {value} at byte {at}: at most {most} is sensible")
        return value

    def value(self, kind: int) -> "_Value":
        if kind in _SCALARS:
            return _Value(self.number(_SCALARS[kind]))
        if kind == _STRING:
            return _Value(self.string())
        if kind != _ARRAY:
            raise GgufError(f"value of unknown type {kind} at byte {self._at}")
        inner, length = int(self.number("I")), self.count(MAX_ARRAY, "an array of")
        if inner in _SCALARS:
            code = _SCALARS[inner]
            data = self.take(length * struct.calcsize("<" + code))
            kept = list(struct.unpack(f"<{length}{code}", data)) if length <= KEPT_ARRAY else None
            return _Value(kept, length)
        if inner != _STRING:
            raise GgufError(f"array of unknown type {inner} at byte {self._at}")
        for _ in range(length):
            self.take(self.count(MAX_STRING, "a string of"))
        return _Value(None, length)


class _Value(NamedTuple):
    """`value` is None for an array that is not kept."""

    value: Any
    length: int | None = None


def parse(read: Read) -> ModelHeader:
    """The header of a file given by `read`. Raises GgufError."""
    header = _Header(read)
    if header.take(4) != b"GGUF":
        raise GgufError("not a GGUF file: it does not begin with GGUF")
    version = int(header.number("I"))
    if version >> 16 and not version & 0xFFFF:
        raise GgufError("a big-endian GGUF file: only little-endian ones can be read")
    if version not in {2, 3}:
        raise GgufError(f"GGUF version {version}; 2 and 3 can be read")
    tensor_count, value_count = header.count(MAX_ENTRIES, "tensors:"), header.count(MAX_ENTRIES, "values:")
    metadata: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    for _ in range(value_count):
        key = header.string()
        found = header.value(int(header.number("I")))
        if found.length is not None:
            lengths[key] = found.length
        if found.value is not None:
            metadata[key] = found.value
    _check_kind(metadata)
    placed = [_tensor(header) for _ in range(tensor_count)]
    last = max((at + tensor.size for at, tensor in placed), default=0)
    end = header.aligned(_alignment(metadata)) + last if placed else 0
    model = ModelHeader(metadata, lengths, tuple(tensor for _, tensor in placed), end)
    _check(model)
    return model


def _alignment(metadata: Mapping[str, Any]) -> int:
    """Raises GgufError."""
    found = metadata.get("general.alignment", ALIGNMENT)
    if not isinstance(found, int) or not 0 < found <= MAX_ALIGNMENT or found & (found - 1):
        raise GgufError(f"general.alignment is {str(found)[:60]}: not a power of two up to {MAX_ALIGNMENT}")
    return found


def _check_kind(metadata: Mapping[str, Any]) -> None:
    """The file is a model by what it says of itself. Raises GgufError."""
    kind, architecture = metadata.get("general.type", "model"), metadata.get("general.architecture")
    what = NOT_MODEL_ARCHITECTURES.get(architecture) if isinstance(architecture, str) else None
    if kind != "model":
        what = NOT_MODELS.get(kind, f"of the type {kind[:60]}") if isinstance(kind, str) else "of no type that is known"
    elif "adapter.type" in metadata:
        what = NOT_MODELS["adapter"]
    if what is not None:
        raise GgufError(f"not a model: the file is {what}; name the file of the model itself")


def _check_whole(model: ModelHeader, size: int | None) -> None:
    """The file, of `size` bytes where that is known, has weights, and all of them. Raises GgufError."""
    if not model.tensors:
        raise GgufError("not a model: the file has a vocabulary or metadata and no weights")
    if size is not None and size < model.end:
        raise GgufError(f"the file has {size} bytes, its header tells of {model.end}: it is incomplete")


def _check(model: ModelHeader) -> None:
    """What sizing relies on. Raises GgufError."""
    if not isinstance(model.metadata.get("general.architecture"), str):
        raise GgufError("no general.architecture: not a model")
    parts = model.metadata.get("split.count", 0)
    if isinstance(parts, int) and parts > 1:
        raise GgufError(f"one of {parts} parts of a split model: join them with llama-gguf-split --merge")
    for key in (*COUNTS, *LAYER_COUNTS):
        value = model.value(key, 0)
        values = value if isinstance(value, list) and key in LAYER_COUNTS else [value]
        if not all(isinstance(v, int) and 0 <= v <= MAX_COUNT for v in values):
            raise GgufError(f"{model.architecture}.{key} is {str(value)[:60]}: not a sensible number")
    layers = model.value("block_count", 0)
    if layers > MAX_LAYERS:
        raise GgufError(f"{model.architecture}.block_count is {layers}: at most {MAX_LAYERS} layers are sensible")


def _tensor(header: _Header) -> tuple[int, Tensor]:
    """A tensor, and the byte of the data at which its own begin. Raises GgufError."""
    name, dimensions = header.string(), int(header.number("I"))
    if dimensions > 8:
        raise GgufError(f"tensor {name} has {dimensions} dimensions")
    shape = tuple(int(header.number("Q")) for _ in range(dimensions))
    kind = int(header.number("I"))
    at = header.count(MAX_TENSOR, f"tensor {name} begins at")
    if kind not in BLOCKS:
        raise GgufError(f"tensor {name} has the unknown type {kind}")
    label, elements, block = BLOCKS[kind]
    if shape and shape[0] % elements:
        raise GgufError(f"tensor {name}: rows of {shape[0]} are no whole blocks of {label} ({elements} elements)")
    size = math.prod(shape) // elements * block
    if size > MAX_TENSOR:
        raise GgufError(f"tensor {name} of shape {shape} takes {size} bytes: not sensible")
    return at, Tensor(name, shape, label, size)


def read_file(path: Path) -> ModelHeader:
    """The header of a local file. Raises GgufError, OSError."""
    with path.open("rb") as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        try:
            model = parse(read)
            _check_whole(model, os.fstat(file.fileno()).st_size)
        except GgufError as error:
            raise GgufError(f"{path}: {error}") from error
        return model


def read_url(url: str, timeout: float = 30.0) -> ModelHeader:
    """The header of a remote file, by range requests; `timeout` in seconds. Raises GgufError."""
    if not url.startswith(("http://", "https://")):
        raise GgufError(f"{url} is no http address")

    def read(offset: int, length: int) -> bytes:
        return _fetch(url, offset, length, timeout)

    try:
        model = parse(read)
        _check_whole(model, None)
    except GgufError as error:
        raise GgufError(f"{url}: {error}") from error
    return model


def _fetch(url: str, offset: int, length: int, timeout: float) -> bytes:
    """Bytes from `offset` on, fewer than `length` at the end of the file. Raises GgufError."""
    wanted = {"Range": f"bytes={offset}-{offset + length - 1}", "Accept-Encoding": "identity"}
    try:
        request = urllib.request.Request(url, headers=wanted)  # noqa: S310 - read_url lets http addresses through only
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
            if answer.status != 206 and offset > 0:
                raise GgufError("the server does not answer ranges; download the file")
            given = answer.headers.get("Content-Range", f"bytes {offset}-")
            if not given.startswith(f"bytes {offset}-"):
                raise GgufError(f"the server answered {given!r} when asked for byte {offset}; download the file")
            return bytes(answer.read(length))
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing there any more: the end of the file
            return b""
        raise GgufError(f"HTTP {error.code}") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise GgufError(str(error) or type(error).__name__) from error
