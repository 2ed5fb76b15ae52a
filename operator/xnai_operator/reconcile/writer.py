"""Writes to the Kubernetes API: statuses and events. A write that would change nothing is not made."""

from datetime import UTC, datetime
from typing import Any, Protocol

from xnai_operator.api import conditions
from xnai_operator.api.resources import API_VERSION
from xnai_operator.plan.types import Report


class Api(Protocol):
    """What of the API the engine writes."""

    async def patch_status(self, kind: str, namespace: str, name: str, status: dict[str, Any]) -> dict[str, Any] | None:
        """Merge into the object's status; the object as stored, or None when it is gone. Raises ApiError."""

    async def create_event(self, namespace: str, event: dict[str, Any]) -> None:
        """Post an event (events.k8s.io/v1). Raises ApiError."""


def status_for(body: dict[str, Any], report: Report, now: float) -> dict[str, Any] | None:
    """The status to write, or None when the stored one already says it. `now` in seconds since the epoch."""
    current = body.get("status") or {}
    generation = body["metadata"].get("generation", 0)
    moment = datetime.fromtimestamp(now, UTC)
    merged = conditions.merge(current.get("conditions") or [], list(report.conditions), generation, moment)
    wanted = {"observedGeneration": generation, "conditions": merged, **report.fields}
    return wanted if any(current.get(key) != value for key, value in wanted.items()) else None


def event_for(
    body: dict[str, Any], reason: str, message: str, action: str, now: float, *, warning: bool
) -> dict[str, Any]:
    """An event about the object. `action` is a verb; the message is cut at the API's 1024 bytes."""
    metadata = body["metadata"]
    regarding = {
        "apiVersion": body.get("apiVersion", API_VERSION),
        "kind": body["kind"],
        "name": metadata["name"],
        "uid": metadata.get("uid", ""),
    }
    if body["kind"] != "Node":  # a node is in no namespace; its events are in the default one
        regarding["namespace"] = metadata.get("namespace", "default")
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        # Named as client-go names them: the object and the nanosecond.
        "metadata": {
            "name": f"{metadata['name']}.{int(now * 1e9):x}",
            "namespace": metadata.get("namespace", "default"),
        },
        "eventTime": datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "xnai.dev/operator",
        "reportingInstance": "xnai-operator",
        "type": "Warning" if warning else "Normal",
        "reason": reason,
        "action": action,
        "note": message.encode()[:1024].decode(errors="ignore"),
        "regarding": regarding,
    }
