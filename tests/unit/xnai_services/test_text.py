"""Cleaning and cutting."""

import pytest

from xnai_services import text


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        pytest.param("a  b\tc", "a b c", id="spaces"),
        pytest.param("a\n\n\n\nb", "a\n\nb", id="empty lines"),
        pytest.param("a\r\n\r\nb", "a\n\nb", id="line ends"),
        pytest.param("a\x00b\x1b", "ab", id="control characters"),
        pytest.param(" \n \n", "", id="only spaces"),
    ],
)
def test_clean(raw: str, cleaned: str) -> None:
    assert text.clean(raw) == cleaned


def test_html_keeps_the_words_and_drops_the_rest() -> None:
    page = "<title>T &amp; U</title><nav>menu</nav><script>x()</script><h1>Head</h1><p>One <a href='/l'>two</a>.</p>"
    assert text.from_html(page) == ("T & U", "Head\n\nOne two.", ["/l"])


def test_an_unclosed_script_hides_no_error() -> None:
    assert text.from_html("<p>a</p><script>b")[1] == "a"


@pytest.mark.parametrize(
    ("document", "title"),
    [
        pytest.param("intro\n# Head\nx", "Head", id="a heading"),
        pytest.param("\nfirst\nsecond", "first", id="the first line"),
        pytest.param("", "untitled", id="empty"),
    ],
)
def test_title(document: str, title: str) -> None:
    assert text.title_of(document) == title


@pytest.mark.parametrize(
    "document",
    [
        pytest.param("word " * 500, id="words"),
        pytest.param("x" * 2000, id="one long word"),
        pytest.param("One. Two.\n\nThree.", id="paragraphs"),
        pytest.param("a\n\n" * 100, id="short paragraphs"),
    ],
)
def test_chunks_hold_everything_and_none_is_too_long(document: str) -> None:
    pieces = text.chunks(text.clean(document), size=200)
    assert max(len(piece) for piece in pieces) <= 200
    assert "".join("".join(pieces).split()) == "".join(document.split())
