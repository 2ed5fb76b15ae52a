"""Applying what is shipped so that what the user changed stays: his fields keep their values, what he deleted stays
deleted."""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from xnai_operator.api import kinds
from xnai_operator.errors import ApiError
from xnai_operator.kube import ownership
from xnai_operator.kube.client import KubeClient

INVENTORY: Final = "xnai-applied"
"""The ConfigMap, in the namespace `default`, of everything `xnai up` ever applied."""
CONFLICTS: Final = 20
"""Answers with a conflict before an object is given up; one answer names every conflict it knows of."""


@dataclass
class Applier:
    """Applies objects one by one. `reset`: the shipped state is taken everywhere. `recreate`: an object that the user
    deleted is made again. `kept` and `deleted` say afterwards what was left as the user has it."""

    api: KubeClient
    reset: bool = False
    recreate: bool = False
    kept: dict[str, list[str]] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)
    _inventory: set[str] = field(default_factory=set)

    async def load(self) -> None:
        """Read the inventory. Raises ApiError."""
        found = await self.api.get(kinds.CONFIG_MAP.path("default", INVENTORY))
        self._inventory = set(((found or {}).get("data") or {}).get("objects", "").split())

    async def apply(self, body: dict[str, Any]) -> bool:
        """Apply one object; False when the user deleted it and it stays so. Raises ApiError, ValueError."""
        kind = kinds.BY_NAME[body["kind"]]
        metadata = body["metadata"]
        namespace = metadata.get("namespace", "default") if kind.namespaced else ""
        name = "/".join(part for part in (kind.name, namespace, metadata["name"]) if part)
        live = await self.api.get(kind.path(namespace, metadata["name"]))
        if live is None and name in self._inventory and not (self.reset or self.recreate):
            self.deleted.append(name)
            return False
        changed = await self._apply(ownership.normalised(body), live)
        if changed:
            self.kept[name] = changed
        self._inventory.add(name)
        return True

    async def _apply(self, shipped: dict[str, Any], live: dict[str, Any] | None) -> list[str]:
        """The paths that stay as the user has them."""
        annotated = _annotated(shipped)
        if self.reset or live is None:
            await self.api.apply(annotated)
            return []
        body, changed = ownership.without_changed(annotated, _before(live), live)
        for _ in range(CONFLICTS):
            try:
                await self.api.apply(body, force=False)
            except ApiError as error:
                left = body
                for path in error.conflicts:
                    left = ownership.without(left, path) or left
                if left == body:
                    raise
                body = left
                changed += error.conflicts
                continue
            return sorted(changed)
        raise ApiError(409, "other field managers change the object again and again")

    async def save(self) -> None:
        """Write the inventory. Raises ApiError."""
        metadata = {"name": INVENTORY, "namespace": "default", "labels": {"app.kubernetes.io/managed-by": "xnai"}}
        data = {"objects": "\n".join(sorted(self._inventory))}
        await self.api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})


def _annotated(shipped: dict[str, Any]) -> dict[str, Any]:
    metadata = shipped["metadata"]
    text = json.dumps(shipped, separators=(",", ":"), sort_keys=True, default=str)
    annotations = {**(metadata.get("annotations") or {}), ownership.LAST_APPLIED: text}
    return {**shipped, "metadata": {**metadata, "annotations": annotations}}


def _before(live: dict[str, Any]) -> dict[str, Any]:
    text = (live["metadata"].get("annotations") or {}).get(ownership.LAST_APPLIED)
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
