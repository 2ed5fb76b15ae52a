"""What of a shipped object is applied where the user changed the live one: his values stay. Pure.

Three states decide, as in `kubectl apply`: the object as it is shipped now, as it was applied before, and as it is.
A field that another manager owns is named by the API server in the conflict of a server-side apply.
"""

import base64
import copy
import re
from typing import Any, Final

LAST_APPLIED: Final = "xnai.dev/last-applied"
"""The annotation that holds the object as `xnai up` applied it before, as JSON."""
MAP_KEYS: Final = ("mountPath", "name")
"""The keys of the map lists in our resources, the more telling one first."""
_SELECTOR: Final = re.compile(r"\[(?P<inside>[^\]]*)\]")
_PAIR: Final = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|[^,]*)')


def normalised(body: dict[str, Any]) -> dict[str, Any]:
    """The object as the API server keeps it: `stringData` of a Secret is write-only and becomes `data`."""
    if body.get("kind") != "Secret" or "stringData" not in body:
        return body
    encoded = {key: base64.b64encode(str(value).encode()).decode() for key, value in body["stringData"].items()}
    rest = {key: value for key, value in body.items() if key != "stringData"}
    return {**rest, "data": {**(body.get("data") or {}), **encoded}}


def without_changed(shipped: Any, before: Any, live: Any, path: str = "") -> tuple[Any, list[str]]:
    """`shipped` without what the user changed or removed since `before` was applied, and the paths of that.

    A value that is shipped as before and stands otherwise in `live` was changed by the user. A value that is shipped
    anew is not decided here: the API server knows who owns the field.
    """
    if isinstance(shipped, dict) and isinstance(before, dict) and isinstance(live, dict):
        return _without_changed_keys(shipped, before, live, path)
    if isinstance(shipped, list) and isinstance(before, list) and isinstance(live, list):
        return _without_removed_elements(shipped, before, live, path)
    return shipped, []


def _without_changed_keys(
    shipped: dict[str, Any], before: dict[str, Any], live: dict[str, Any], path: str
) -> tuple[dict[str, Any], list[str]]:
    kept, changed = {}, []
    for key, value in shipped.items():
        here = f"{path}.{key}"
        structured = isinstance(value, dict | list) and type(live.get(key)) is type(value)
        if key in before and (key not in live or (not structured and before[key] == value != live[key])):
            changed.append(here)
            continue
        kept[key], inner = without_changed(value, before.get(key), live.get(key), here)
        changed += inner
    return kept, changed


def _without_removed_elements(
    shipped: list[Any], before: list[Any], live: list[Any], path: str
) -> tuple[list[Any], list[str]]:
    old, now = ({_identity(element): element for element in side} for side in (before, live))
    kept, changed = [], []
    for element in shipped:
        identity = _identity(element)
        here = f"{path}[{identity}]"
        if identity in old and identity not in now:
            changed.append(here)
            continue
        value, inner = without_changed(element, old.get(identity), now.get(identity), here)
        kept.append(value)
        changed += inner
    return kept, changed


def _identity(element: Any) -> str:
    if isinstance(element, dict):
        return next((str(element[key]) for key in MAP_KEYS if key in element), repr(element))
    return str(element)


def without(body: dict[str, Any], path: str) -> dict[str, Any] | None:
    """The object without the field that a conflict of the API server names (`.spec.env[name="X"].value`); None when
    the object has no such field."""
    result = copy.deepcopy(body)
    return result if _remove(result, path) else None


def _remove(node: Any, path: str) -> bool:
    if path.startswith("["):
        match = _SELECTOR.match(path)
        if match is None or not isinstance(node, list):
            return False
        index = next((i for i, element in enumerate(node) if _selected(element, match["inside"])), None)
        if index is None:
            return False
        rest = path[match.end() :]
        if rest:
            return _remove(node[index], rest)
        del node[index]
        return True
    if not isinstance(node, dict):
        return False
    rest = path.removeprefix(".")
    # Keys may hold dots themselves (`.data.redis.conf`): the longest key that the path starts with is meant.
    fitting = [key for key in node if rest == key or rest.startswith((f"{key}.", f"{key}["))]
    if not fitting:
        return False
    key = max(fitting, key=len)
    if rest != key:
        return _remove(node[key], rest[len(key) :])
    del node[key]
    return True


def _selected(element: Any, inside: str) -> bool:
    if inside.startswith("="):  # an element of a set
        return str(element) == inside[1:].strip('"')
    pairs = _PAIR.findall(inside)
    return isinstance(element, dict) and all(str(element.get(key)) == value.strip('"') for key, value in pairs)
