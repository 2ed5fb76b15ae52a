"""Models of random weights in the shapes of several architectures, for measuring. Needs gguf and numpy."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gguf
import numpy as np


@dataclass(frozen=True)
class Shape:
    """`head` is the width of a head, `window` the sliding window, `merges` those of a byte-pair vocabulary."""

    arch: str
    layers: int
    width: int
    forward: int
    heads: int
    kv_heads: int
    words: int
    head: int = 0
    window: int = 0
    merges: int = 0

    @property
    def head_width(self) -> int:
        return self.head or self.width // self.heads


SHAPES = {
    "llama-small": Shape("llama", 8, 512, 1408, 8, 4, 32000),
    "llama-deep": Shape("llama", 24, 896, 2432, 14, 2, 32000),
    "llama-bpe": Shape("llama", 6, 512, 2048, 8, 2, 128256, merges=280147),
    "llama-wide": Shape("llama", 6, 1024, 4096, 16, 16, 51200),
    "qwen2": Shape("qwen2", 12, 768, 2048, 12, 2, 64000),
    "qwen2-bpe": Shape("qwen2", 8, 512, 1536, 8, 2, 151936, merges=151387),
    "qwen3": Shape("qwen3", 10, 768, 2304, 12, 4, 48000, head=128),
    "gemma3": Shape("gemma3", 12, 640, 2048, 4, 1, 32000, head=256, window=512),
    "gemma2": Shape("gemma2", 8, 512, 2048, 4, 2, 32000, head=128, window=1024),
    "phi3": Shape("phi3", 8, 768, 2048, 12, 12, 32064),
    "falcon": Shape("falcon", 8, 768, 3072, 12, 1, 65024),
    "mamba": Shape("mamba", 8, 512, 0, 0, 0, 32000),
}


class _Maker:
    def __init__(self, path: Path, shape: Shape, quantisation: str) -> None:
        self.writer = gguf.GGUFWriter(str(path), shape.arch)
        self.shape, self.quantisation = shape, quantisation
        self.random = np.random.default_rng(0)

    def matrix(self, name: str, rows: int, columns: int) -> None:
        data = self.random.standard_normal((rows, columns), dtype=np.float32) * np.float32(0.02)
        if self.quantisation == "F16":
            self.writer.add_tensor(f"{name}.weight", data.astype(np.float16))
        else:
            kind = gguf.GGMLQuantizationType[self.quantisation]
            self.writer.add_tensor(f"{name}.weight", gguf.quants.quantize(data, kind), raw_dtype=kind)

    def plain(self, name: str, *shape: int, value: float = 1.0) -> None:
        self.writer.add_tensor(name, np.full(shape, value, dtype=np.float32))

    def metadata(self) -> None:
        shape, writer = self.shape, self.writer
        writer.add_context_length(32768)
        writer.add_embedding_length(shape.width)
        writer.add_block_count(shape.layers)
        writer.add_feed_forward_length(shape.forward)
        writer.add_head_count(shape.heads)
        writer.add_layer_norm_rms_eps(1e-5)
        if shape.arch == "mamba":
            writer.add_ssm_conv_kernel(4)
            writer.add_ssm_inner_size(2 * shape.width)
            writer.add_ssm_state_size(16)
            writer.add_ssm_time_step_rank(shape.width // 16)
            return
        writer.add_head_count_kv(shape.kv_heads)
        writer.add_rope_freq_base(10000.0)
        writer.add_rope_dimension_count(shape.head_width)
        if shape.arch == "falcon":
            writer.add_layer_norm_eps(1e-5)
        if shape.head:
            writer.add_key_length(shape.head)
            writer.add_value_length(shape.head)
        if shape.window:
            writer.add_sliding_window(shape.window)

    def tokenizer(self) -> None:
        words, writer = self.shape.words, self.writer
        if self.shape.merges:
            first = [chr(0x100 + i) if i < 33 else chr(i) for i in range(256)]
            tokens = first + [f"tok{i}" for i in range(words - 256)]
            writer.add_tokenizer_model("gpt2")
            writer.add_tokenizer_pre("qwen2" if self.shape.arch == "qwen2" else "llama-bpe")
            writer.add_token_list(tokens)
            writer.add_token_types([1] * words)
            known = words - 256
            pairs = ((i % known, (i * 7 + i // known) % known) for i in range(self.shape.merges))
            writer.add_token_merges([f"tok{first} tok{second}" for first, second in pairs])
            writer.add_bos_token_id(1)
            writer.add_eos_token_id(2)
            return
        tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
        tokens += [f"w{i}" for i in range(words - len(tokens))]
        writer.add_tokenizer_model("llama")
        writer.add_token_list(tokens)
        writer.add_token_scores([0.0] * words)
        writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * (words - 259))

    def tensors(self) -> None:
        shape = self.shape
        self.matrix("token_embd", shape.words, shape.width)
        if not shape.arch.startswith("gemma"):  # there the output is the embedding
            self.matrix("output", shape.words, shape.width)
        self.plain("output_norm.weight", shape.width)
        if shape.arch == "falcon":
            self.plain("output_norm.bias", shape.width, value=0.0)
        for layer in range(shape.layers):
            self.plain(f"blk.{layer}.attn_norm.weight", shape.width)
            (self.state_space if shape.arch == "mamba" else self.attention)(f"blk.{layer}")

    def state_space(self, block: str) -> None:
        width, inner, state, rank = self.shape.width, 2 * self.shape.width, 16, self.shape.width // 16
        self.matrix(f"{block}.ssm_in", 2 * inner, width)
        self.plain(f"{block}.ssm_conv1d.weight", inner, 4, value=0.1)
        self.plain(f"{block}.ssm_conv1d.bias", inner, value=0.0)
        self.matrix(f"{block}.ssm_x", rank + 2 * state, inner)
        self.matrix(f"{block}.ssm_dt", inner, rank)
        self.plain(f"{block}.ssm_dt.bias", inner, value=0.0)
        self.plain(f"{block}.ssm_a", inner, state, value=-1.0)
        self.plain(f"{block}.ssm_d", inner)
        self.matrix(f"{block}.ssm_out", width, inner)

    def attention(self, block: str) -> None:
        shape = self.shape
        width, query, keys = shape.width, shape.heads * shape.head_width, shape.kv_heads * shape.head_width
        if shape.arch in {"falcon", "phi3"}:
            self.matrix(f"{block}.attn_qkv", query + 2 * keys, width)
        else:
            for name, rows in (("attn_q", query), ("attn_k", keys), ("attn_v", keys)):
                self.matrix(f"{block}.{name}", rows, width)
                if shape.arch == "qwen2":
                    self.plain(f"{block}.{name}.bias", rows, value=0.0)
        self.matrix(f"{block}.attn_output", width, query)
        if shape.arch == "falcon":
            self.plain(f"{block}.attn_norm.bias", width, value=0.0)
        else:
            self.plain(f"{block}.ffn_norm.weight", width)
        if shape.arch in {"qwen3", "gemma3"}:
            self.plain(f"{block}.attn_q_norm.weight", shape.head_width)
            self.plain(f"{block}.attn_k_norm.weight", shape.head_width)
        if shape.arch.startswith("gemma"):
            self.plain(f"{block}.post_attention_norm.weight", width)
            self.plain(f"{block}.post_ffw_norm.weight", width)
        if shape.arch not in {"falcon", "phi3"}:
            self.matrix(f"{block}.ffn_gate", shape.forward, width)
        self.matrix(f"{block}.ffn_up", 2 * shape.forward if shape.arch == "phi3" else shape.forward, width)
        self.matrix(f"{block}.ffn_down", width, shape.forward)


def synthesise(directory: Path, name: str, quantisation: str) -> Path:
    """Writes `NAME-QUANTISATION.gguf` once and returns its path."""
    path = directory / f"{name}-{quantisation}.gguf"
    if path.exists():
        return path
    unfinished = path.with_suffix(".new")
    maker = _Maker(unfinished, SHAPES[name], quantisation)
    writer: Any = maker.writer
    maker.metadata()
    maker.tokenizer()
    maker.tensors()
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    unfinished.replace(path)
    return path
