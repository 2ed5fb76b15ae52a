"""The decision of a pass: what to start and stop, and what to say of every resource. Pure."""

from dataclasses import dataclass, replace
from typing import Any, Final

from xnai_operator.api.conditions import Condition, Reason, Type
from xnai_operator.api.resources import TmpfsPolicy, XnaiService
from xnai_operator.api.xnaiservice import TmpfsMount
from xnai_operator.checks import preflight
from xnai_operator.errors import SpecError
from xnai_operator.health import readiness
from xnai_operator.memory.admission import Verdict, admit
from xnai_operator.memory.ladder import Step
from xnai_operator.plan import backoff, mount_check
from xnai_operator.plan.ingress import ingress
from xnai_operator.plan.mitigation import Mitigation, mitigate
from xnai_operator.plan.model_load import other_model_load
from xnai_operator.plan.needs import Needs, memory_high_water, needs
from xnai_operator.plan.observed import Observed, ObservedPod
from xnai_operator.plan.order import ordered
from xnai_operator.plan.types import Action, Facts, Plan, Report
from xnai_operator.plan.variants import reduced, without_limits
from xnai_operator.render import names
from xnai_operator.render.pod import RenderedPod
from xnai_operator.render.podman import render
from xnai_operator.tmpfs.fallback import may_be_on_disk
from xnai_operator.tmpfs.mounts import merged, selects

_OF_THE_POD: Final = (Type.HEALTHY, Type.TMPFS_ENFORCED, Type.TMPFS_FULL, Type.LIMITS_ENFORCED, Type.MEMORY_PRESSURE)
HELD_MESSAGE: Final = "the machine is short of memory: starts when it no longer is (`xnai status` shows the step)"


@dataclass(frozen=True)
class _Outcome:
    """What was decided for one service. `ready` is what its dependants wait for."""

    ready: bool
    report: Report | None
    action: Action | None = None
    rendered: RenderedPod | None = None
    wake_at: float | None = None


def decide(facts: Facts, now: float) -> Plan:
    """One pass. `now` in seconds since the epoch."""
    services = facts.desired.services
    mounts, conflicts = _merged_mounts(facts)
    faults = {key: fault for key in mounts if (fault := _fault(facts, services[key], mounts[key])) is not None}
    wanted = needs(facts, mounts, faults)
    verdicts = admit(wanted.demands.values(), facts.node.allocatable)
    startable = {key for key, verdict in verdicts.items() if verdict.admitted and key not in faults}
    mitigation = mitigate(facts, wanted.demands, wanted.movable_to_disk, startable, now)
    stops = {key: _stopped(facts, service, verdicts.get(key), mitigation) for key, service in services.items()}
    outcomes: dict[str, _Outcome] = {}
    for service in ordered(services):
        if names.pod(service.namespace, service.name) in facts.busy:
            outcomes[service.key] = _Outcome(False, None)  # what comes of it is said when it is over
            continue
        if service.key in conflicts:
            outcomes[service.key] = _refused(conflicts[service.key].reason, conflicts[service.key].message)
            continue
        if (stopped := stops[service.key]) is not None:
            outcomes[service.key] = stopped
            continue
        if service.key in wanted.over_budget:
            outcomes[service.key] = _violated(facts, service, wanted.over_budget[service.key])
            continue
        if service.key in faults:
            outcomes[service.key] = _violated(facts, service, faults[service.key])
            continue
        outcome = _service(
            facts, service, mounts[service.key], wanted, verdicts.get(service.key), outcomes, now, mitigation
        )
        tight = preflight.tight_limit(_input(facts, service, mounts[service.key]))
        outcomes[service.key] = _warned(outcome, tight)
    reports: dict[str, Report] = {
        key: outcome.report for key, outcome in outcomes.items() if outcome.report is not None
    }
    policies = {policy.key: _policy(facts, policy) for policy in facts.desired.policies}
    for invalid in facts.desired.invalid:
        refused = _refused(Reason.SPEC_INVALID, invalid.message).report
        assert refused is not None
        (reports if invalid.kind == "XnaiService" else policies)[invalid.key] = refused
    wakes = [at for at in (mitigation.wake_at, *(o.wake_at for o in outcomes.values())) if at is not None]
    actions = [
        *_orphans(facts, set(outcomes) | set(reports)),
        *(o.action for o in outcomes.values() if o.action is not None),
    ]
    given_back = [stop.action.reason for stop in stops.values() if stop is not None and stop.action is not None]
    if Reason.PREEMPTED in given_back:
        # First the memory is given back; the pass after this one starts what it is for.
        actions = [action for action in actions if action.kind == "stop"]
    return Plan(
        actions=tuple(actions),
        services=reports,
        policies=policies,
        rendered={key: outcome.rendered for key, outcome in outcomes.items() if outcome.rendered is not None},
        wake_at=min(wakes, default=None),
        steps=mitigation.steps,
        ingress=ingress(services),
    )


def _fault(facts: Facts, service: XnaiService, mounts: list[TmpfsMount]) -> preflight.Violation | None:
    return preflight.first_violation(_input(facts, service, mounts))


def _merged_mounts(facts: Facts) -> tuple[dict[str, list[TmpfsMount]], dict[str, SpecError]]:
    mounts: dict[str, list[TmpfsMount]] = {}
    conflicts: dict[str, SpecError] = {}
    for key, service in facts.desired.services.items():
        try:
            mounts[key] = merged(service, facts.desired.policies)
        except SpecError as error:
            conflicts[key] = error
            continue
        if preflight.memory_limit(_input(facts, service, mounts[key])) is not None:
            # Nobody asked for what the use did: it must not make a service unstartable.
            mounts[key] = merged(service, facts.desired.policies, by_use=False)
    return mounts, conflicts


def _input(facts: Facts, service: XnaiService, mounts: list[TmpfsMount]) -> preflight.Input:
    return preflight.Input(
        service=service,
        services=facts.desired.services,
        tmpfs=mounts,
        contents=facts.desired.contents.get(service.namespace, {}),
        images=facts.observed.images,
        models=facts.desired.models,
        volumes=facts.observed.volumes,
        gpus=facts.node.gpus,
        cpus=facts.node.installation.cpus,
        cores=facts.node.installation.cores,
    )


def _refused(reason: Reason, message: str) -> _Outcome:
    """A resource only an edit can mend; what runs is left alone."""
    conditions = (
        Condition(Type.READY, False, reason, message),
        Condition(Type.STALLED, True, reason, message),
    )
    return _Outcome(False, Report(conditions))


def _waiting(reason: Reason, message: str, *more: Condition, wake_at: float | None = None, **fields: Any) -> _Outcome:
    conditions = (
        Condition(Type.READY, False, reason, message),
        Condition(Type.RECONCILING, True, reason, message),
        *more,
    )
    return _Outcome(False, Report(conditions, fields), wake_at=wake_at)


def _warned(outcome: _Outcome, tight: str | None) -> _Outcome:
    if outcome.report is None or tight is None:
        return outcome
    condition = Condition(Type.LIMIT_TIGHT, True, Reason.LIMIT_TIGHT, tight)
    return replace(outcome, report=replace(outcome.report, conditions=(*outcome.report.conditions, condition)))


def _violated(facts: Facts, service: XnaiService, fault: preflight.Violation) -> _Outcome:
    outcome = (_refused if fault.permanent else _waiting)(fault.reason, fault.message)
    return _serving(facts, service, outcome, facts.observed.pods.get(names.pod(service.namespace, service.name)))


def _serving(facts: Facts, service: XnaiService, outcome: _Outcome, pod: ObservedPod | None) -> _Outcome:
    """What runs goes on serving those who depend on it, and is as it was; the resource says why the change is not
    made."""
    if pod is None or not pod.running or outcome.report is None:
        return outcome
    ready = facts.probes.get(pod.name, readiness.ProbeState()).ready
    conditions = (*outcome.report.conditions, *_stored(service, *_OF_THE_POD))
    return replace(outcome, ready=ready, report=replace(outcome.report, conditions=conditions))


def _service(
    facts: Facts,
    service: XnaiService,
    mounts: list[TmpfsMount],
    wanted: Needs,
    verdict: Verdict | None,
    outcomes: dict[str, _Outcome],
    now: float,
    mitigation: Mitigation,
) -> _Outcome:
    """A service in which nothing is wrong."""
    contents = facts.desired.contents.get(service.namespace, {})
    on_disk, need = wanted.on_disk.get(service.key, frozenset()), wanted.demands.get(service.key)
    if (verdict is not None and verdict.on_disk) or service.key in mitigation.on_disk:
        on_disk = may_be_on_disk(service, mounts, facts.desired.policies)
    small = service.key in mitigation.reduced
    played = without_limits(reduced(service) if small else service, facts.observed.missing_controllers)
    allocation = need.without_tmpfs if need is not None else None
    rendered = render(played, mounts, contents, facts.node.installation, on_disk, reduced=small, allocation=allocation)
    pod = facts.observed.pods.get(rendered.name)
    fields: dict[str, Any] = {"restarts": int(service.status.get("restarts", 0))}
    if need is None or verdict is None:  # suspended and not running
        message = "spec.suspend is true: nothing is started"
        conditions: tuple[Condition, ...] = (Condition(Type.READY, False, Reason.SUSPENDED, message),)
        return _Outcome(False, Report(conditions, fields), rendered=rendered)
    fields["memoryRequestBytes"] = need.total - (need.movable_to_disk if verdict.on_disk else 0)
    admitted = Condition(
        Type.ADMITTED,
        verdict.admitted,
        verdict.reason,
        verdict.message,
    )
    if pod is not None and (most := memory_high_water(service, facts.pressure.used.get(pod.name, 0))):
        fields["memoryHighWaterBytes"] = most
    if service.spec.suspend:
        message = "spec.suspend is true: nothing is started, changed or stopped"
        ready = pod is not None and pod.running and facts.probes.get(pod.name, readiness.ProbeState()).ready
        conditions = (Condition(Type.READY, ready, Reason.SUSPENDED, message), admitted)
        return _Outcome(ready, Report(conditions, fields), rendered=rendered)
    image = preflight.image_id(facts.observed.images, service.spec.image)
    rebuilt = pod is not None and pod.image_id not in {"", image}
    if pod is not None and pod.uid == service.uid and pod.hash == rendered.hash and pod.running and not rebuilt:
        return _running(facts, service, rendered, pod, admitted, fields, on_disk)
    if verdict.keeps_running:
        message = f"{verdict.sentence}; what runs goes on as it was"
        outcome = replace(_waiting(verdict.reason, message, admitted, **fields), rendered=rendered)
        return _serving(facts, service, outcome, pod)
    if mitigation.starts_blocked and (pod is None or (mitigation.restarts_blocked and not pod.running)):
        short = Condition(Type.ADMITTED, False, Reason.MEMORY_PRESSURE, HELD_MESSAGE)
        return replace(_waiting(Reason.MEMORY_PRESSURE, HELD_MESSAGE, short, **fields), rendered=rendered)
    if not verdict.admitted:
        waiting = _waiting(verdict.reason, verdict.sentence, admitted, **fields)
        return replace(waiting, rendered=rendered)
    missing = [d for d in service.spec.depends_on if not outcomes[f"{service.namespace}.{d}"].ready]
    if missing:
        message = f"waits for {', '.join(missing)} to be Ready"
        return replace(_waiting(Reason.DEPENDENCY_NOT_READY, message, admitted, **fields), rendered=rendered)
    loading = other_model_load(
        facts, service, {key for key, o in outcomes.items() if o.action and o.action.kind == "start"}, now
    )
    if loading is not None:
        message = f"waits until {loading.service} has loaded its model: one at a time"
        waiting = _waiting(Reason.MODEL_LOADING, message, admitted, **fields)
        return replace(waiting, rendered=rendered, wake_at=loading.until)
    started = _start(service, rendered, pod, admitted, fields, now, rebuilt=rebuilt)
    return _measured(started, pod, small=small, spilled=service.key in mitigation.on_disk)


def _stopped(facts: Facts, service: XnaiService, verdict: Verdict | None, mitigation: Mitigation) -> _Outcome | None:
    """A running pod whose memory more important services need, or the machine itself; None when it may stay."""
    pod = facts.observed.pods.get(names.pod(service.namespace, service.name))
    if service.spec.suspend or pod is None or not pod.running:
        return None
    if mitigation.evict == service.key:
        grace = 0 if mitigation.step is Step.KILL else _grace(service)
        message = f"stopped for more important services: the machine is short of memory (step {mitigation.step.word})"
        reason, admitted = Reason.EVICTED, Condition(Type.ADMITTED, False, Reason.MEMORY_PRESSURE, HELD_MESSAGE)
    elif (
        verdict is None or verdict.admitted or verdict.keeps_running or mitigation.starts_blocked
    ):  # nothing would start in its place
        return None
    else:
        grace, reason = _grace(service), Reason.PREEMPTED
        message = f"stopped, for its memory goes to what comes before it: {verdict.sentence}"
        admitted = Condition(Type.ADMITTED, False, verdict.reason, verdict.message)
    relieves = reason is Reason.EVICTED
    stop = Action("stop", pod.name, reason, message, grace_seconds=grace, relief=relieves)
    return replace(_waiting(reason, message, admitted), action=stop)


def _grace(service: XnaiService) -> int:
    return service.spec.termination_grace_period_seconds


def _start(
    service: XnaiService,
    rendered: RenderedPod,
    pod: ObservedPod | None,
    admitted: Condition,
    fields: dict[str, Any],
    now: float,
    *,
    rebuilt: bool,
) -> _Outcome:
    """Nothing stands in the way of a start but back-off after an exit or a failed start."""
    restarts = int(fields["restarts"])
    retry_at = float(service.status.get("retryAtSeconds", 0))
    if service.status.get("observedGeneration") != service.generation:
        restarts, retry_at = 0, 0.0  # what was edited is tried at once
    if pod is None or pod.uid != service.uid:
        reason, message = Reason.POD_MISSING, f"there is no pod; starts {rendered.name}"
    elif pod.hash != rendered.hash:
        reason, message = Reason.SPEC_CHANGED, "what was rendered differs from what runs"
    elif rebuilt:
        reason, message = Reason.IMAGE_CHANGED, f"{service.spec.image} is another image than the one that runs"
    else:
        why = "was killed for want of memory" if pod.oom_killed else f"exited with {pod.exit_code}"
        reason, message = Reason.CONTAINER_EXITED, f"the container {why}"
        if pod.finished_at - pod.started_at > backoff.RESET_AFTER_SECONDS:
            restarts = 0
        retry_at = max(retry_at, pod.finished_at + backoff.delay(restarts))
        restarts += 1
    if retry_at > now:
        waiting = _waiting(Reason.BACK_OFF, f"{message}; waits before the next start", admitted, **fields)
        return replace(waiting, rendered=rendered, wake_at=retry_at)
    starting = _waiting(reason, message, admitted, **(fields | {"restarts": restarts}))
    action = Action("start", rendered.name, reason, message, rendered, _grace(service))
    return replace(starting, action=action, rendered=rendered)


def _measured(outcome: _Outcome, pod: ObservedPod | None, *, small: bool, spilled: bool) -> _Outcome:
    """A restart for the memory of the machine says so."""
    if outcome.action is None or pod is None or outcome.action.reason is not Reason.SPEC_CHANGED:
        return outcome
    if spilled:
        why = Reason.TMPFS_SPILLED, "its tmpfs go to disk: the memory of the machine is short"
    elif small and not pod.reduced:
        why = Reason.MODEL_REDUCED, "its model is loaded smaller: the memory of the machine is short"
    elif pod.reduced and not small:
        why = Reason.MODEL_RESTORED, "its model is loaded as declared: the memory of the machine suffices again"
    else:
        return outcome
    return replace(outcome, action=replace(outcome.action, reason=why[0], message=why[1], relief=True))


def _running(
    facts: Facts,
    service: XnaiService,
    rendered: RenderedPod,
    pod: ObservedPod,
    admitted: Condition,
    fields: dict[str, Any],
    on_disk: frozenset[str],
) -> _Outcome:
    """The pod runs as rendered: say how it is."""
    state = facts.probes.get(pod.name)
    if state is None:  # not asked yet since this process started: what was last stored still holds
        ready = service.stored_ready()
        message = str(service.condition(Type.READY).get("message", "")) if ready else "no probe has answered yet"
    else:
        ready, message = state.ready, state.message
    if ready:
        reason = Reason.PROBE_SUCCEEDED
    else:
        reason = Reason.PROBE_FAILED if state is not None and state.failures else Reason.STARTING
    conditions = [
        Condition(Type.READY, ready, reason, message),
        Condition(Type.HEALTHY, ready if state is not None or ready else None, reason, message),
        admitted,
    ]
    if not ready and not (state is not None and state.started):
        conditions.append(Condition(Type.RECONCILING, True, reason, message))
    conditions += _pressed(facts, pod)
    found, action = facts.mounts.get(pod.name), None
    if found is not None:
        findings = mount_check.check_mounts(
            service, rendered.tmpfs, found, facts.desired.policies, on_disk, may_grow=bool(admitted.status)
        )
        conditions += findings.conditions
        if findings.status:
            fields = fields | {"tmpfs": findings.status}
        if findings.resize:
            action = Action("resize", pod.name, Reason.MOUNT_RESIZED, findings.resize, rendered)
    else:  # not read yet since this process started: what was last stored still holds
        conditions += _stored(service, Type.TMPFS_ENFORCED, Type.TMPFS_FULL)
    conditions.append(_limits(facts.observed))
    return _Outcome(ready, Report(tuple(conditions), fields), action, rendered)


def _limits(observed: Observed) -> Condition:
    """Whether the kernel holds the pods to their limits."""
    if not observed.limits_enforced:
        message = (
            "rootless Podman applies no memory limits here (cgroup v1, or no memory controller); "
            "admission still holds the sum. `xnai doctor` says how to mend it"
        )
    elif observed.missing_controllers:
        message = "memory limits hold, CPU limits do not: there is no cpu controller. `xnai doctor` says how to mend it"
    else:
        message = "the kernel enforces memory and CPU limits"
        return Condition(Type.LIMITS_ENFORCED, True, Reason.LIMITS_APPLIED, message)
    return Condition(Type.LIMITS_ENFORCED, False, Reason.CGROUP_LIMITS_UNAVAILABLE, message)


def _pressed(facts: Facts, pod: ObservedPod) -> list[Condition]:
    """What a shortage of memory means for a pod that runs."""
    if pod.name in facts.pressure.thrashing:
        message = "reads its memory again and again: its limit is too small; raise spec.resources.limits.memory"
        return [Condition(Type.MEMORY_PRESSURE, True, Reason.THRASHING, message)]
    if pod.reduced:
        message = "runs with less context and a q8_0 cache until the memory of the machine suffices and it is idle"
        return [Condition(Type.MEMORY_PRESSURE, True, Reason.MODEL_REDUCED, message)]
    return []


def _stored(service: XnaiService, *types: Type) -> list[Condition]:
    reasons = {reason.value: reason for reason in Reason}  # another version may have stored one this one does not know
    known = [(kind, found) for kind in types if (found := service.condition(kind)).get("reason") in reasons]
    return [Condition(kind, c["status"] == "True", reasons[c["reason"]], c["message"]) for kind, c in known]


def _orphans(facts: Facts, known: set[str]) -> list[Action]:
    """Pods of ours whose resource is gone. A pod of a resource that is only wrong stays."""
    return [
        Action("stop", pod.name, Reason.OWNER_GONE, f"XnaiService {pod.namespace}/{pod.service} is gone")
        for pod in facts.observed.pods.values()
        if f"{pod.namespace}.{pod.service}" not in known
    ]


def _policy(facts: Facts, policy: TmpfsPolicy) -> Report:
    matched = [s.name for s in facts.desired.services.values() if selects(policy, s)]
    if matched:
        message = f"holds for {', '.join(sorted(matched))}"
        return Report((Condition(Type.READY, True, Reason.POLICY_APPLIED, message),), {"services": len(matched)})
    labels = ", ".join(f"{k}={v}" for k, v in policy.spec.selector.match_labels.items()) or "any"
    message = f"spec.selector: no XnaiService in namespace {policy.namespace} has the labels {labels}"
    return Report((Condition(Type.READY, False, Reason.NO_SERVICE_SELECTED, message),), {"services": 0})
