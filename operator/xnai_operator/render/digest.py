"""Keyed digests: whether the running pod is what would be rendered now, and which section of the pod differs."""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from xnai_operator.render.pod import RenderedPod

_JSON: Final = json.JSONEncoder(sort_keys=True, separators=(",", ":"))
SECTION_DIGITS: Final = 8
"""Hexadecimal digits of a section's digest: all of them are one label, and only tell which section differs."""


def digest(key: bytes, value: object) -> str:
    """HMAC-SHA256 of a JSON value, cut to 32 hexadecimal digits so that it fits a label. Without the key nobody can
    find out the value by trying."""
    return _hmac(key, _JSON.encode(value))


def _hmac(key: bytes, text: str) -> str:
    return hmac.digest(key, text.encode(), "sha256").hex()[:32]


@dataclass(frozen=True)
class Digests:
    """`whole`: the digest of all sections. `sections`: the digest of each, in the order in which `first_difference`
    looks at them."""

    whole: str
    sections: Mapping[str, str]

    def to_text(self) -> str:
        """The text of the pod's label."""
        return json.dumps(dict(self.sections), separators=(",", ":"))


def sections_from_text(text: str) -> dict[str, str]:
    """The sections of a label that `to_text` gave. Raises ValueError when the text is no such label."""
    sections = json.loads(text)
    if not isinstance(sections, dict):
        raise ValueError(f"{text!r} does not hold the digests of sections")
    return {str(name): str(value) for name, value in sections.items()}


def digests(key: bytes, sections: Mapping[str, object]) -> Digests:
    """The digests of the sections, given as name -> JSON value. The name is a part of what is digested, so that two
    sections of one content do not have one digest."""
    texts = {name: _JSON.encode([name, value]) for name, value in sections.items()}
    each = {name: _hmac(key, text)[:SECTION_DIGITS] for name, text in texts.items()}
    return Digests(_hmac(key, "\n".join(texts.values())), each)


def first_difference(observed: Mapping[str, str], rendered: RenderedPod) -> str:
    """Which section of the running pod differs from the rendered one: `env changed`, `env and 2 more sections changed`.

    `observed`: the sections of the running pod's label; of another version of the operator when their names differ."""
    changed = [name for name, value in rendered.sections.items() if observed.get(name) != value]
    if not changed or set(observed) != set(rendered.sections):
        return "the rendering of the operator changed"
    if len(changed) == 1:
        return f"{changed[0]} changed"
    return f"{changed[0]} and {len(changed) - 1} more section{'s' if len(changed) > 2 else ''} changed"
