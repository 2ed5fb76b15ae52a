"""Digests of a pod: keyed, by section, and what they say of a difference."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.unit.conftest import make_service, render
from xnai_operator.render.digest import Digests, digests, first_difference, sections_from_text
from xnai_operator.render.installation import Installation

SECTIONS = {"image": "localhost/app:1", "env": None, "secrets": "hunter2"}
KEY = b"k" * 32


def test_every_digest_depends_on_the_key() -> None:
    one, other = digests(KEY, SECTIONS), digests(b"x" * 32, SECTIONS)
    assert one.whole != other.whole
    assert all(one.sections[name] != other.sections[name] for name in SECTIONS)


@pytest.mark.parametrize("value", [pytest.param("hunter2", id="content"), pytest.param(["secrets", "hunter2"], id="section")])  # fmt: skip
def test_without_the_key_nobody_can_tell_a_guess_from_another(value: object) -> None:
    text = json.dumps(value, separators=(",", ":")).encode()
    guesses = [hashlib.sha256(text).hexdigest(), hmac.new(b"", text, hashlib.sha256).hexdigest()]
    assert digests(KEY, SECTIONS).sections["secrets"] not in [guess[:8] for guess in guesses]


def test_two_sections_of_one_content_have_two_digests() -> None:
    sections = digests(KEY, {"config": "x", "secrets": "x"}).sections
    assert sections["config"] != sections["secrets"]


@pytest.mark.parametrize("name", SECTIONS)
def test_a_section_changes_its_own_digest_and_the_whole(name: str) -> None:
    before, after = digests(KEY, SECTIONS), digests(KEY, SECTIONS | {name: "another"})
    assert [n for n in SECTIONS if before.sections[n] != after.sections[n]] == [name]
    assert before.whole != after.whole


def test_a_digest_fits_a_label_of_kubernetes() -> None:
    assert len(digests(KEY, SECTIONS).whole) == 32


def test_the_label_is_read_back() -> None:
    made = digests(KEY, SECTIONS)
    assert sections_from_text(made.to_text()) == made.sections


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("", "Expecting value", id="empty"),
        pytest.param("[1]", "does not hold the digests", id="a list"),
        pytest.param("{", "Expecting property name", id="no JSON"),
    ],
)
def test_another_label_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sections_from_text(text)


@pytest.mark.parametrize(
    ("observed", "expected"),
    [
        pytest.param({"image": "1", "env": "X", "mounts": "3"}, "env changed", id="one"),
        pytest.param({"image": "X", "env": "2", "mounts": "X"}, "image and 1 more section changed", id="two"),
        pytest.param({"image": "X", "env": "X", "mounts": "X"}, "image and 2 more sections changed", id="three"),
        pytest.param({}, "the rendering of the operator changed", id="a pod of a version without sections"),
        pytest.param({"image": "1", "env": "X"}, "the rendering of the operator changed", id="a version with fewer"),
        pytest.param(
            {"image": "1", "env": "2", "mounts": "3", "old": "4"},
            "the rendering of the operator changed",
            id="a version with more",
        ),
    ],
)
def test_the_first_difference_is_named(observed: Mapping[str, str], expected: str, installation: Installation) -> None:
    rendered = replace(
        render(make_service(), installation), sections=Digests("", {"image": "1", "env": "2", "mounts": "3"}).sections
    )
    assert first_difference(observed, rendered) == expected
