"""What of a shipped object is applied over what the user changed."""

from typing import Any

import pytest

from xnai_operator.kube import ownership

ENV = [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]


@pytest.mark.parametrize(
    ("before", "live", "applied", "changed"),
    [
        pytest.param({"image": "a"}, {"image": "a"}, {"image": "a"}, [], id="unchanged"),
        pytest.param({"image": "a"}, {"image": "mine"}, {}, [".image"], id="changed"),
        pytest.param({"image": "a"}, {}, {}, [".image"], id="removed"),
        pytest.param({}, {}, {"image": "a"}, [], id="shipped anew"),
        pytest.param({"image": "old"}, {"image": "mine"}, {"image": "a"}, [], id="both changed: the server decides"),
        pytest.param({"image": "a"}, {"image": "a", "more": 1}, {"image": "a"}, [], id="the user added a field"),
    ],
)
def test_a_field(before: dict[str, Any], live: dict[str, Any], applied: dict[str, Any], changed: list[str]) -> None:
    assert ownership.without_changed({"image": "a"}, before, live) == (applied, changed)


def test_a_field_inside_is_named_with_its_path() -> None:
    shipped = {"resources": {"limits": {"memory": "1Gi", "cpu": "2"}}}
    live = {"resources": {"limits": {"memory": "2Gi", "cpu": "2"}}}
    kept, changed = ownership.without_changed(shipped, shipped, live)
    assert (kept, changed) == ({"resources": {"limits": {"cpu": "2"}}}, [".resources.limits.memory"])


@pytest.mark.parametrize(
    ("shipped", "live", "applied", "changed"),
    [
        pytest.param(ENV, ENV[:1], ENV[:1], ["[B]"], id="map list"),
        pytest.param(["a", "b"], ["a"], ["a"], ["[b]"], id="set"),
        pytest.param(ENV, [{**ENV[0], "defaulted": True}, ENV[1]], ENV, [], id="a default of the server is no change"),
    ],
)
def test_an_element_the_user_removed_stays_removed(
    shipped: list[Any], live: list[Any], applied: list[Any], changed: list[str]
) -> None:
    assert ownership.without_changed(shipped, shipped, live) == (applied, changed)


@pytest.mark.parametrize(
    ("path", "left"),
    [
        pytest.param(".spec.image", {"spec": {"env": ENV}, "data": {"redis.conf": "x"}}, id="key"),
        pytest.param(
            '.spec.env[name="B"].value',
            {"spec": {"image": "a", "env": [ENV[0], {"name": "B"}]}, "data": {"redis.conf": "x"}},
            id="field of an element",
        ),
        pytest.param(
            '.spec.env[name="B"]',
            {"spec": {"image": "a", "env": ENV[:1]}, "data": {"redis.conf": "x"}},
            id="element",
        ),
        pytest.param(".data.redis.conf", {"spec": {"image": "a", "env": ENV}, "data": {}}, id="key with a dot"),
        pytest.param(".spec.none", None, id="no such field"),
        pytest.param('.spec.env[name="C"].value', None, id="no such element"),
        pytest.param(".spec.image.deep", None, id="below a value"),
    ],
)
def test_the_field_of_a_conflict_is_left_out(path: str, left: dict[str, Any] | None) -> None:
    body = {"spec": {"image": "a", "env": ENV}, "data": {"redis.conf": "x"}}
    assert ownership.without(body, path) == left


def test_an_element_of_a_set_is_left_out() -> None:
    assert ownership.without({"a": ["x", "y"]}, '.a[="x"]') == {"a": ["y"]}


def test_the_write_only_field_of_a_secret_becomes_what_the_server_keeps() -> None:
    secret = {"kind": "Secret", "stringData": {"k": "v"}, "data": {"other": "eA=="}}
    assert ownership.normalised(secret) == {"kind": "Secret", "data": {"other": "eA==", "k": "dg=="}}
