"""The CustomResourceDefinitions, generated from the models: structural schema, defaults, CEL rules, printer columns.

pydantic's JSON schema is draft 2020-12; a structural schema knows neither `$ref` nor `title` nor a null type,
so references are put in place and the rest is dropped.
"""

from typing import Any, Final

from pydantic import BaseModel

from xnai_operator.api.kinds import CUSTOM, CUSTOM_RESOURCE_DEFINITION, Column, CustomKind

_DROPPED: Final = {"title", "propertyNames", "additionalProperties", "discriminator"}
_READY: Final = '.status.conditions[?(@.type=="Ready")]'
_FIRST_COLUMNS: Final = (Column("Ready", f"{_READY}.status"), Column("Reason", f"{_READY}.reason"))
_LAST_COLUMNS: Final = (
    Column("Age", ".metadata.creationTimestamp", "date"),
    Column("Message", f"{_READY}.message", priority=1),
)


def _structural(node: Any, definitions: dict[str, Any]) -> Any:
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        return _structural({**definitions[name], **{k: v for k, v in node.items() if k != "$ref"}}, definitions)
    if "anyOf" in node:  # `X | None`: an optional field is one that is not required
        (present,) = (option for option in node["anyOf"] if option.get("type") != "null")
        rest = {k: v for k, v in node.items() if k not in {"anyOf", "default"}}
        return _structural({**present, **rest}, definitions)
    schema: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            schema[key] = {name: _structural(sub, definitions) for name, sub in value.items()}
        elif key == "items" or (key == "additionalProperties" and isinstance(value, dict)):
            schema[key] = _structural(value, definitions)
        elif key == "const":
            schema["enum"] = [value]
        elif key == "description":
            schema[key] = " ".join(value.split())
        elif key == "default" and value is not None:
            schema[key] = _without_null(value)
        elif key not in _DROPPED and key != "default":
            schema[key] = value
    return schema


def _without_null(value: Any) -> Any:
    """A default as the API server takes it: a null in it would have to be declared nullable."""
    if isinstance(value, dict):
        return {k: _without_null(v) for k, v in value.items() if v is not None}
    return value


def _schema(model: type[BaseModel]) -> dict[str, Any]:
    """The structural schema of a model. Raises ValueError for a union that is more than an optional field."""
    schema = model.model_json_schema(by_alias=True, mode="validation")
    found: dict[str, Any] = _structural({k: v for k, v in schema.items() if k != "$defs"}, schema.get("$defs", {}))
    return found


def _definition(kind: CustomKind) -> dict[str, Any]:
    columns = [*_FIRST_COLUMNS, *kind.columns, *_LAST_COLUMNS]
    version = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(column) for column in columns],
        "schema": {
            "openAPIV3Schema": {
                "type": "object",
                "description": kind.summary,
                **({"x-kubernetes-validations": [rule.schema() for rule in kind.rules]} if kind.rules else {}),
                "required": ["spec"],
                "properties": {
                    "apiVersion": {"type": "string"},
                    "kind": {"type": "string"},
                    "metadata": {"type": "object"},
                    "spec": _schema(kind.spec),
                    "status": _schema(kind.status),
                },
            }
        },
    }
    return {
        "apiVersion": CUSTOM_RESOURCE_DEFINITION.api_version,
        "kind": CUSTOM_RESOURCE_DEFINITION.name,
        "metadata": {"name": kind.definition_name},
        "spec": {
            "group": kind.group,
            "scope": "Namespaced",
            "names": {
                "kind": kind.name,
                "listKind": f"{kind.name}List",
                "plural": kind.plural,
                "singular": kind.name.lower(),
                "shortNames": [kind.short_name],
                "categories": ["xnai"],
            },
            "versions": [version],
        },
    }


def _column(column: Column) -> dict[str, Any]:
    return {"name": column.name, "jsonPath": column.path, "type": column.type, "priority": column.priority}


def definitions() -> dict[str, dict[str, Any]]:
    """File name -> CustomResourceDefinition."""
    return {f"{kind.group}_{kind.plural}.yaml": _definition(kind) for kind in CUSTOM}
