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

# Every n-th layer sees the whole context, the others see a window. GGUF files do not contain the pattern; the source
# is llama-model.cpp (set_swa_pattern).
FULL_EVERY: Final[Mapping[str, int]] = {
    "gemma2": 2,
    "gemma3": 6,
    "gemma3n": 5,
    "cohere2": 4,
    "gpt-oss": 2,
    "exaone4": 4,
}

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


def _per_layer(value: object, layers: int, default: int) -> list[int]:
    """One value for each layer, from a value of the header that is a list of layers or one number for all."""
    if isinstance(value, list):
        return [int(v) for v in value[:layers]] + [default] * (layers - len(value))
    return [default if value is None else int(str(value))] * layers


def _windowed(model: ModelHeader, layers: int) -> list[bool]:
    """Whether each layer keeps only a window of the context."""
    every = FULL_EVERY.get(model.architecture)
    if not model.value("attention.sliding_window") or every is None:
        return [False] * layers  # an unknown pattern counts as full: the size is then too large, never too small
    return [(layer + 1) % every != 0 for layer in range(layers)]


def head_widths(model: ModelHeader) -> tuple[int, int]:
    """Values of one key and of one value of a head."""
    layers = int(model.value("block_count", 0))
    width = int(model.value("embedding_length", 0)) // max(max(_heads(model, layers), default=1), 1)
    return int(model.value("attention.key_length", width)), int(model.value("attention.value_length", width))


def cache_type_fault(model: ModelHeader, kv_type: KvType) -> str | None:
    """Why llama.cpp makes no cache of this type for the model: a row of a head must be whole blocks
    (llama_init_from_model in llama-context.cpp)."""
    block = KV_BLOCKS.get(kv_type, 1)
    width = next((width for width in head_widths(model) if width % block), None)
    if width is None:
        return None
    return f"{kv_type} has blocks of {block} values, and the heads of this model are {width} wide; use f16"


def kv_cache(model: ModelHeader, options: ModelOptions) -> int:
    """Bytes: streams x kv_heads x (d_k b_k + d_v b_v) x cells, summed over the layers, plus the recurrent state."""
    layers = int(model.value("block_count", 0))
    kv_heads = _per_layer(model.value("attention.head_count_kv"), layers, max(_heads(model, layers), default=0))
    keys, values = head_widths(model)
    cells = _padded(options.context)
    window = _window_cells(model, options)
    one = KV_BYTES[options.kv_type] * (keys + values)
    total = 0.0
    for heads_of_layer, windowed in zip(kv_heads, _windowed(model, layers), strict=True):
        total += heads_of_layer * one * (window if windowed else cells)
    return int(total * options.slots) + _recurrent(model, options, layers)


def _heads(model: ModelHeader, layers: int) -> list[int]:
    return _per_layer(model.value("attention.head_count"), layers, 0)


def _window_cells(model: ModelHeader, options: ModelOptions) -> int:
    cells = _padded(options.context)
    window = int(model.value("attention.sliding_window", 0) or 0)
    return cells if options.full_window or not window else _padded(min(cells, window + options.micro_batch))


def _recurrent(model: ModelHeader, options: ModelOptions, layers: int) -> int:
    """Bytes of the convolution and the state of state-space layers: f32, constant for each slot
    (llama-memory-recurrent.cpp)."""
    state = int(model.value("ssm.state_size", 0) or 0)
    if not state:
        return 0
    inner, groups = int(model.value("ssm.inner_size", 0)), int(model.value("ssm.group_count", 0) or 0)
    kernel = int(model.value("ssm.conv_kernel", 0))
    return options.slots * layers * 4 * ((kernel - 1) * (inner + 2 * groups * state) + state * inner)


def vocabulary(model: ModelHeader) -> int:
    """The number of tokens in the vocabulary."""
    length = model.lengths.get("tokenizer.ggml.tokens")
    return int(length if length is not None else model.value("vocab_size", 0) or 0)


def compute(model: ModelHeader, options: ModelOptions) -> int:
    """Bytes that a micro batch touches in the compute buffer; without flash attention with the scores of every head.

    Floats for each token, fitted to measured processes: 3 x the feed-forward width with a gate, 1.5 x without; 4 x the
    embedding; 6 x the inner width of a state-space layer.
    """
    embedding = int(model.value("embedding_length", 0))
    layers = int(model.value("block_count", 0))
    forward = max(_per_layer(model.value("feed_forward_length"), layers, 0), default=0)
    heads = max(_heads(model, layers), default=0)
    batch = min(options.micro_batch, options.context)
    # phi3 has gate and up in one tensor.
    gated = model.architecture == "phi3" or any(".ffn_gate" in tensor.name for tensor in model.tensors)
    width = (6 if gated else 3) * forward // 2 + 4 * embedding + 6 * int(model.value("ssm.inner_size", 0) or 0)
    cells, window = _padded(options.context), _window_cells(model, options)
    windows = window if any(_windowed(model, layers)) else 0
    mask = 2 * (cells + windows) * (1 if options.flash_attention else 2)
    # Measured: the scores of a batch, and half of them again while they are normalised.
    scores = 0 if options.flash_attention else 6 * heads * cells
    return batch * (4 * width + mask + scores) + 4 * vocabulary(model) * options.slots + MI


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
