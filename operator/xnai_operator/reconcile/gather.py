"""Gathering: from the objects of the API to the input of a pass."""

import base64
from collections.abc import Mapping
from typing import Any

from xnai_operator.api import resources
from xnai_operator.kube.cache import ObjectCache
from xnai_operator.memory.gguf_header import ModelHeader
from xnai_operator.plan.types import Desired, Invalid


def desired(cache: ObjectCache, models: Mapping[str, ModelHeader | str]) -> Desired:
    """Every resource in the cache, parsed. `models` as in Desired."""
    services: dict[str, resources.XnaiService] = {}
    policies: list[resources.TmpfsPolicy] = []
    contents: dict[str, dict[tuple[str, str], dict[str, bytes]]] = {}
    invalid: list[Invalid] = []
    for body in cache.objects():
        kind, metadata = body["kind"], body["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        if kind in {"Secret", "ConfigMap"}:
            contents.setdefault(namespace, {})[kind, name] = _content(body)
            continue
        try:
            if kind == "TmpfsPolicy":
                policies.append(resources.policy(body))
            else:
                service = resources.service(body)
                if not service.deleting:
                    services[service.key] = service
        except resources.InvalidResourceError as error:
            invalid.append(Invalid(kind, f"{namespace}.{name}", str(error)))
    return Desired(services, tuple(policies), contents, models, tuple(invalid))


def _content(body: dict[str, Any]) -> dict[str, bytes]:
    data = body.get("data") or {}
    if body["kind"] == "Secret":
        return {key: base64.b64decode(value) for key, value in data.items()}
    binary = body.get("binaryData") or {}
    return {k: v.encode() for k, v in data.items()} | {k: base64.b64decode(v) for k, v in binary.items()}
