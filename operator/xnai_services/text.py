"""Cleaning and cutting text. Pure."""

import hashlib
import re
from html.parser import HTMLParser

_SKIPPED = {"script", "style", "nav", "header", "footer", "noscript", "template", "svg"}
_BLOCKS = {"p", "div", "section", "article", "li", "br", "h1", "h2", "h3", "h4", "h5", "h6", "tr", "pre", "blockquote"}


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.title = ""
        self.links: list[str] = []
        self._skipping = 0
        self._in_title = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SKIPPED:
            self._skipping += 1
        elif tag == "title":
            self._in_title = True
        elif tag in _BLOCKS:
            self.parts.append("\n\n")
        if tag == "a":
            self.links += [value for name, value in attrs if name == "href" and value]

    def handle_endtag(self, tag: str) -> None:
        if tag in _SKIPPED:
            self._skipping = max(self._skipping - 1, 0)
        elif tag == "title":
            self._in_title = False
        elif tag in _BLOCKS:
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        if self._in_title:
            self.title += data
        elif not self._skipping:
            self.parts.append(data)


def from_html(html: str) -> tuple[str, str, list[str]]:
    """Title, text and links of a page; scripts, styles and navigation left out."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    return reader.title.strip(), clean("".join(reader.parts)), reader.links


def clean(text: str) -> str:
    """Spaces joined, at most one empty line, no control characters."""
    text = re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", "", text.replace("\r\n", "\n"))
    paragraphs = [re.sub(r"\s+", " ", paragraph).strip() for paragraph in re.split(r"\n\s*\n", text)]
    return "\n\n".join(paragraph for paragraph in paragraphs if paragraph)


def title_of(text: str) -> str:
    """The first heading of Markdown, else the first line, cut at 120 characters."""
    heading = re.search(r"^#+\s+(.+)$", text, re.MULTILINE)
    first = heading[1] if heading else next(iter(text.strip().splitlines()), "")
    return first.strip()[:120] or "untitled"


def digest(text: str) -> str:
    """The identity of a cleaned text: two documents of the same words are one."""
    return hashlib.sha256(text.encode()).hexdigest()


def chunks(text: str, size: int = 600) -> list[str]:
    """Paragraphs put together up to `size` characters; a longer paragraph is cut at sentence ends."""
    pieces: list[str] = []
    for paragraph in text.split("\n\n"):
        sentences = re.split(r"(?<=[.!?])\s+", paragraph) if len(paragraph) > size else [paragraph]
        for sentence in sentences:
            for start in range(0, len(sentence), size):
                part = sentence[start : start + size]
                if pieces and len(pieces[-1]) + len(part) + 1 <= size:
                    pieces[-1] += " " + part
                else:
                    pieces.append(part)
    return [piece for piece in pieces if piece.strip()]
