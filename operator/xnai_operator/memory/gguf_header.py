"""The contents of a GGUF header that are needed to compute the memory of a model."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

BLOCKS: Final[Mapping[int, tuple[str, int, int]]] = {
    0: ("F32", 1, 4), 1: ("F16", 1, 2), 2: ("Q4_0", 32, 18), 3: ("Q4_1", 32, 20), 6: ("Q5_0", 32, 22),
    7: ("Q5_1", 32, 24), 8: ("Q8_0", 32, 34), 9: ("Q8_1", 32, 36), 10: ("Q2_K", 256, 84), 11: ("Q3_K", 256, 110),
    12: ("Q4_K", 256, 144), 13: ("Q5_K", 256, 176), 14: ("Q6_K", 256, 210), 15: ("Q8_K", 256, 292),
    16: ("IQ2_XXS", 256, 66), 17: ("IQ2_XS", 256, 74), 18: ("IQ3_XXS", 256, 98), 19: ("IQ1_S", 256, 50),
    20: ("IQ4_NL", 32, 18), 21: ("IQ3_S", 256, 110), 22: ("IQ2_S", 256, 82), 23: ("IQ4_XS", 256, 136),
    24: ("I8", 1, 1), 25: ("I16", 1, 2), 26: ("I32", 1, 4), 27: ("I64", 1, 8), 28: ("F64", 1, 8),
    29: ("IQ1_M", 256, 56), 30: ("BF16", 1, 2), 34: ("TQ1_0", 256, 54), 35: ("TQ2_0", 256, 66),
    39: ("MXFP4", 32, 17), 40: ("NVFP4", 64, 36), 41: ("Q1_0", 128, 18),
}  # fmt: skip
"""ggml type -> name, elements in a block, bytes of a block. Source: ggml.h and ggml-common.h, as listed in gguf-py."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of the file. `shape` in elements, `kind` the name of its ggml type, `size` in bytes."""

    name: str
    shape: tuple[int, ...]
    kind: str
    size: int


@dataclass(frozen=True)
class ModelFile:
    """The file around a header. `for_all_users`: its mode lets every user read it. `sha256`: in hexadecimal digits,
    None while it is not computed."""

    for_all_users: bool = True
    sha256: str | None = None


@dataclass(frozen=True)
class ModelHeader:
    """One header. `metadata` has scalars and short arrays of numbers; `lengths` has the lengths of all other arrays.
    `end`: bytes that a whole file has at least. `file` is None for a header that is not of the models folder."""

    metadata: Mapping[str, Any]
    lengths: Mapping[str, int]
    tensors: tuple[Tensor, ...]
    end: int = 0
    file: ModelFile | None = None

    @property
    def architecture(self) -> str:
        """`general.architecture`, such as llama, gemma3 or qwen2; empty when the header has none."""
        return str(self.metadata.get("general.architecture", ""))

    def value(self, key: str, default: Any = None) -> Any:
        """A value of the architecture: `value("block_count")` reads `llama.block_count` in a llama model."""
        return self.metadata.get(f"{self.architecture}.{key}", default)

    @property
    def weights(self) -> int:
        """The bytes of all tensors."""
        return sum(tensor.size for tensor in self.tensors)
