from pathlib import Path
from typing import Any

import pytest
import yaml

from xnai_operator.api import crd

ROOT = Path(__file__).resolve().parents[3]
# Keys a structural schema may hold, besides x-kubernetes-*. Source: apiextensions/v1 JSONSchemaProps.
STRUCTURAL = {
    "type", "description", "properties", "required", "items", "additionalProperties", "default", "enum", "format",
    "pattern", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems",
    "multipleOf",
}  # fmt: skip


def _nodes(schema: dict[str, Any], path: str) -> list[tuple[str, dict[str, Any]]]:
    found = [(path, schema)]
    for name, sub in schema.get("properties", {}).items():
        found += _nodes(sub, f"{path}.{name}")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            found += _nodes(schema[key], f"{path}[{key}]")
    return found


def _all_nodes() -> list[tuple[str, dict[str, Any]]]:
    return [
        node
        for definition in crd.definitions().values()
        for node in _nodes(
            definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"], definition["metadata"]["name"]
        )
    ]


@pytest.mark.parametrize("name", sorted(crd.definitions()))
def test_the_files_are_what_the_models_say(name: str) -> None:
    assert yaml.safe_load((ROOT / "crds" / name).read_text()) == crd.definitions()[name]


def test_the_schema_is_structural() -> None:
    strange = {
        f"{path}: {key}"
        for path, node in _all_nodes()
        for key in node
        if key not in STRUCTURAL and not key.startswith("x-kubernetes-")
    }
    assert strange == set()


def test_every_node_has_a_type() -> None:
    assert [path for path, node in _all_nodes() if "type" not in node] == []


def test_an_optional_field_has_no_null_default() -> None:
    assert [path for path, node in _all_nodes() if "default" in node and node["default"] is None] == []


def _holds_null(value: Any) -> bool:
    return value is None or (isinstance(value, dict) and any(_holds_null(v) for v in value.values()))


def test_no_default_holds_a_null() -> None:
    # The API server refuses the whole definition otherwise.
    assert [path for path, node in _all_nodes() if "default" in node and _holds_null(node["default"])] == []
