"""The CustomResourceDefinitions, generated from the models: structural schema, defaults, CEL rules, printer columns.

pydantic's JSON schema is draft 2020-12; a structural schema knows neither `$ref` nor `title` nor a null type,
so references are put in place and the rest is dropped.
"""

from typing import Any

from xnai_operator.api.tmpfspolicy import TmpfsPolicySpec
from xnai_operator.api.types import GROUP, VERSION, Spec
from xnai_operator.api.xnaiservice import XnaiServiceSpec

_DROPPED = {"title", "propertyNames", "additionalProperties", "discriminator"}
# Lists whose entries are told apart by one field: server-side apply merges them entry by entry.
_MAP_KEYS = {
    "env": "name",
    "ports": "name",
    "tmpfs": "mountPath",
    "volumes": "mountPath",
    "mounts": "mountPath",
}
_MAP_KEYS |= {"config": "mountPath", "secrets": "mountPath", "hostPaths": "mountPath"}


def _rules(model: type[Spec]) -> dict[str, list[dict[str, str]]]:
    """The CEL rules of every model below `model`, by the model's name."""
    found = {model.__name__: [rule.schema() for rule in model.rules]}
    for subclass in Spec.__subclasses__():
        found[subclass.__name__] = [rule.schema() for rule in subclass.rules]
    return found


def _structural(node: Any, definitions: dict[str, Any], rules: dict[str, list[dict[str, str]]]) -> Any:
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        name = node["$ref"].rsplit("/", 1)[1]
        merged = {**definitions[name], **{k: v for k, v in node.items() if k != "$ref"}}
        inlined = _structural(merged, definitions, rules)
        if rules.get(name):
            inlined["x-kubernetes-validations"] = rules[name]
        return inlined
    if "anyOf" in node:  # `X | None`: an optional field is one that is not required
        (present,) = (option for option in node["anyOf"] if option.get("type") != "null")
        rest = {k: v for k, v in node.items() if k not in {"anyOf", "default"}}
        return _structural({**present, **rest}, definitions, rules)
    schema: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            schema[key] = {name: _property(name, sub, definitions, rules) for name, sub in value.items()}
        elif key == "items" or (key == "additionalProperties" and isinstance(value, dict)):
            schema[key] = _structural(value, definitions, rules)
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


def _property(
    name: str, node: Any, definitions: dict[str, Any], rules: dict[str, list[dict[str, str]]]
) -> dict[str, Any]:
    schema: dict[str, Any] = _structural(node, definitions, rules)
    if schema.get("type") == "array" and schema.get("items", {}).get("type") == "object" and name in _MAP_KEYS:
        schema["x-kubernetes-list-type"] = "map"
        schema["x-kubernetes-list-map-keys"] = [_MAP_KEYS[name]]
    return schema


def _status(extra: dict[str, Any]) -> dict[str, Any]:
    condition = {
        "type": "object",
        "required": ["type", "status", "reason", "message", "lastTransitionTime"],
        "properties": {
            "type": {"type": "string"},
            "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
            "reason": {"type": "string"},
            "message": {"type": "string"},
            "observedGeneration": {"type": "integer", "format": "int64"},
            "lastTransitionTime": {"type": "string", "format": "date-time"},
        },
    }
    return {
        "type": "object",
        "description": "What the operator observed. Never written by hand.",
        "properties": {
            "observedGeneration": {"type": "integer", "format": "int64"},
            "conditions": {
                "type": "array",
                "items": condition,
                "x-kubernetes-list-type": "map",
                "x-kubernetes-list-map-keys": ["type"],
            },
            **extra,
        },
    }


def _column(name: str, path: str, kind: str = "string", priority: int = 0) -> dict[str, Any]:
    return {"name": name, "jsonPath": path, "type": kind, "priority": priority}


def _definition(
    kind: str,
    plural: str,
    short: str,
    spec: type[Spec],
    status: dict[str, Any],
    columns: list[dict[str, Any]],
) -> dict[str, Any]:
    schema = spec.model_json_schema(by_alias=True, mode="validation")
    rules = _rules(spec)
    body = _structural({k: v for k, v in schema.items() if k != "$defs"}, schema.get("$defs", {}), rules)
    if rules[spec.__name__]:
        body["x-kubernetes-validations"] = rules[spec.__name__]
    ready = '.status.conditions[?(@.type=="Ready")]'
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["xnai"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "additionalPrinterColumns": [
                        _column("Ready", f"{ready}.status"),
                        _column("Reason", f"{ready}.reason"),
                        *columns,
                        _column("Age", ".metadata.creationTimestamp", "date"),
                        _column("Message", f"{ready}.message", priority=1),
                    ],
                    "schema": {
                        "openAPIV3Schema": {
                            "type": "object",
                            "description": " ".join((spec.__doc__ or "").split()),
                            "required": ["spec"],
                            "properties": {
                                "apiVersion": {"type": "string"},
                                "kind": {"type": "string"},
                                "metadata": {"type": "object"},
                                "spec": body,
                                "status": status,
                            },
                        }
                    },
                }
            ],
        },
    }


def definitions() -> dict[str, dict[str, Any]]:
    """File name -> CustomResourceDefinition."""
    number = {"type": "integer", "format": "int64"}
    service = _definition(
        "XnaiService",
        "xnaiservices",
        "xs",
        XnaiServiceSpec,
        _status(
            {
                "restarts": {**number, "description": "Restarts since the pod was last rendered."},
                "retryAtSeconds": {**number, "description": "No start is tried before this time (Unix seconds)."},
                "tmpfs": {
                    "type": "array",
                    "description": "The service's tmpfs mounts as observed.",
                    "items": {
                        "type": "object",
                        "required": ["mountPath", "sizeBytes", "highWaterBytes"],
                        "properties": {
                            "mountPath": {"type": "string"},
                            "sizeBytes": {**number, "description": "As it stands in the running container."},
                            "highWaterBytes": {
                                **number,
                                "description": "The most that was ever in use, rounded up by at most an eighth.",
                            },
                            "recommendedBytes": {**number, "description": "By the policy's sizing, with the reason."},
                            "recommendation": {"type": "string"},
                        },
                    },
                    "x-kubernetes-list-type": "map",
                    "x-kubernetes-list-map-keys": ["mountPath"],
                },
                "memoryRequestBytes": {**number, "description": "What the service is admitted with."},
                "memoryHighWaterBytes": {**number, "description": "The most its processes ever used."},
            }
        ),
        [_column("Restarts", ".status.restarts", "integer", 1), _column("Image", ".spec.image", priority=1)],
    )
    policy = _definition(
        "TmpfsPolicy",
        "tmpfspolicies",
        "tp",
        TmpfsPolicySpec,
        _status({"services": {**number, "description": "How many services the selector matches."}}),
        [_column("Services", ".status.services", "integer")],
    )
    return {"xnai.dev_xnaiservices.yaml": service, "xnai.dev_tmpfspolicies.yaml": policy}
