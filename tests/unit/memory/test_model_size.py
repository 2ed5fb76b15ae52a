"""The parts of a model's memory, compared with measured processes or computed by hand."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.memory.headers import GEMMA
from xnai_operator.api.quantity import MI
from xnai_operator.memory.gguf_header import ModelHeader
from xnai_operator.memory.model_size import ModelOptions, cache_type_fault, compute, kv_cache, size, vocabulary


def llama(**changes: Any) -> ModelHeader:
    values = {
        "block_count": 4, "embedding_length": 512, "feed_forward_length": 1024, "attention.head_count": 8,
        "attention.head_count_kv": 2,
    }  # fmt: skip
    metadata = {"general.architecture": "llama"} | {f"llama.{k}": v for k, v in (values | changes).items()}
    return ModelHeader(metadata, {"tokenizer.ggml.tokens": 1000}, ())


@pytest.mark.parametrize(
    ("options", "mib"),
    [
        # Measured with the real file.
        pytest.param(ModelOptions(context=512), 9.0, id="context 512"),
        pytest.param(ModelOptions(context=2048), 21.0, id="context 2048"),
        pytest.param(ModelOptions(context=8192), 39.0, id="context 8192"),
        pytest.param(ModelOptions(context=2048, kv_type="q8_0"), 11.15625, id="q8_0"),
        pytest.param(ModelOptions(context=8192, full_window=True), 144.0, id="full window"),
        pytest.param(ModelOptions(context=2048, slots=2), 42.0, id="2 slots"),
        pytest.param(ModelOptions(context=2048, slots=4), 84.0, id="4 slots"),
    ],
)
def test_the_kv_cache_of_the_real_model(options: ModelOptions, mib: float) -> None:
    assert kv_cache(GEMMA, options) / MI == pytest.approx(mib)


@pytest.mark.parametrize(
    ("model", "context", "size_of_cache"),
    [
        pytest.param(llama(), 256, 4 * 2 * 64 * 2 * 2 * 256, id="context of 256"),
        pytest.param(llama(), 257, 4 * 2 * 64 * 2 * 2 * 512, id="rounded up to 256 cells"),
        pytest.param(llama(**{"attention.head_count_kv": [2, 0, 0, 1]}), 256, 3 * 64 * 2 * 2 * 256, id="heads of each layer"),
        pytest.param(llama(**{"attention.sliding_window": 128}), 4096, 4 * 2 * 64 * 2 * 2 * 4096,
                     id="unknown window pattern counts as full"),
        pytest.param(llama(**{"attention.head_count_kv": 0, "ssm.state_size": 16, "ssm.inner_size": 1024, "ssm.conv_kernel": 4}),
                     256, 4 * 4 * (3 * 1024 + 16 * 1024), id="recurrent layers"),
    ],
)  # fmt: skip
def test_the_kv_cache_by_hand(model: ModelHeader, context: int, size_of_cache: int) -> None:
    assert kv_cache(model, ModelOptions(context=context)) == size_of_cache


@pytest.mark.parametrize(
    ("kv_type", "changes", "text"),
    [
        pytest.param("f16", {"embedding_length": 640}, None, id="f16 has no blocks"),
        pytest.param("q8_0", {}, None, id="64 wide"),
        pytest.param("q8_0", {"embedding_length": 640}, "q8_0 has blocks of 32 values", id="80 wide"),
        pytest.param("q4_0", {"embedding_length": 640}, "heads of this model are 80 wide", id="80 wide, q4_0"),
        pytest.param("q8_0", {"attention.value_length": 48}, "are 48 wide", id="values of 48"),
    ],
)
def test_a_cache_type_needs_heads_of_whole_blocks(kv_type: Any, changes: dict[str, Any], text: str | None) -> None:
    fault = cache_type_fault(llama(**changes), kv_type)
    assert (fault is None) if text is None else (fault is not None and text in fault)


def parts(options: ModelOptions, model: ModelHeader = GEMMA) -> dict[str, int]:
    return {part.name: part.size for part in size(model, options).parts}


def test_every_part_has_a_name() -> None:
    assert list(parts(ModelOptions())) == [
        "runtime", "tokenizer", "KV cache", "output buffer", "compute buffer", "repacked weights", "weights", "margin",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("change", "grows"),
    [
        pytest.param({"context": 4096}, "KV cache", id="longer context"),
        pytest.param({"slots": 2}, "output buffer", id="more slots"),
        pytest.param({"flash_attention": False}, "compute buffer", id="no flash attention"),
        pytest.param({"device": "vulkan"}, "weights on the GPU", id="vulkan"),
    ],
)
def test_what_costs_more(change: dict[str, Any], grows: str) -> None:
    options = ModelOptions()
    assert parts(replace(options, **change))[grows] > parts(options).get(grows, 0)
    assert size(GEMMA, replace(options, **change)).total > size(GEMMA, options).total


def test_without_mmap_the_weights_are_anonymous() -> None:
    mapped, read = size(GEMMA, ModelOptions()), size(GEMMA, ModelOptions(mmap=False))
    assert (mapped.mapped, read.mapped) == (GEMMA.weights, 0)
    assert read.anonymous > mapped.anonymous + GEMMA.weights // 2


def test_repacking_copies_only_some_types() -> None:
    assert (parts(ModelOptions())["repacked weights"], "repacked weights" in parts(ModelOptions(repack=False))) == (
        230_400,
        False,
    )


def test_a_vocabulary_without_a_list_is_taken_from_its_size() -> None:
    assert vocabulary(ModelHeader({"general.architecture": "llama", "llama.vocab_size": 7}, {}, ())) == 7


contexts = st.integers(128, 1 << 17)


@given(contexts, contexts, st.sampled_from(["f32", "f16", "q8_0", "q4_0"]))
def test_a_longer_context_never_needs_less(one: int, other: int, kind: Any) -> None:
    low, high = sorted((one, other))
    assert size(GEMMA, ModelOptions(low, kv_type=kind)).total <= size(GEMMA, ModelOptions(high, kv_type=kind)).total


@given(contexts)
def test_flash_attention_never_costs_more(context: int) -> None:
    assert compute(GEMMA, ModelOptions(context)) <= compute(GEMMA, ModelOptions(context, flash_attention=False))
