"""The status to write into a resource. A write that would change nothing is not made."""

from datetime import UTC, datetime
from typing import Any

from xnai_operator.api import conditions
from xnai_operator.api.status import ResourceStatus
from xnai_operator.plan.types import Report


def status_for(body: dict[str, Any], report: Report, now: float) -> dict[str, Any] | None:
    """The status to write, or None when the stored one already says it. `now` in seconds since the epoch."""
    current = body.get("status") or {}
    generation = body["metadata"].get("generation", 0)
    moment = datetime.fromtimestamp(now, UTC)
    before = ResourceStatus.parse(current).conditions
    merged = [c.to_json() for c in conditions.merge(before, list(report.conditions), generation, moment)]
    wanted = {"observedGeneration": generation, "conditions": merged, **report.fields}
    return wanted if any(current.get(key) != value for key, value in wanted.items()) else None
