"""A prompt and its answer fit the context, whatever was asked."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.xnai_services.rag import FakeModel
from xnai_services.prompts import MIN_ANSWER, SOURCE_TOKENS, QuestionTooLongError, fit, measure
from xnai_services.store import Passage


def model(context: int) -> FakeModel:
    made = FakeModel()
    made.context = context
    return made


def passage(text: str) -> Passage:
    return Passage("1", "T", "", text, 0.0)


@given(st.text(max_size=300), st.lists(st.text(max_size=700), max_size=10), st.integers(1, 512), st.integers(128, 2048))
def test_it_fits_or_the_question_is_too_long(question: str, texts: list[str], max_tokens: int, context: int) -> None:
    bytes_are_tokens = model(context)
    try:
        text, answer = fit(question, [passage(text) for text in texts], max_tokens, bytes_are_tokens)
    except QuestionTooLongError:
        assert bytes_are_tokens.count(question) > context - MIN_ANSWER - 30
        return
    assert text.endswith(f"Question: {question}\nAnswer:")
    assert bytes_are_tokens.count(text) + answer <= context
    assert min(max_tokens, MIN_ANSWER) <= answer <= max_tokens


@pytest.mark.parametrize(("tokens", "fits"), [(0, True), (1, False)], ids=["longest", "one-more"])
def test_the_longest_question_leaves_the_least_answer(tokens: int, fits: bool) -> None:
    frame = len("Question: \nAnswer:")
    question = "q" * (512 - MIN_ANSWER - frame + tokens)
    if fits:
        assert fit(question, [passage("p" * 600)], 96, model(512)) == (f"Question: {question}\nAnswer:", MIN_ANSWER)
    else:
        with pytest.raises(QuestionTooLongError, match=r"it has 463 tokens, and at most 462 fit into .* 512 tokens"):
            measure(question, model(512))


def test_sources_in_a_rare_script_are_cut_by_tokens() -> None:
    text, _ = fit("q", [passage("\U00012000" * 600)], 96, model(2048))
    assert model(2048).count(text) <= SOURCE_TOKENS + len("Question: q\nAnswer:")
    assert "\U00012000" in text
