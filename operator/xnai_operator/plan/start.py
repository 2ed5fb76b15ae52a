"""Why a pod is started, and when at the earliest."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xnai_operator.api.conditions import Condition, Reason, Type
from xnai_operator.api.status import XnaiServiceStatus
from xnai_operator.checks import preflight
from xnai_operator.plan import backoff
from xnai_operator.plan.case import Candidate, Case, Outcome, checks_input
from xnai_operator.plan.difference import difference
from xnai_operator.plan.types import Report


@dataclass(frozen=True)
class Attempt:
    """The next start. `restarts`: the count stored with it. `not_before`: seconds since the epoch."""

    reason: Reason
    message: str
    restarts: int
    not_before: float = 0.0


def attempt(candidate: Candidate) -> Attempt:
    """The next start of a service whose pod is missing, has ended, or differs from what is rendered."""
    service, pod = candidate.service, candidate.pod
    restarts, not_before = int(candidate.fields["restarts"]), float(service.status.retry_at_seconds or 0)
    if service.status.observed_generation != service.generation:
        restarts, not_before = 0, 0.0  # an edited service is tried at once
    if pod is None or pod.uid != service.uid:
        message = f"there is no pod; starts {candidate.rendered.name}"
        return Attempt(Reason.POD_MISSING, message, restarts, not_before)
    if pod.hash != candidate.rendered.hash:
        return Attempt(Reason.SPEC_CHANGED, difference(pod, candidate.rendered), restarts, not_before)
    if candidate.image_changed:
        message = f"{service.spec.image} is another image than the one that runs"
        return Attempt(Reason.IMAGE_CHANGED, message, restarts, not_before)
    cause = "was killed for want of memory" if pod.oom_killed else f"exited with {pod.exit_code}"
    restarts, earliest = backoff.after_exit(restarts, pod.started_at, pod.finished_at)
    return Attempt(Reason.CONTAINER_EXITED, f"the container {cause}", restarts, max(not_before, earliest))


def explained(candidate: Candidate, made: Attempt) -> tuple[Reason, str, bool]:
    """The reason and the message of the start, and whether it mitigates a shortage of memory: SpecChanged gives way to
    the memory reason when the pressure ladder changed the memory variant of the pod."""
    case, pod = candidate.case, candidate.pod
    if pod is None or made.reason is not Reason.SPEC_CHANGED:
        return made.reason, made.message, False
    reduced = candidate.rendered.variant.reduced
    if case.key in case.mitigation.on_disk:
        return Reason.TMPFS_SPILLED, "its tmpfs go to disk: the memory of the machine is short", True
    if reduced and not pod.variant.reduced:
        return Reason.MODEL_REDUCED, "its model is loaded smaller: the memory of the machine is short", True
    if pod.variant.reduced and not reduced:
        message = "its model is loaded as declared: the memory of the machine suffices again"
        return Reason.MODEL_RESTORED, message, True
    return made.reason, made.message, False


def start_failed(status: XnaiServiceStatus, reason: Reason, message: str, now: float) -> Report:
    """The report of a start that failed, with the time of the next one. `now` in seconds since the epoch."""
    restarts, retry_at = backoff.after_failed_start(status.restarts or 0, now)
    conditions = (
        Condition(Type.READY, False, reason, message),
        Condition(Type.RECONCILING, True, reason, message),
    )
    return Report(conditions, {"restarts": restarts, "retryAtSeconds": retry_at, "lastStartFailure": message})


def restart_fields(case: Case) -> Mapping[str, Any]:
    """The status fields about restarts as they are stored. A failure of an older spec says nothing about this one."""
    status, current = case.service.status, case.service.status.observed_generation == case.service.generation
    failure = status.last_start_failure if current and not case.running else None
    return {"restarts": status.restarts or 0, "lastStartFailure": failure}


def with_limit_warning(case: Case, outcome: Outcome) -> Outcome:
    """The outcome with the condition LimitTight where the memory limit leaves less than a tenth to spare."""
    tight = preflight.tight_limit(checks_input(case.facts, case.service, case.assessment.mounts[case.key]))
    if tight is None:
        return outcome
    return outcome.with_condition(Condition(Type.LIMIT_TIGHT, True, Reason.INSUFFICIENT_HEADROOM, tight))
