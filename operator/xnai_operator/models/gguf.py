"""Reading the header of a GGUF file, local or behind HTTP, without reading the weights.

Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, versions 2 and 3, little endian. A file is input from
outside: every count and length is bounded before anything is allocated for it.
"""

import math
import struct
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from xnai_operator.memory.model import BLOCKS, ModelHeader, Tensor

MAX_HEADER: Final = 128 << 20
MAX_ENTRIES: Final = 1_000_000
MAX_STRING: Final = 4 << 20
MAX_ARRAY: Final = 16_000_000
KEPT_ARRAY: Final = 1024
"""Arrays of numbers up to this length are kept (one value a layer); of longer ones the length."""
FIRST_BYTES: Final = 1 << 20

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

    def value(self, kind: int) -> tuple[Any, int | None]:
        """A value, or None and the length for an array that is not kept."""
        if kind in _SCALARS:
            return self.number(_SCALARS[kind]), None
        if kind == _STRING:
            return self.string(), None
        if kind != _ARRAY:
            raise GgufError(f"value of unknown type {kind} at byte {self._at}")
        inner, length = int(self.number("I")), self.count(MAX_ARRAY, "an array of")
        if inner in _SCALARS:
            code = _SCALARS[inner]
            data = self.take(length * struct.calcsize("<" + code))
            return (list(struct.unpack(f"<{length}{code}", data)), length) if length <= KEPT_ARRAY else (None, length)
        if inner != _STRING:
            raise GgufError(f"array of unknown type {inner} at byte {self._at}")
        for _ in range(length):
            self.take(self.count(MAX_STRING, "a string of"))
        return None, length


def parse(read: Read) -> ModelHeader:
    """The header of a file given by `read`. Raises GgufError."""
    header = _Header(read)
    if header.take(4) != b"GGUF":
        raise GgufError("not a GGUF file: it does not begin with GGUF")
    version = int(header.number("I"))
    if version not in {2, 3}:
        raise GgufError(f"GGUF version {version}; 2 and 3 can be read")
    tensor_count, value_count = header.count(MAX_ENTRIES, "tensors:"), header.count(MAX_ENTRIES, "values:")
    metadata: dict[str, Any] = {}
    lengths: dict[str, int] = {}
    for _ in range(value_count):
        key = header.string()
        value, length = header.value(int(header.number("I")))
        if length is not None:
            lengths[key] = length
        if value is not None:
            metadata[key] = value
    tensors = tuple(_tensor(header) for _ in range(tensor_count))
    if "general.architecture" not in metadata:
        raise GgufError("no general.architecture: not a model")
    return ModelHeader(metadata, lengths, tensors)


def _tensor(header: _Header) -> Tensor:
    name, dimensions = header.string(), int(header.number("I"))
    if dimensions > 8:
        raise GgufError(f"tensor {name} has {dimensions} dimensions")
    shape = tuple(int(header.number("Q")) for _ in range(dimensions))
    kind = int(header.number("I"))
    header.number("Q")  # where its data are
    if kind not in BLOCKS:
        raise GgufError(f"tensor {name} has the unknown type {kind}")
    label, elements, size = BLOCKS[kind]
    return Tensor(name, shape, label, math.prod(shape) // elements * size)


def read_file(path: Path) -> ModelHeader:
    """The header of a local file. Raises GgufError, OSError."""
    with path.open("rb") as file:

        def read(offset: int, length: int) -> bytes:
            file.seek(offset)
            return file.read(length)

        return parse(read)


def read_url(url: str, timeout: float = 30.0) -> ModelHeader:
    """The header of a remote file, by range requests. Raises GgufError."""

    def read(offset: int, length: int) -> bytes:
        if not url.startswith(("http://", "https://")):
            raise GgufError(f"{url} is no http address")
        request = urllib.request.Request(url, headers={"Range": f"bytes={offset}-{offset + length - 1}"})  # noqa: S310
        try:
            with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
                if answer.status != 206 and offset > 0:
                    raise GgufError(f"{url}: the server does not answer ranges; download the file")
                return bytes(answer.read(length))
        except urllib.error.HTTPError as error:
            if error.code == 416:
                return b""
            raise GgufError(f"{url}: HTTP {error.code}") from error
        except OSError as error:
            raise GgufError(f"{url}: {error}") from error

    return parse(read)
