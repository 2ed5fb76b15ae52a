"""Headers of models."""

from xnai_operator.memory.gguf_header import ModelHeader, Tensor

# gemma-3-270m: the header of the real file. Sliding window in five of six layers.
GEMMA = ModelHeader(
    {
        "general.architecture": "gemma3", "gemma3.block_count": 18, "gemma3.embedding_length": 640,
        "gemma3.feed_forward_length": 2048, "gemma3.attention.head_count": 4, "gemma3.attention.head_count_kv": 1,
        "gemma3.attention.key_length": 256, "gemma3.attention.value_length": 256,
        "gemma3.attention.sliding_window": 512,
    },
    {"tokenizer.ggml.tokens": 262144},
    (Tensor("token_embd.weight", (640, 262144), "Q8_0", 178_257_920), Tensor("blk.0.x", (640, 640), "Q4_K", 230_400)),
)  # fmt: skip
