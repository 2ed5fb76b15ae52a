"""The layers of a model: what each keeps of the context. Pure, from the header alone.

GGUF headers do not say all of it. What they leave out is in the source of llama.cpp (load_arch_hparams of each
src/models/*.cpp, and llama_model::create_memory in src/llama-model.cpp), which the tables here follow. Of an
architecture that is in no table, every layer counts as one that keeps the whole context: too large, never too small.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from xnai_operator.memory.gguf_header import ModelHeader


@dataclass(frozen=True)
class Pattern:
    """Of each `every` layers one sees the whole context: the first with `full_first`, else the last. The others see
    `window` tokens where the header does not say how many. `fixed`: the header is not asked for the window. `layers`:
    only a model of so many layers has windows."""

    every: int
    full_first: bool = False
    window: int = 0
    fixed: bool = False
    layers: int = 0


PATTERNS: Final[Mapping[str, Pattern]] = {
    "afmoe": Pattern(4),
    "cohere2": Pattern(4),
    "cohere2moe": Pattern(4, full_first=True),
    "exaone-moe": Pattern(4, window=128),
    "exaone4": Pattern(4, window=4096, layers=64),
    "gemma2": Pattern(2, window=4096),
    "gemma3": Pattern(6),
    "gemma3n": Pattern(5),
    "gpt-oss": Pattern(2),
    "llama4": Pattern(4, window=8192, fixed=True),
    "mellum": Pattern(4),
    "olmo2": Pattern(4),
    "plamo3": Pattern(8),
    "smallthinker": Pattern(4, full_first=True),
}
"""Architecture -> its pattern of windows, unless `attention.sliding_window_pattern` is in the header."""
PATTERN_IN_HEADER: Final = frozenset({"gemma4", "mimo2", "step35"})
"""Architectures whose pattern of windows is in the header only."""

RECURRENT: Final = frozenset({"mamba", "mamba2", "rwkv6", "rwkv6qwen2", "rwkv7", "arwkv7"})
"""Architectures without attention."""
NO_HEADS_IS_RECURRENT: Final = frozenset({"granitehybrid", "jamba", "kimi-linear", "lfm2", "lfm2moe", "plamo2"})
"""Architectures in which a layer without key-value heads is a recurrent one."""
FORWARD_ALONE: Final = frozenset({"nemotron_h", "nemotron_h_moe"})
"""The same, but a layer with a feed-forward part is nothing else."""
FULL_INTERVAL: Final[Mapping[str, int]] = {"qwen3next": 4, "qwen35": 4, "qwen35moe": 4}
"""Architectures in which each n-th layer has attention and the others are recurrent, unless the header says it."""
WITHOUT_CACHE: Final = frozenset({
    "bert", "dream", "eurobert", "gemma-embedding", "jina-bert-v2", "jina-bert-v3", "llada", "llada-moe", "modern-bert",
    "neo-bert", "nomic-bert", "nomic-bert-moe", "rnd1",
})  # fmt: skip
"""Architectures that read all tokens at once and keep none."""
LATENT: Final = frozenset({"deepseek2", "kimi-linear"})
"""Architectures with multi-head latent attention: one compressed row a token is both key and value."""
GEMMA3N_OWN_CACHES: Final = 20
"""The layers of gemma3n from this one on use the cache of an earlier layer."""


@dataclass(frozen=True)
class Layer:
    """`keys` and `values`: numbers that one token has in the cache, over all heads. `window`: tokens that the layer
    sees, None for the whole context. `state`: f32 numbers of a recurrent layer for each slot."""

    keys: int = 0
    values: int = 0
    window: int | None = None
    state: int = 0


def per_layer(value: object, layers: int, default: int) -> list[int]:
    """One value for each layer, from a value of the header that is a list of layers or one number for all."""
    if isinstance(value, list):
        return [int(v) for v in value[:layers]] + [default] * (layers - len(value))
    return [default if value is None else int(str(value))] * layers


def _count(model: ModelHeader, key: str, default: int = 0) -> int:
    found = model.value(key)
    return default if found is None or isinstance(found, list) else int(found)


def layer_count(model: ModelHeader) -> int:
    """The layers that read a prompt: without those that predict further tokens, which have no cache."""
    return max(_count(model, "block_count") - _count(model, "nextn_predict_layers"), 0)


def head_counts(model: ModelHeader) -> list[int]:
    """The heads of each layer."""
    return per_layer(model.value("attention.head_count"), layer_count(model), 0)


def head_widths(model: ModelHeader, *, windowed: bool = False) -> tuple[int, int]:
    """Values of one key and of one value of a head, in a layer that sees the whole context or a window."""
    width = _count(model, "embedding_length") // max(max(head_counts(model), default=1), 1)
    keys, values = _count(model, "attention.key_length", width), _count(model, "attention.value_length", width)
    if windowed:
        return _count(model, "attention.key_length_swa", keys), _count(model, "attention.value_length_swa", values)
    return keys, values


def layers(model: ModelHeader) -> list[Layer]:
    """What each layer keeps."""
    count = layer_count(model)
    if model.architecture in WITHOUT_CACHE:
        return [Layer()] * count
    heads = per_layer(model.value("attention.head_count_kv"), count, max(head_counts(model), default=0))
    windows, recurrent = _windows(model, count), _recurrent(model, heads)
    state, own = recurrent_state(model), _own_caches(model, count)
    latent = model.architecture in LATENT and _count(model, "attention.key_length_mla") > 0
    found = []
    for index in range(count):
        keys, values = head_widths(model, windowed=windows[index] is not None)
        kept = heads[index] if index < own and _has_attention(model, index, recurrent) else 0
        row = (keys * kept, 0 if latent else values * kept)
        found.append(Layer(*row, windows[index], state if recurrent[index] else 0))
    return found


def _own_caches(model: ModelHeader, count: int) -> int:
    """The first layers, which have caches of their own; the others share them."""
    if model.architecture == "gemma3n":
        return GEMMA3N_OWN_CACHES
    if model.architecture == "gemma4":
        return _count(model, "block_count") - _count(model, "attention.shared_kv_layers")
    return count


def _windows(model: ModelHeader, count: int) -> list[int | None]:
    """The window of each layer."""
    window, given = model.value("attention.sliding_window"), model.value("attention.sliding_window_pattern")
    if model.architecture in {"lfm2", "lfm2moe"}:
        return [window or None] * count
    if model.architecture in PATTERN_IN_HEADER:
        marks = given if isinstance(given, list) else []
        return [(window or None) if mark else None for mark in per_layer(marks, count, 0)]
    pattern = PATTERNS.get(model.architecture)
    if pattern is None or window == 0 or (pattern.layers and pattern.layers != count):
        return [None] * count
    tokens = pattern.window if pattern.fixed else int(window or pattern.window)
    if isinstance(given, list):
        return [(tokens or None) if mark else None for mark in per_layer(given, count, 0)]
    every = pattern.every if given is None else int(given)
    # A pattern of 0: every layer has a window (llama_hparams::set_swa_pattern).
    full = 0 if pattern.full_first else every - 1
    return [None if every and index % every == full else (tokens or None) for index in range(count)]


def _recurrent(model: ModelHeader, heads: list[int]) -> list[bool]:
    """Whether each layer has a recurrent state. `heads`: key-value heads of each layer."""
    architecture, count = model.architecture, len(heads)
    if architecture in RECURRENT or architecture == "falcon-h1":
        return [True] * count
    if architecture in NO_HEADS_IS_RECURRENT:
        return [kept == 0 for kept in heads]
    if architecture in FORWARD_ALONE:
        forward = per_layer(model.value("feed_forward_length"), count, 0)
        return [kept == 0 and width == 0 for kept, width in zip(heads, forward, strict=True)]
    if architecture in FULL_INTERVAL:
        marks: Any = model.value("attention.recurrent_layers")
        if isinstance(marks, list):
            return [bool(mark) for mark in per_layer(marks, count, 0)]
        every = max(_count(model, "full_attention_interval", FULL_INTERVAL[architecture]), 1)
        return [(index + 1) % every != 0 for index in range(count)]
    return [recurrent_state(model) > 0] * count


def _has_attention(model: ModelHeader, index: int, recurrent: list[bool]) -> bool:
    known = RECURRENT | NO_HEADS_IS_RECURRENT | FORWARD_ALONE | frozenset(FULL_INTERVAL)
    return not (model.architecture in known and recurrent[index])


def recurrent_state(model: ModelHeader) -> int:
    """f32 numbers of the state of one recurrent layer for each slot (llama_hparams::n_embd_r and n_embd_s); 0 for a
    model without recurrent layers."""
    embedding = _count(model, "embedding_length")
    if wkv := _count(model, "wkv.head_size"):
        return embedding * (_count(model, "token_shift_count", 2) + wkv)
    if kernel := _count(model, "shortconv.l_cache"):
        return embedding * (kernel - 1)
    kernel = _count(model, "ssm.conv_kernel")
    if width := _count(model, "kda.head_dim"):
        inner = max(head_counts(model), default=0) * width
        return 3 * (max(kernel - 1, 0) if kernel else 3) * inner + width * inner
    state, inner = _count(model, "ssm.state_size"), _count(model, "ssm.inner_size")
    if not state:
        return 0
    return max(kernel - 1, 0) * (inner + 2 * _count(model, "ssm.group_count") * state) + state * inner
