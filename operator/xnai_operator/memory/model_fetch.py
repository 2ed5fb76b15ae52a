"""How far the operator is with fetching a model file."""

from dataclasses import dataclass

from xnai_operator.memory.gguf_header import ModelHeader


@dataclass(frozen=True)
class ModelFetch:
    """`done` of `total` bytes are on the disk; `total` is None until the server tells it. `fault`: why the last attempt
    failed, while the next one waits; empty while an attempt is under way."""

    done: int = 0
    total: int | None = None
    fault: str = ""


ModelState = ModelHeader | ModelFetch | str
"""What is known of a model file: its header, how far its fetch is, or why it cannot be read."""
