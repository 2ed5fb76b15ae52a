"""The prompt of an answer, cut to the context of the model. Pure but for the model's tokenizer."""

import bisect
from collections.abc import Sequence
from typing import Final

from xnai_services.generator import Model
from xnai_services.store import Passage

SOURCE_CHARACTERS: Final = 600
"""Of sources in a prompt: about 150 tokens of English, which two cores read within 300 ms."""
SOURCE_TOKENS: Final = 200
"""Of sources in a prompt with their numbers, in any script."""
MIN_ANSWER: Final = 32
"""Tokens of an answer for which the question always leaves room."""


class QuestionTooLongError(Exception):
    """The question does not fit into the context of the model."""

    def __init__(self, tokens: int, limit: int, context: int) -> None:
        super().__init__(
            f"the question is too long: it has {tokens} tokens, and at most {limit} fit into the model's context of"
            f" {context} tokens; shorten the question"
        )


def prompt(question: str, passages: Sequence[Passage], characters: int) -> str:
    """A completion prompt with so many characters of each passage: small base models follow no chat template."""
    sources = "".join(f"Source {i + 1}: {p.text[:characters]}\n" for i, p in enumerate(passages))
    return f"{sources}Question: {question}\nAnswer:"


def measure(question: str, model: Model) -> int:
    """The tokens of the prompt without passages. Raises QuestionTooLongError."""
    tokens = model.count(prompt(question, [], 0))
    if tokens > model.context - MIN_ANSWER:
        frame = model.count(prompt("", [], 0))
        raise QuestionTooLongError(tokens - frame, model.context - MIN_ANSWER - frame, model.context)
    return tokens


def fit(question: str, passages: Sequence[Passage], max_tokens: int, model: Model) -> tuple[str, int]:
    """The prompt, and the tokens the answer may have: both together are at most the context.

    The question is whole. The answer has its `max_tokens` of the rest, at most half of it when that is more than
    MIN_ANSWER; the passages have what is left, at most SOURCE_TOKENS. Raises QuestionTooLongError.
    """
    tokens = measure(question, model)
    rest = model.context - tokens
    answer = min(max_tokens, max(rest // 2, MIN_ANSWER))
    text = _longest(question, passages, tokens + min(SOURCE_TOKENS, rest - answer), model)
    return text, min(max_tokens, model.context - model.count(text))


def _longest(question: str, passages: Sequence[Passage], limit: int, model: Model) -> str:
    """The prompt of at most `limit` tokens with the most passages, and as much of each as fits."""
    for number in range(len(passages), 0, -1):
        lengths = range(SOURCE_CHARACTERS // number + 1)

        def tokens(characters: int, best: Sequence[Passage] = passages[:number]) -> int:
            return model.count(prompt(question, best, characters))

        fitting = bisect.bisect_right(lengths, limit, key=tokens) - 1
        if fitting > 0:
            return prompt(question, passages[:number], fitting)
    return prompt(question, [], 0)
