"""The cache of hybrid, windowed and latent-attention models. Each size is what llama.cpp itself reserved for a model of
this shape (`hack/bench/sizing --kv-cache`), to the hundredth of a MiB that its log has."""

from typing import Any

import pytest

from xnai_operator.api.quantity import MI
from xnai_operator.memory.gguf_header import ModelHeader
from xnai_operator.memory.layers import Layer, layers
from xnai_operator.memory.model_size import ModelOptions, compute, kv_cache


def header(architecture: str, count: int, **values: Any) -> ModelHeader:
    """Width 512, 8 heads and 2 key-value heads of 64, unless `values` say otherwise; `__` in a name is a dot."""
    own = {
        "block_count": count, "embedding_length": 512, "attention.head_count": 8, "attention.head_count_kv": 2,
        "attention.key_length": 64, "attention.value_length": 64,
        **{key.replace("__", "."): value for key, value in values.items()},
    }  # fmt: skip
    metadata = {"general.architecture": architecture} | {f"{architecture}.{key}": value for key, value in own.items()}
    return ModelHeader(metadata, {}, ())


def ssm(inner: int, state: int, groups: int = 1) -> dict[str, int]:
    return {"ssm__conv_kernel": 4, "ssm__inner_size": inner, "ssm__state_size": state, "ssm__group_count": groups}


def kv(*counts: int) -> dict[str, list[int]]:
    return {"attention__head_count_kv": list(counts)}


WINDOW = {"attention__sliding_window": 512}
MLA = {
    "attention__head_count_kv": 1, "attention__key_length": 288, "attention__value_length": 256,
    "attention__key_length_mla": 96,
}  # fmt: skip
GEMMA4 = {
    **WINDOW, "attention__sliding_window_pattern": [i % 4 != 3 for i in range(12)], "attention__shared_kv_layers": 4,
    "attention__key_length": 128, "attention__value_length": 128, "attention__key_length_swa": 64,
    "attention__value_length_swa": 64,
}  # fmt: skip


@pytest.mark.parametrize(
    ("model", "one_slot", "two_slots"),
    [
        pytest.param(header("jamba", 8, **kv(0, 0, 0, 0, 2, 0, 0, 0), **ssm(1024, 16, 0)), 2.52, 9.54, id="jamba"),
        pytest.param(
            header("granitehybrid", 8, **kv(0, 0, 0, 2, 0, 0, 0, 2), **ssm(1024, 128)), 7.09, 23.18, id="granitehybrid"
        ),
        pytest.param(header("falcon-h1", 8, **ssm(768, 128)), 19.09, 74.19, id="falcon-h1"),
        pytest.param(header("mamba2", 8, **ssm(1024, 128)), 4.12, 8.23, id="mamba2"),
        pytest.param(
            header("nemotron_h", 8, feed_forward_length=[0, 1024, 0, 0, 1024, 0, 0, 1024],
                   **kv(0, 0, 2, 0, 0, 2, 0, 0), **ssm(1024, 128)),
            5.54, 20.09, id="nemotron_h",
        ),
        pytest.param(header("lfm2", 8, shortconv__l_cache=3, **kv(0, 0, 2, 0, 0, 2, 0, 2)), 6.02, 25.54, id="lfm2"),
        pytest.param(header("qwen3next", 8, **ssm(1024, 64, 8)), 5.64, 20.28, id="qwen3next"),
        pytest.param(header("deepseek2", 6, **MLA), 13.50, 57.38, id="deepseek2"),
        pytest.param(
            header("deepseek2", 6, attention__head_count_kv=8, attention__key_length=96), 60.00, 255.00,
            id="deepseek2 of an older file",
        ),
        pytest.param(header("cohere2", 8, **WINDOW), 7.00, 20.19, id="cohere2"),
        pytest.param(header("gpt-oss", 8, attention__sliding_window=128), 9.50, 35.59, id="gpt-oss"),
        pytest.param(header("llama4", 8), 16.00, 44.09, id="llama4"),
        pytest.param(header("gemma3n", 30, **WINDOW), 16.00, 42.50, id="gemma3n shares caches"),
        pytest.param(header("gemma4", 12, **GEMMA4), 11.00, 37.19, id="gemma4 shares caches"),
        pytest.param(header("olmo2", 8, attention__head_count_kv=8, **WINDOW), 28.00, 80.75, id="olmo2"),
    ],
)  # fmt: skip
def test_the_cache_is_the_one_that_llama_cpp_reserves(model: ModelHeader, one_slot: float, two_slots: float) -> None:
    assert kv_cache(model, ModelOptions(4096)) / MI == pytest.approx(one_slot, abs=0.015)
    assert kv_cache(model, ModelOptions(16384, slots=2, kv_type="q8_0")) / MI == pytest.approx(two_slots, abs=0.015)


def windows(model: ModelHeader) -> list[int | None]:
    return [layer.window for layer in layers(model)]


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param(header("llama", 4, **WINDOW), [None] * 4, id="unknown pattern counts as full"),
        pytest.param(header("gemma3", 6, **WINDOW), [512] * 5 + [None], id="the last of six is full"),
        pytest.param(header("smallthinker", 4, **WINDOW), [None, 512, 512, 512], id="the first of four is full"),
        pytest.param(header("gemma2", 2), [4096, None], id="window that the header does not have"),
        pytest.param(header("llama4", 4, attention__sliding_window=0), [None] * 4, id="window of 0"),
        pytest.param(header("llama4", 4, **WINDOW), [8192] * 3 + [None], id="window that is not asked for"),
        pytest.param(
            header("gemma3", 4, attention__sliding_window_pattern=2, **WINDOW), [512, None] * 2, id="pattern of the header"
        ),
        pytest.param(
            header("gemma3", 2, attention__sliding_window_pattern=0, **WINDOW), [512, 512], id="pattern of 0: no layer is full"
        ),
        pytest.param(
            header("gemma3", 3, attention__sliding_window_pattern=[False, True, False], **WINDOW), [None, 512, None],
            id="pattern of each layer",
        ),
        pytest.param(header("exaone4", 4, **WINDOW), [None] * 4, id="exaone4 of another size has no windows"),
        pytest.param(header("gemma4", 12, **GEMMA4), [512, 512, 512, None] * 3, id="pattern in the header only"),
        pytest.param(header("gemma4", 2, **WINDOW), [None, None], id="pattern that is missing counts as full"),
        pytest.param(header("lfm2", 2, shortconv__l_cache=3, **WINDOW), [512, 512], id="lfm2"),
    ],
)  # fmt: skip
def test_the_windows_of_the_layers(model: ModelHeader, expected: list[int | None]) -> None:
    assert windows(model) == expected


def test_windowed_layers_have_heads_of_their_own_width_and_the_last_layers_share() -> None:
    found = layers(header("gemma4", 12, **GEMMA4))
    assert [layer.keys for layer in found] == [128, 128, 128, 256] * 2 + [0] * 4


def test_a_model_that_keeps_no_tokens_has_no_cache() -> None:
    assert layers(header("bert", 2)) == [Layer(), Layer()]


def test_layers_that_predict_further_tokens_have_no_cache() -> None:
    assert len(layers(header("deepseek2", 6, nextn_predict_layers=1, **MLA))) == 5


def test_a_header_says_which_layers_are_recurrent() -> None:
    model = header("qwen3next", 3, attention__recurrent_layers=[True, False, True], **ssm(1024, 64, 8))
    assert [(layer.keys > 0, layer.state > 0) for layer in layers(model)] == [
        (False, True),
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize(
    ("model", "state"),
    [
        pytest.param(header("rwkv7", 1, wkv__head_size=64), 512 * (2 + 64), id="rwkv7"),
        pytest.param(header("arwkv7", 1, wkv__head_size=64, token_shift_count=1), 512 * (1 + 64), id="arwkv7"),
        pytest.param(
            header("kimi-linear", 1, kda__head_dim=64, ssm__conv_kernel=4, **kv(0)),
            3 * 3 * 512 + 64 * 64 * 8,
            id="kimi-linear",
        ),
    ],
)
def test_the_state_of_a_recurrent_layer(model: ModelHeader, state: int) -> None:
    assert layers(model) == [Layer(state=state)]


def test_without_flash_attention_values_are_as_wide_as_the_widest() -> None:
    model = header("jamba", 2, **kv(1, 4))
    options = ModelOptions(256, flash_attention=False)
    assert kv_cache(model, options) == 256 * 2 * ((64 + 256) + (256 + 256))


def test_a_gated_delta_net_computes_with_twice_the_floats_of_a_state_space_layer() -> None:
    # Measured: the sum was 0.93 of what a process used with the 6 floats of a state-space layer.
    options = ModelOptions(4096)
    both = [compute(header(architecture, 8, **ssm(1024, 64, 8)), options) for architecture in ("qwen3next", "mamba2")]
    assert both[0] - both[1] == 512 * 4 * 6 * 1024
