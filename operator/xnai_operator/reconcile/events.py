"""Events of events.k8s.io/v1."""

from datetime import UTC, datetime
from typing import Any

from xnai_operator.api.kinds import XNAI_SERVICE
from xnai_operator.reconcile.record import Record


def event_for(record: Record, regarding: dict[str, Any]) -> dict[str, Any]:
    """The event of a record about the object `regarding`. The message is cut at the API's 1024 bytes."""
    metadata = regarding["metadata"]
    reference = {
        "apiVersion": regarding.get("apiVersion", XNAI_SERVICE.api_version),
        "kind": regarding["kind"],
        "name": metadata["name"],
        "uid": metadata.get("uid", ""),
    }
    if regarding["kind"] != "Node":  # a node is in no namespace; its events are in the default one
        reference["namespace"] = metadata.get("namespace", "default")
    return {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        # Named as client-go names them: the object and the nanosecond.
        "metadata": {
            "name": f"{metadata['name']}.{int(record.at * 1e9):x}",
            "namespace": metadata.get("namespace", "default"),
        },
        "eventTime": datetime.fromtimestamp(record.at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "reportingController": "xnai.dev/operator",
        "reportingInstance": "xnai-operator",
        "type": "Warning" if record.warning else "Normal",
        "reason": record.reason.value,
        "action": record.action.capitalize(),
        "note": record.message.encode()[:1024].decode(errors="ignore"),
        "regarding": reference,
    }
