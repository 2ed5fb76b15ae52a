"""Models of zeros in the shapes of hybrid, windowed and latent-attention architectures.

llama.cpp loads them like real ones; their weights are a hole in the file. The names and shapes of the tensors are those
that load_arch_tensors in src/models/*.cpp of llama.cpp asks for.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from hollow import WORDS, Writer


def _ssm(inner: int, state: int, groups: int, heads: int) -> dict[str, int]:
    return {
        "ssm.conv_kernel": 4,
        "ssm.inner_size": inner,
        "ssm.state_size": state,
        "ssm.group_count": groups,
        "ssm.time_step_rank": heads,
    }


def _heads(count: int, kv: int | list[int], width: int) -> dict[str, Any]:
    return {
        "attention.head_count": count,
        "attention.head_count_kv": kv,
        "attention.key_length": width,
        "attention.value_length": width,
        "rope.dimension_count": width,
    }


def _jamba(path: Path) -> Writer:
    kv = [0, 0, 0, 0, 2, 0, 0, 0]
    ssm = {k: v for k, v in _ssm(1024, 16, 1, 32).items() if "group" not in k}
    made = Writer(path, "jamba", 8, 512, feed_forward_length=1024, **_heads(8, kv, 64), **ssm)
    for i, heads in enumerate(kv):
        made.block(i, attn_norm=(512,), ffn_norm=(512,))
        if heads:
            made.attention(i, 512, 128)
        else:
            made.block(
                i,
                ssm_in=(512, 2048),
                ssm_conv1d=(4, 1024),
                ssm_conv1d_bias=(1024,),
                ssm_x=(1024, 64),
                ssm_dt_norm=(32,),
                ssm_dt=(32, 1024),
                ssm_dt_bias=(1024,),
                ssm_b_norm=(16,),
                ssm_c_norm=(16,),
                ssm_a_only=(16, 1024),
                ssm_d_only=(1024,),
                ssm_out=(1024, 512),
            )
        made.forward(i, 1024)
    return made


def _granite(path: Path) -> Writer:
    kv = [0, 0, 0, 2, 0, 0, 0, 2]
    made = Writer(
        path, "granitehybrid", 8, 512, feed_forward_length=1024, **_heads(8, kv, 64), **_ssm(1024, 128, 1, 16)
    )
    for i, heads in enumerate(kv):
        made.block(i, attn_norm=(512,), ffn_norm=(512,))
        if heads:
            made.attention(i, 512, 128)
        else:
            made.mamba2(i, 1024, 128, 1, 16)
        made.forward(i, 1024)
    return made


def _falcon_h1(path: Path) -> Writer:
    made = Writer(path, "falcon-h1", 8, 512, feed_forward_length=1024, **_heads(8, 2, 64), **_ssm(768, 128, 1, 24))
    for i in range(8):
        made.block(i, attn_norm=(512,), ffn_norm_only=(512,))
        made.attention(i, 512, 128)
        made.mamba2(i, 768, 128, 1, 24, norm=False)
        made.forward(i, 1024)
    return made


def _mamba2(path: Path) -> Writer:
    made = Writer(path, "mamba2", 8, 512, **_ssm(1024, 128, 1, 16))
    for i in range(8):
        made.block(i, attn_norm=(512,))
        made.mamba2(i, 1024, 128, 1, 16)
    return made


def _nemotron_h(path: Path) -> Writer:
    kv, forward = [0, 0, 2, 0, 0, 2, 0, 0], [0, 1024, 0, 0, 1024, 0, 0, 1024]
    ssm = _ssm(1024, 128, 1, 16)
    made = Writer(path, "nemotron_h", 8, 512, feed_forward_length=forward, **_heads(8, kv, 64), **ssm)
    for i in range(8):
        made.block(i, attn_norm=(512,))
        if kv[i]:
            made.attention(i, 512, 128)
        elif forward[i]:
            made.block(i, ffn_up=(512, 1024), ffn_down=(1024, 512))
        else:
            made.mamba2(i, 1024, 128, 1, 16)
    return made


def _lfm2(path: Path) -> Writer:
    kv = [0, 0, 2, 0, 0, 2, 0, 2]
    values = {"shortconv.l_cache": 3, "feed_forward_length": 1024}
    made = Writer(path, "lfm2", 8, 512, **_heads(8, kv, 64), **values)
    for i, heads in enumerate(kv):
        made.block(i, attn_norm=(512,), ffn_norm=(512,))
        if heads:
            made.attention(i, 512, 128)
            made.block(i, attn_q_norm=(64,), attn_k_norm=(64,))
        else:
            made.block(i, shortconv__conv=(3, 512), shortconv__in_proj=(512, 1536), shortconv__out_proj=(512, 512))
        made.forward(i, 1024)
    return made


def _qwen3next(path: Path) -> Writer:
    experts = {"expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 256}
    experts["expert_shared_feed_forward_length"] = 256
    ssm = _ssm(1024, 64, 8, 16)
    made = Writer(path, "qwen3next", 8, 512, feed_forward_length=1024, **_heads(8, 2, 64), **ssm, **experts)
    for i in range(8):
        made.block(i, attn_norm=(512,), post_attention_norm=(512,))
        if (i + 1) % 4 == 0:
            made.block(
                i,
                attn_q=(512, 1024),
                attn_k=(512, 128),
                attn_v=(512, 128),
                attn_output=(512, 512),
                attn_q_norm=(64,),
                attn_k_norm=(64,),
            )
        else:
            made.block(
                i,
                attn_qkv=(512, 2048),
                attn_gate=(512, 1024),
                ssm_conv1d=(4, 2048),
                ssm_dt_bias=(16,),
                ssm_a_only=(16,),
                ssm_ba=(512, 32),
                ssm_norm=(64,),
                ssm_out=(1024, 512),
            )
        made.experts(i, 256, 4)
        made.block(i, ffn_gate_inp_shexp=(512,))
        made.shared(i, 256)
    return made


def _deepseek2(path: Path, *, latent: bool) -> Writer:
    experts = {"expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 256, "expert_shared_count": 1}
    values: dict[str, Any] = {
        "feed_forward_length": 1024,
        "leading_dense_block_count": 1,
        "attention.q_lora_rank": 192,
        "attention.kv_lora_rank": 256,
        "rope.dimension_count": 32,
        "attention.head_count": 8,
    }
    if latent:
        values |= {"attention.head_count_kv": 1, "attention.key_length": 288, "attention.value_length": 256}
        values |= {"attention.key_length_mla": 96, "attention.value_length_mla": 64}
    else:
        values |= {"attention.head_count_kv": 8, "attention.key_length": 96, "attention.value_length": 64}
    made = Writer(path, "deepseek2", 6, 512, **values, **experts)
    for i in range(6):
        made.block(
            i,
            attn_norm=(512,),
            ffn_norm=(512,),
            attn_q_a_norm=(192,),
            attn_kv_a_norm=(256,),
            attn_q_a=(512, 192),
            attn_q_b=(192, 768),
            attn_kv_a_mqa=(512, 288),
            attn_output=(512, 512),
        )
        if latent:
            made.block(i, attn_k_b=(64, 256, 8), attn_v_b=(256, 64, 8))
        else:
            made.block(i, attn_kv_b=(256, 8 * 128))
        if i:
            made.experts(i, 256, 4)
            made.shared(i, 256)
        else:
            made.forward(i, 1024)
    return made


def _cohere2(path: Path) -> Writer:
    values = {"attention.sliding_window": 512, "logit_scale": 0.25, "feed_forward_length": 1024}
    made = Writer(path, "cohere2", 8, 512, **_heads(8, 2, 64), **values)
    for i in range(8):
        made.block(i, attn_norm=(512,))
        made.attention(i, 512, 128)
        made.forward(i, 1024)
    return made


def _gpt_oss(path: Path) -> Writer:
    experts = {"expert_count": 4, "expert_used_count": 2, "expert_feed_forward_length": 256}
    values = {"attention.sliding_window": 128, "feed_forward_length": 256}
    made = Writer(path, "gpt-oss", 8, 512, **_heads(8, 2, 64), **values, **experts)
    made.tensor("output.weight", 512, WORDS)
    for i in range(8):
        made.block(i, attn_norm=(512,), post_attention_norm=(512,), attn_sinks=(8,), attn_output_bias=(512,))
        made.attention(i, 512, 128)
        made.experts(i, 256, 4)
        made.block(
            i,
            ffn_gate_inp_bias=(4,),
            ffn_gate_exps_bias=(256, 4),
            ffn_down_exps_bias=(512, 4),
            ffn_up_exps_bias=(256, 4),
        )
    return made


def _llama4(path: Path) -> Writer:
    experts = {"expert_count": 4, "expert_used_count": 1, "expert_feed_forward_length": 256}
    values = {"interleave_moe_layer_step": 2, "feed_forward_length": 1024}
    made = Writer(path, "llama4", 8, 512, **_heads(8, 2, 64), **values, **experts)
    for i in range(8):
        made.block(i, attn_norm=(512,), ffn_norm=(512,))
        made.attention(i, 512, 128)
        if i % 2:
            made.experts(i, 256, 4)
            made.shared(i, 256)
        else:
            made.forward(i, 1024)
    return made


def _gemma3n(path: Path) -> Writer:
    count = 30
    made = Writer(
        path,
        "gemma3n",
        count,
        512,
        **_heads(8, 2, 64),
        **{"attention.sliding_window": 512, "feed_forward_length": 1024},
    )
    made.tensor("altup_proj.weight", 512, 512, 3)
    made.tensor("altup_unembd_proj.weight", 512, 512, 3)
    made.tensor("per_layer_token_embd.weight", 256 * count, WORDS)
    made.tensor("per_layer_model_proj.weight", 512, 256 * count)
    made.tensor("per_layer_proj_norm.weight", 256)
    for i in range(count):
        made.attention(i, 512, 128)
        made.forward(i, 1024)
        made.block(
            i,
            attn_norm=(512,),
            attn_q_norm=(64,),
            attn_k_norm=(64,),
            post_attention_norm=(512,),
            ffn_norm=(512,),
            post_ffw_norm=(512,),
            inp_gate=(512, 256),
            proj=(256, 512),
            post_norm=(512,),
            altup_correct_coef=(4, 4),
            altup_correct_scale=(512,),
            altup_predict_coef=(4, 16),
            altup_router=(512, 4),
            altup_router_norm=(512,),
            laurel_l=(512, 64),
            laurel_r=(64, 512),
            laurel_post_norm=(512,),
        )
    return made


def _gemma4(path: Path) -> Writer:
    pattern = [i % 4 != 3 for i in range(12)]  # the last two layers with a cache of their own: a window, the whole
    values: dict[str, Any] = {
        "attention.sliding_window": 512,
        "attention.sliding_window_pattern": pattern,
        "feed_forward_length": 1024,
        "attention.shared_kv_layers": 4,
        "attention.key_length_swa": 64,
        "attention.value_length_swa": 64,
        "embedding_length_per_layer_input": 0,
    }
    made = Writer(path, "gemma4", 12, 512, **_heads(8, 2, 128), **values)
    for i, windowed in enumerate(pattern):
        head = 64 if windowed else 128
        made.attention(i, 8 * head, 2 * head)
        made.forward(i, 1024)
        made.block(
            i,
            attn_norm=(512,),
            attn_q_norm=(head,),
            attn_k_norm=(head,),
            post_attention_norm=(512,),
            ffn_norm=(512,),
            post_ffw_norm=(512,),
        )
        if i == 3:
            made.tensor("rope_freqs.weight", 64)
    return made


def _olmo2(path: Path) -> Writer:
    made = Writer(
        path, "olmo2", 8, 512, **_heads(8, 8, 64), **{"attention.sliding_window": 512, "feed_forward_length": 1024}
    )
    made.tensor("output.weight", 512, WORDS)
    for i in range(8):
        made.attention(i, 512, 512)
        made.forward(i, 1024)
        made.block(i, attn_q_norm=(512,), attn_k_norm=(512,), post_attention_norm=(512,), post_ffw_norm=(512,))
    return made


MAKERS: Final[dict[str, Callable[[Path], Writer]]] = {
    "jamba": _jamba,
    "granitehybrid": _granite,
    "falcon-h1": _falcon_h1,
    "mamba2": _mamba2,
    "nemotron_h": _nemotron_h,
    "lfm2": _lfm2,
    "qwen3next": _qwen3next,
    "deepseek2": lambda path: _deepseek2(path, latent=True),
    "deepseek2-older": lambda path: _deepseek2(path, latent=False),
    "cohere2": _cohere2,
    "gpt-oss": _gpt_oss,
    "llama4": _llama4,
    "gemma3n": _gemma3n,
    "gemma4": _gemma4,
    "olmo2": _olmo2,
}


def make(directory: Path, name: str) -> Path:
    """Writes `NAME.gguf` and returns its path."""
    path = directory / f"{name}.gguf"
    MAKERS[name](path).close()
    return path
