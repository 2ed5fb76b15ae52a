"""What the Ready condition of an XnaiService says."""

from typing import Any

from xnai_operator.api.conditions import Reason, Type
from xnai_operator.api.status import ResourceStatus


def readiness(body: dict[str, Any]) -> tuple[bool, str]:
    """Whether the object's Ready condition holds for its current generation, and what to say."""
    status = ResourceStatus.parse(body.get("status"))
    if suspended(body):
        return False, Reason.SUSPENDED.value
    condition = status.condition(Type.READY)
    if condition is None:
        return False, "waits for the operator"
    ready = condition.status == "True" and status.observed_generation == body["metadata"].get("generation")
    return ready, Type.READY.value if ready else f"{condition.reason}: {condition.message}"


def suspended(body: dict[str, Any]) -> bool:
    """Whether the user wants the service not to run (`spec.suspend`)."""
    return bool((body.get("spec") or {}).get("suspend"))


def settled(body: dict[str, Any]) -> bool:
    """Whether there is nothing to wait for: the service is Ready or suspended."""
    return suspended(body) or readiness(body)[0]
