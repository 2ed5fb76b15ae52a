"""The memory of a llama.cpp process, part by part, from the header of its model. Pure; sizes in bytes.

The formulas follow llama.cpp's allocation (llama-kv-cache.cpp, llama-graph.cpp, llama-context.cpp); their constants
were fitted to measured processes; `hack/bench/sizing.py` compares them again. The product of parameters and bits is
not used: computed from the name of the quantisation, it was wrong by a third for a real file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

from xnai_operator.api.quantity import MI
from xnai_operator.memory.gguf_header import ModelHeader
from xnai_operator.memory.layers import FULL_INTERVAL, Layer, head_counts, head_widths, layers, per_layer

KvType = Literal["f32", "f16", "q8_0", "q4_0"]
KV_BYTES: Final[Mapping[str, float]] = {"f32": 4.0, "f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
"""Bytes of one value of the cache (block sizes of ggml-common.h)."""

KV_BLOCKS: Final[Mapping[str, int]] = {"q8_0": 32, "q4_0": 32}
"""Values of one block of a quantised cache (QK8_0 and QK4_0 of ggml-common.h)."""

Runtime = Literal["llama-cpp-python", "llama-server"]
BASE: Final[Mapping[str, int]] = {"llama-cpp-python": 72 * MI, "llama-server": 16 * MI}
"""Anonymous memory of the process without a model: Python with the API's libraries; a native HTTP server."""

REPACKED: Final = frozenset({"Q4_0", "Q4_K", "IQ4_NL"})
"""Types whose 2-D tensors ggml-cpu copies into another layout (repack.cpp); the file stays mapped as well."""

MARGIN: Final = 0.05
MARGIN_BYTES: Final = 8 * MI
"""Added to the anonymous sum: the worst under-estimate of the formula was 4.9 %."""


@dataclass(frozen=True)
class ModelOptions:
    """How a model is loaded. `context`: tokens for each of the `slots`. `micro_batch`: tokens that are computed at once
    (n_ubatch). `full_window`: layers with a sliding window keep the whole context (swa_full)."""

    context: int = 2048
    slots: int = 1
    kv_type: KvType = "f16"
    flash_attention: bool = True
    micro_batch: int = 512
    mmap: bool = True
    repack: bool = True
    full_window: bool = False
    runtime: Runtime = "llama-cpp-python"
    device: Literal["cpu", "vulkan"] = "cpu"


@dataclass(frozen=True)
class Part:
    """One part of the sum, in bytes. `mapped`: pages of the model file, shared and reclaimable; else anonymous."""

    name: str
    size: int
    mapped: bool = False


@dataclass(frozen=True)
class Size:
    """The parts and their sums."""

    parts: tuple[Part, ...]

    @property
    def anonymous(self) -> int:
        """Bytes that cannot be reclaimed, with the margin."""
        return sum(part.size for part in self.parts if not part.mapped)

    @property
    def mapped(self) -> int:
        """Bytes of the weights that are mapped from the file."""
        return sum(part.size for part in self.parts if part.mapped)

    @property
    def total(self) -> int:
        """Bytes that the process needs to run at full speed."""
        return self.anonymous + self.mapped


def _padded(cells: int) -> int:
    """The cells of a cache as llama.cpp rounds them: up to a multiple of 256."""
    return -(-cells // 256) * 256


def cache_type_fault(model: ModelHeader, kv_type: KvType) -> str | None:
    """Why llama.cpp makes no cache of this type for the model: a row of a head must be whole blocks
    (llama_init_from_model in llama-context.cpp)."""
    block = KV_BLOCKS.get(kv_type, 1)
    widths = (*head_widths(model), *head_widths(model, windowed=True))
    width = next((width for width in widths if width % block), None)
    if width is None:
        return None
    return f"{kv_type} has blocks of {block} values, and the heads of this model are {width} wide; use f16"


def kv_cache(model: ModelHeader, options: ModelOptions) -> int:
    """Bytes: slots x (keys x b_k + values x b_v) x cells, summed over the layers, plus the states of recurrent layers,
    which are f32 and constant for each slot (llama-kv-cache.cpp, llama-memory-recurrent.cpp)."""
    found = layers(model)
    one = KV_BYTES[options.kv_type]
    # Without flash attention the values of every layer get the width of the widest one.
    widest = 0 if options.flash_attention else max((layer.values for layer in found), default=0)
    kept = [(layer.keys + max(layer.values, widest if layer.values else 0)) * _cells(layer, options) for layer in found]
    return int(options.slots * (one * sum(kept) + 4 * sum(layer.state for layer in found)))


def _cells(layer: Layer, options: ModelOptions) -> int:
    """The cells of a layer's cache. A window has room for a micro batch beside it (llama-kv-cache-iswa.cpp)."""
    cells = _padded(options.context)
    if layer.window is None or options.full_window:
        return cells
    return min(cells, _padded(min(cells, layer.window + options.micro_batch)))


def vocabulary(model: ModelHeader) -> int:
    """The number of tokens in the vocabulary."""
    length = model.lengths.get("tokenizer.ggml.tokens")
    return int(length if length is not None else model.value("vocab_size", 0) or 0)


def compute(model: ModelHeader, options: ModelOptions) -> int:
    """Bytes that a micro batch touches in the compute buffer; without flash attention with the scores of every head.

    Floats for each token, fitted to measured processes: 3 x the feed-forward width with a gate, 1.5 x without; 4 x the
    embedding; 6 x the inner width of a state-space layer, 12 x that of a gated delta net.
    """
    embedding = int(model.value("embedding_length", 0))
    found = layers(model)
    forward = max(per_layer(model.value("feed_forward_length"), len(found), 0), default=0)
    heads = max(head_counts(model), default=0)
    batch = min(options.micro_batch, options.context)
    # phi3 has gate and up in one tensor.
    gated = model.architecture == "phi3" or any(".ffn_gate" in tensor.name for tensor in model.tensors)
    width = (6 if gated else 3) * forward // 2 + 4 * embedding + _inner(model)
    cells = _padded(options.context)
    windows = max((_cells(layer, options) for layer in found if layer.window is not None), default=0)
    mask = 2 * (cells + windows) * (1 if options.flash_attention else 2)
    # Measured: the scores of a batch, and half of them again while they are normalised.
    scores = 0 if options.flash_attention else 6 * heads * cells
    return batch * (4 * width + mask + scores) + 4 * vocabulary(model) * options.slots + MI


def _inner(model: ModelHeader) -> int:
    """Floats for each token in a recurrent layer with an inner width."""
    return (12 if model.architecture in FULL_INTERVAL else 6) * int(model.value("ssm.inner_size", 0) or 0)


def tokenizer(model: ModelHeader) -> int:
    """Bytes of the tables of llama-vocab.cpp. They hold each token twice, as text and as piece, and each merge of a
    byte-pair vocabulary as a map node of two strings. The bytes for each token and each merge are measured."""
    return int(0.6 * MI) + 165 * vocabulary(model) + 135 * model.lengths.get("tokenizer.ggml.merges", 0)


def _repacked(model: ModelHeader) -> int:
    """Bytes of the tensors that are copied into another layout. A model without an output matrix uses the embedding as
    one: then it is copied too."""
    tied = not any(tensor.name == "output.weight" for tensor in model.tensors)
    matrices = [t for t in model.tensors if len(t.shape) == 2 and (tied or not t.name.startswith("token_embd"))]
    return sum(t.size for t in matrices if t.kind in REPACKED)


def size(model: ModelHeader, options: ModelOptions) -> Size:
    """All parts. They include a margin, so that `anonymous` is never below the measured memory."""
    words = vocabulary(model)
    repacked = _repacked(model) if options.mmap and options.repack else 0
    parts = [
        Part("runtime", BASE[options.runtime]),
        Part("tokenizer", tokenizer(model)),
        Part("KV cache", kv_cache(model, options)),
        Part("output buffer", 4 * words * options.slots),
        Part("compute buffer", compute(model, options)),
    ]
    if options.device == "vulkan":
        # An integrated GPU has no memory of its own: its copy of the layers is in system memory.
        parts.append(Part("weights on the GPU", model.weights))
    elif repacked:
        parts.append(Part("repacked weights", repacked))
    parts.append(Part("weights", model.weights, mapped=options.mmap))
    fixed = sum(part.size for part in parts if not part.mapped and part.name not in {"runtime"})
    parts.append(Part("margin", int(fixed * MARGIN) + MARGIN_BYTES))
    return Size(tuple(parts))
