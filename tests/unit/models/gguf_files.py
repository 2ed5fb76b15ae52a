"""GGUF files, byte by byte."""

import struct


def text(value: str) -> bytes:
    return struct.pack("<Q", len(value)) + value.encode()


def value(key: str, kind: int, packed: bytes) -> bytes:
    return text(key) + struct.pack("<I", kind) + packed


def tensor(name: str, shape: tuple[int, ...], kind: int) -> bytes:
    return text(name) + struct.pack(f"<I{len(shape)}QIQ", len(shape), *shape, kind, 0)


ARCHITECTURE = value("general.architecture", 8, text("llama"))
LAYERS = value("llama.block_count", 4, struct.pack("<I", 2))
TOKENS = value("tokenizer.ggml.tokens", 9, struct.pack("<IQ", 8, 3) + text("a") + text("b") + text("c"))


def file(values: list[bytes], tensors: list[bytes] | None = None, version: int = 3, magic: bytes = b"GGUF") -> bytes:
    tensors = tensors or []
    head = magic + struct.pack("<IQQ", version, len(tensors), len(values))
    return head + b"".join(values) + b"".join(tensors)


WHOLE = file([ARCHITECTURE, LAYERS, TOKENS], [tensor("a", (64, 10), 2), tensor("b", (7,), 0)])
WEIGHTS = [tensor("token_embd.weight", (32,), 0)]


def whole_file() -> bytes:
    """WHOLE with the data of its tensors: the larger one has 360 bytes, and both begin at the first."""
    return WHOLE + b"\0" * (-len(WHOLE) % 32 + 360)


def kind_of(kind: str) -> bytes:
    return value("general.type", 8, text(kind))
