"""Cleaning and cutting."""

import pytest

from xnai_services import text


@pytest.mark.parametrize(
    ("raw", "cleaned"),
    [
        ("a  b\tc", "a b c"),
        ("a\n\n\n\nb", "a\n\nb"),
        ("a\r\n\r\nb", "a\n\nb"),
        ("a\x00b\x1b", "ab"),
        (" \n \n", ""),
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
    ("document", "title"), [("intro\n# Head\nx", "Head"), ("\nfirst\nsecond", "first"), ("", "untitled")]
)
def test_title(document: str, title: str) -> None:
    assert text.title_of(document) == title


@pytest.mark.parametrize("document", ["word " * 500, "x" * 2000, "One. Two.\n\nThree.", "a\n\n" * 100])
def test_chunks_hold_everything_and_none_is_too_long(document: str) -> None:
    pieces = text.chunks(text.clean(document), size=200)
    assert max(len(piece) for piece in pieces) <= 200
    assert "".join("".join(pieces).split()) == "".join(document.split())
