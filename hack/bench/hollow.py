"""A GGUF file whose weights are a hole: llama.cpp loads it like a real one of zeros. Needs gguf and numpy."""

from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np

WORDS: Final = 1000


class Writer:
    """One file. Shapes are in the order of ggml: the width of a row first."""

    def __init__(self, path: Path, arch: str, layers: int, width: int, **values: Any) -> None:
        self.path, self.arch, self.layers, self.width = path, arch, layers, width
        self.writer = gguf.GGUFWriter(str(path), arch)
        self.end = 0
        common = {
            "context_length": 32768,
            "attention.layer_norm_rms_epsilon": 1e-5,
            "attention.layer_norm_epsilon": 1e-5,
        }
        for key, value in {**common, "block_count": layers, "embedding_length": width, **values}.items():
            self.value(f"{arch}.{key}", value)
        self.tokenizer()
        self.tensor("token_embd.weight", width, WORDS)
        self.tensor("token_embd_norm.weight" if arch == "lfm2" else "output_norm.weight", width)

    def value(self, key: str, value: Any) -> None:
        kind = {bool: self.writer.add_bool, int: self.writer.add_uint32, float: self.writer.add_float32}
        if isinstance(value, list):
            self.writer.add_array(key, value)
        else:
            kind[type(value)](key, value)

    def tokenizer(self) -> None:
        writer = self.writer
        tokens = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
        writer.add_tokenizer_model("llama")
        writer.add_token_list(tokens + [f"w{i}" for i in range(WORDS - len(tokens))])
        writer.add_token_scores([0.0] * WORDS)
        writer.add_token_types([2, 3, 3] + [6] * 256 + [1] * (WORDS - 259))

    def tensor(self, name: str, *shape: int) -> None:
        kind = gguf.GGMLQuantizationType.F16 if len(shape) > 1 and "ssm_" not in name else gguf.GGMLQuantizationType.F32
        if name.endswith(("ssm_in.weight", "ssm_out.weight", "ssm_x.weight", "ssm_dt.weight")):
            kind = gguf.GGMLQuantizationType.F16
        size = 2 if kind is gguf.GGMLQuantizationType.F16 else 4
        for each in shape:
            size *= each
        self.writer.add_tensor_info(name, list(reversed(shape)), _numpy(kind), size, raw_dtype=kind)
        self.end += -(-size // 32) * 32

    def block(self, index: int, **tensors: tuple[int, ...]) -> None:
        """`attn_q=(512, 512)` is `blk.INDEX.attn_q.weight`; `_bias` at the end of a name is a bias, `_only` has no
        suffix."""
        for name, shape in tensors.items():
            if name.endswith("_bias"):
                full = f"{name.removesuffix('_bias')}.bias"
            elif name.endswith("_only"):
                full = name.removesuffix("_only")
            else:
                full = f"{name}.weight"
            self.tensor(f"blk.{index}.{full.replace('__', '.')}", *shape)

    def attention(self, index: int, query: int, keys: int, values: int | None = None) -> None:
        width, values = self.width, keys if values is None else values
        self.block(
            index, attn_q=(width, query), attn_k=(width, keys), attn_v=(width, values), attn_output=(query, width)
        )

    def forward(self, index: int, size: int) -> None:
        width = self.width
        self.block(index, ffn_gate=(width, size), ffn_up=(width, size), ffn_down=(size, width))

    def experts(self, index: int, size: int, count: int) -> None:
        width = self.width
        self.block(
            index,
            ffn_gate_inp=(width, count),
            ffn_gate_exps=(width, size, count),
            ffn_up_exps=(width, size, count),
            ffn_down_exps=(size, width, count),
        )

    def shared(self, index: int, size: int) -> None:
        width = self.width
        self.block(index, ffn_gate_shexp=(width, size), ffn_up_shexp=(width, size), ffn_down_shexp=(size, width))

    def mamba2(self, index: int, inner: int, state: int, groups: int, heads: int, *, norm: bool = True) -> None:
        wide = inner + 2 * groups * state
        self.block(
            index,
            ssm_in=(self.width, inner + wide + heads),
            ssm_conv1d=(4, wide),
            ssm_conv1d_bias=(wide,),
            ssm_dt_bias=(heads,),
            ssm_a_only=(1, heads),
            ssm_d_only=(1, heads),
            ssm_out=(inner, self.width),
        )
        if norm:
            self.block(index, ssm_norm=(inner // groups, groups))

    def close(self) -> None:
        writer = self.writer
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        writer.close()
        start = -(-self.path.stat().st_size // 32) * 32
        with self.path.open("r+b") as file:
            file.truncate(start + self.end)


def _numpy(kind: gguf.GGMLQuantizationType) -> Any:
    return np.dtype(np.float16 if kind is gguf.GGMLQuantizationType.F16 else np.float32)
