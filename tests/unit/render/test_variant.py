"""The variant of a pod: its label, and what differs between two."""

import pytest

from xnai_operator.render.variant import AS_DECLARED, Variant, variant_change

CACHE, BOTH, MEMORY = frozenset({"/cache"}), frozenset({"/b", "/a,x"}), frozenset({"memory"})


@pytest.mark.parametrize(
    ("variant", "text"),
    [
        pytest.param(AS_DECLARED, "", id="as declared"),
        pytest.param(Variant(reduced=True), '{"reduced":true}', id="reduced"),
        pytest.param(Variant(on_disk=BOTH), '{"onDisk":["/a,x","/b"]}', id="on disk"),
        pytest.param(Variant(without_limits=MEMORY), '{"withoutLimits":["memory"]}', id="without limits"),
        pytest.param(
            Variant(reduced=True, on_disk=CACHE, without_limits=MEMORY),
            '{"reduced":true,"onDisk":["/cache"],"withoutLimits":["memory"]}',
            id="all",
        ),
    ],
)
def test_the_label_is_read_back(variant: Variant, text: str) -> None:
    assert (variant.to_text(), Variant.from_text(text)) == (text, variant)


def test_a_field_of_another_version_is_left_out() -> None:
    assert Variant.from_text('{"reduced":true,"later":1}') == Variant(reduced=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("true", "is not a variant", id="no object"),
        pytest.param("{", "Expecting property name", id="no JSON"),
    ],
)
def test_another_label_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Variant.from_text(text)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        pytest.param(Variant(reduced=True), Variant(reduced=True), "", id="nothing"),
        pytest.param(AS_DECLARED, Variant(reduced=True), "model: reduced instead of as declared", id="reduced"),
        pytest.param(Variant(reduced=True), AS_DECLARED, "model: as declared instead of reduced", id="restored"),
        pytest.param(
            Variant(on_disk=CACHE),
            Variant(on_disk=BOTH),
            "tmpfs on disk: /a,x, /b instead of /cache",
            id="other mounts",
        ),
        pytest.param(
            Variant(without_limits=MEMORY), AS_DECLARED, "limits left out: none instead of memory", id="limits"
        ),
        pytest.param(
            AS_DECLARED,
            Variant(reduced=True, on_disk=CACHE),
            "model: reduced instead of as declared; tmpfs on disk: /cache instead of none",
            id="two",
        ),
    ],
)
def test_what_differs_is_named(old: Variant, new: Variant, expected: str) -> None:
    assert variant_change(old, new) == expected
