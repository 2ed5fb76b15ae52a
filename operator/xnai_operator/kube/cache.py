"""The cache of API objects, as an informer has one."""

from typing import Any

from xnai_operator.api import resources
from xnai_operator.api.kinds import XNAI_SERVICE

Key = tuple[str, str, str]


class ObjectCache:
    """Objects by (kind, namespace, name). Watches and the operator's own writes fill it. The newer version stays."""

    def __init__(self) -> None:
        self._objects: dict[Key, dict[str, Any]] = {}

    @staticmethod
    def _key(body: dict[str, Any]) -> Key:
        metadata = body["metadata"]
        return (body["kind"], metadata.get("namespace", ""), metadata["name"])

    @staticmethod
    def _version(body: dict[str, Any]) -> int:
        return int(body["metadata"].get("resourceVersion") or 0)

    def observe(self, body: dict[str, Any], *, deleted: bool = False) -> bool:
        """Store an object. Returns True when anything but its status changed: then a pass is needed."""
        key = self._key(body)
        old = self._objects.get(key)
        if deleted:
            if old is not None and old["metadata"].get("uid") == body["metadata"].get("uid"):
                del self._objects[key]
            return True
        if old is not None and self._version(body) <= self._version(old):
            return False
        self._objects[key] = body
        return old is None or self._without_status(old) != self._without_status(body)

    @staticmethod
    def _without_status(body: dict[str, Any]) -> tuple[Any, ...]:
        metadata = body["metadata"]
        kept = tuple(metadata.get(k) for k in ("uid", "generation", "labels", "deletionTimestamp"))
        return (*kept, body.get("spec"), body.get("data"), body.get("binaryData"))

    def get(self, kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        """The stored object."""
        return self._objects.get((kind, namespace, name))

    def service(self, namespace: str, name: str) -> resources.XnaiService | None:
        """One service, parsed; None when it is gone or invalid."""
        body = self.get(XNAI_SERVICE.name, namespace, name)
        try:
            return resources.service(body) if body is not None else None
        except resources.InvalidResourceError:
            return None

    def objects(self) -> list[dict[str, Any]]:
        """Every stored object, ordered by kind, namespace and name."""
        return [body for _, body in sorted(self._objects.items())]
