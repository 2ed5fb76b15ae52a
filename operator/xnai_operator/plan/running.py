"""What is said about a pod that runs as rendered, and the resizes of its tmpfs mounts."""

from xnai_operator.api.conditions import Condition, Reason, Type
from xnai_operator.plan.case import Candidate, Outcome
from xnai_operator.plan.mount_check import check_mounts
from xnai_operator.plan.observed import Observed
from xnai_operator.plan.types import Report, Resize


def report_running(candidate: Candidate) -> Outcome:
    """The outcome for a pod that runs as rendered."""
    ready, conditions = _readiness(candidate)
    fields = dict(candidate.fields)
    conditions += _memory_pressure(candidate)
    found, action = candidate.case.facts.mounts.get(candidate.case.key), None
    if found is None:  # not read yet since this process started: the stored conditions still hold
        conditions += candidate.case.stored(Type.TMPFS_ENFORCED, Type.TMPFS_FULL)
    else:
        checked = check_mounts(
            candidate.service,
            candidate.rendered.tmpfs,
            found,
            candidate.case.facts.desired.policies,
            candidate.rendered.variant.on_disk,
            may_grow=candidate.verdict.admitted,
        )
        conditions += checked.conditions
        if checked.status:
            fields["tmpfs"] = [mount.to_json() for mount in checked.status]
        if checked.resize:
            action = Resize(pod=candidate.rendered, message=checked.resize)
    conditions.append(_limits(candidate.case.facts.observed))
    return Outcome(ready, Report(tuple(conditions), fields), action, candidate.rendered)


def _readiness(candidate: Candidate) -> tuple[bool, list[Condition]]:
    service, state = candidate.service, candidate.case.facts.probes.get(candidate.case.key)
    if state is None:  # not asked yet since this process started: the stored condition still holds
        stored, ready = service.condition(Type.READY), service.stored_ready()
        message = stored.message if stored is not None and ready else "no probe has answered yet"
    else:
        ready, message = state.ready, state.message
    if ready:
        reason = Reason.PROBE_SUCCEEDED
    else:
        reason = Reason.PROBE_FAILED if state is not None and state.failures else Reason.STARTING
    conditions = [
        Condition(Type.READY, ready, reason, message),
        candidate.admitted,
    ]
    if not ready and not (state is not None and state.started):
        conditions.append(Condition(Type.RECONCILING, True, reason, message))
    return ready, conditions


def _memory_pressure(candidate: Candidate) -> list[Condition]:
    """The condition MemoryPressure, where a shortage of memory concerns the running pod."""
    if candidate.case.key in candidate.case.facts.pressure.thrashing:
        message = "reads its memory again and again: its limit is too small; raise spec.resources.limits.memory"
        return [Condition(Type.MEMORY_PRESSURE, True, Reason.THRASHING, message)]
    if candidate.pod is not None and candidate.pod.variant.reduced:
        message = "runs with less context and a q8_0 cache until the memory of the machine suffices and it is idle"
        return [Condition(Type.MEMORY_PRESSURE, True, Reason.MODEL_REDUCED, message)]
    return []


def _limits(observed: Observed) -> Condition:
    """Whether the kernel enforces the limits of pods."""
    if not observed.limits_enforced:
        message = (
            "rootless Podman applies no memory limits here (cgroup v1, or no memory controller); "
            "admission still holds the sum. `xnai doctor` names the remedy"
        )
    elif observed.missing_controllers:
        message = "memory limits hold, CPU limits do not: there is no cpu controller. `xnai doctor` names the remedy"
    else:
        message = "the kernel enforces memory and CPU limits"
        return Condition(Type.LIMITS_ENFORCED, True, Reason.LIMITS_APPLIED, message)
    return Condition(Type.LIMITS_ENFORCED, False, Reason.CGROUP_LIMITS_UNAVAILABLE, message)
