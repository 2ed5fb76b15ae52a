"""The gates between a service and its start, in two tables. The first gate that returns an outcome decides.

`REFUSALS` look at a `Case`: nothing is rendered yet. `STEPS` look at a `Candidate`: the service with the verdict of
admission and its rendered pod. The last step starts the pod.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from xnai_operator.api.conditions import Condition, Reason, Type
from xnai_operator.api.resources import key_of
from xnai_operator.checks.preflight import Violation
from xnai_operator.memory.ladder import Step
from xnai_operator.plan import start as starting
from xnai_operator.plan.case import Candidate, Case, Outcome, refused
from xnai_operator.plan.model_load import other_model_load
from xnai_operator.plan.running import report_running
from xnai_operator.plan.types import Report, Start, Stop

HELD_MESSAGE: Final = "the machine is short of memory: starts when it no longer is (`xnai status` shows the step)"


def action_in_progress(case: Case) -> Outcome | None:
    """No action of an earlier pass is under way on the service's pod: its result is reported first. Init containers may
    run for ever, so a start that waits for them is no such action."""
    return Outcome(False, None) if case.key in case.facts.busy and not case.initialising else None


def policy_conflict(case: Case) -> Outcome | None:
    """The policies of the service agree on its tmpfs mounts."""
    conflict = case.assessment.conflicts.get(case.key)
    return refused(conflict.reason, conflict.message) if conflict is not None else None


def evicted(case: Case) -> Outcome | None:
    """The pressure ladder does not ask for the memory of the running pod."""
    ladder = case.mitigation
    if ladder.evict != case.key or not case.running or case.service.spec.suspend:
        return None
    grace = 0 if ladder.step is Step.KILL else case.service.spec.termination_grace_period_seconds
    message = f"stopped for more important services: the machine is short of memory (step {ladder.step.word})"
    stop = Stop(name=case.key, reason=Reason.EVICTED, message=message, grace_seconds=grace, mitigates=True)
    admitted = Condition(Type.ADMITTED, False, Reason.NODE_MEMORY_LOW, HELD_MESSAGE)
    return replace(case.waiting(stop.reason, message, admitted), action=stop)


def preempted(case: Case) -> Outcome | None:
    """No more important service needs the memory of the running pod. While the ladder holds starts nothing would start
    in its place, so nothing is preempted."""
    verdict = case.verdict
    if not case.running or case.service.spec.suspend or case.mitigation.starts_blocked or evicted(case) is not None:
        return None
    if verdict is None or verdict.admitted or verdict.keeps_running:
        return None
    message = f"stopped, for its memory goes to what comes before it: {verdict.sentence}"
    grace = case.service.spec.termination_grace_period_seconds
    stop = Stop(name=case.key, reason=Reason.PREEMPTED, message=message, grace_seconds=grace)
    admitted = Condition(Type.ADMITTED, False, verdict.reason, verdict.message)
    return replace(case.waiting(stop.reason, message, admitted), action=stop)


def over_budget(case: Case) -> Outcome | None:
    """The tmpfs mounts of the service are within the budgets of their policies."""
    return _violated(case, case.assessment.demands.over_budget.get(case.key))


def checks_failed(case: Case) -> Outcome | None:
    """The pre-flight checks hold: image, files, volumes, ports, model, devices, limits."""
    return _violated(case, case.assessment.violations.get(case.key))


def suspended_and_stopped(case: Case) -> Outcome | None:
    """A service that does not run is not suspended."""
    if not case.service.spec.suspend or case.running:
        return None
    condition = Condition(Type.READY, False, Reason.SUSPENDED, "spec.suspend is true: nothing is started")
    return starting.with_limit_warning(case, Outcome(False, Report((condition,), starting.restart_fields(case))))


def _violated(case: Case, violation: Violation | None) -> Outcome | None:
    if violation is None:
        return None
    outcome = (refused if violation.permanent else case.waiting)(violation.reason, violation.message)
    return case.keep_serving(outcome)


REFUSALS: Final[tuple[Callable[[Case], Outcome | None], ...]] = (
    action_in_progress,  # makes sure that a pod has one action at a time
    policy_conflict,  # makes sure that the mounts are known: everything below counts them
    evicted,  # makes sure that the machine survives: before any wish of the resource
    preempted,  # makes sure that memory goes to the more important service
    over_budget,  # makes sure that the mounts of a policy stay within its budget
    checks_failed,  # makes sure that the pod could start: what runs is left alone until then
    suspended_and_stopped,  # makes sure that a suspended service is not started
)


def suspended(candidate: Candidate) -> Outcome | None:
    """The running service is not suspended."""
    if not candidate.service.spec.suspend:
        return None
    message = "spec.suspend is true: nothing is started, changed or stopped"
    serves = candidate.case.running and candidate.case.probes.ready
    if not candidate.as_rendered:
        message += "; the running pod goes on as it was before the edit"
    ready = Condition(Type.READY, serves and candidate.as_rendered, Reason.SUSPENDED, message)
    return Outcome(serves, Report((ready, candidate.admitted), candidate.fields), rendered=candidate.rendered)


def runs_as_rendered(candidate: Candidate) -> Outcome | None:
    """The pod does not run yet, or differs from what would be started now."""
    return report_running(candidate) if candidate.as_rendered else None


def init_container_runs(candidate: Candidate) -> Outcome | None:
    """No init container runs of the pod that would be started now."""
    if candidate.pod is None or not candidate.case.initialising or not candidate.unchanged:
        return None
    service, init = candidate.service, candidate.pod.init_container
    message = (
        f"init container {init} runs; `xnai logs {service.name} -n {service.namespace} --init {init}` prints its output"
    )
    return candidate.waiting(Reason.INIT_CONTAINER_RUNNING, message)


def change_does_not_fit(candidate: Candidate) -> Outcome | None:
    """There is memory for the change of a running service; else the old pod goes on."""
    verdict = candidate.verdict
    if not verdict.keeps_running:
        return None
    return candidate.case.keep_serving(
        candidate.waiting(verdict.reason, f"{verdict.sentence}; the running pod goes on as it was")
    )


def starts_held(candidate: Candidate) -> Outcome | None:
    """The pressure ladder lets new pods start, and from its step Evict on also pods whose container ended."""
    ladder = candidate.case.mitigation
    restart = candidate.pod is not None
    if not ladder.starts_blocked or (restart and (candidate.case.running or not ladder.restarts_blocked)):
        return None
    held = Condition(Type.ADMITTED, False, Reason.NODE_MEMORY_LOW, HELD_MESSAGE)
    return candidate.waiting(Reason.NODE_MEMORY_LOW, HELD_MESSAGE, held)


def not_admitted(candidate: Candidate) -> Outcome | None:
    """The service fits into the memory of the node."""
    verdict = candidate.verdict
    return None if verdict.admitted else candidate.waiting(verdict.reason, verdict.sentence)


def dependency_not_ready(candidate: Candidate) -> Outcome | None:
    """Every service it depends on is Ready."""
    service, earlier = candidate.service, candidate.case.earlier
    missing = [name for name in service.spec.depends_on if not earlier[key_of(service.namespace, name)].ready]
    if not missing:
        return None
    return candidate.waiting(Reason.DEPENDENCY_NOT_READY, f"waits for {', '.join(missing)} to be Ready")


def other_model_loading(candidate: Candidate) -> Outcome | None:
    """No other service loads its model: two loads need the memory and the disk of both at once."""
    case = candidate.case
    starts = {key for key, outcome in case.earlier.items() if isinstance(outcome.action, Start)}
    load = other_model_load(case.facts, case.service, starts, case.now)
    if load is None:
        return None
    message = f"waits until {load.service} has loaded its model: one at a time"
    return candidate.waiting(Reason.MODEL_LOADING, message, wake_at=load.until)


def backing_off(candidate: Candidate) -> Outcome | None:
    """The delay after an exit or a failed start is over."""
    attempt = starting.attempt(candidate)
    if attempt.not_before <= candidate.case.now:
        return None
    failure = candidate.fields["lastStartFailure"]
    cause = f"the last start failed: {failure}" if failure else attempt.message
    return candidate.waiting(Reason.BACK_OFF, f"{cause}; waits before the next start", wake_at=attempt.not_before)


def start(candidate: Candidate) -> Outcome:
    """Nothing stands in the way."""
    attempt = starting.attempt(candidate)
    fields = {**candidate.fields, "restarts": attempt.restarts}
    waiting = replace(candidate, fields=fields).waiting(attempt.reason, attempt.message)
    reason, message, mitigates = starting.explained(candidate, attempt)
    action = Start(pod=candidate.rendered, reason=reason, message=message, mitigates=mitigates)
    return replace(waiting, action=action)


STEPS: Final[tuple[Callable[[Candidate], Outcome | None], ...]] = (
    suspended,  # makes sure that nothing of a suspended service is touched
    runs_as_rendered,  # makes sure that what is unchanged is left alone
    init_container_runs,  # makes sure that a start under way is left alone unless the service was changed
    change_does_not_fit,  # makes sure that a change without memory does not cost the running pod
    starts_held,  # makes sure that nothing new takes memory while the machine is short of it
    not_admitted,  # makes sure that the sum of what runs fits into the node
    dependency_not_ready,  # makes sure that a dependency is Ready before its dependants start
    other_model_loading,  # makes sure that one model is loaded at a time
    backing_off,  # makes sure that a failing service is not started without pause
    start,
)
