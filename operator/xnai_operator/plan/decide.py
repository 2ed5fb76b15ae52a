"""The decision of a pass: what to start, stop and resize, and what to write into every status. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final

from xnai_operator.api.conditions import Condition, Reason, Type
from xnai_operator.api.images import image_id
from xnai_operator.api.kinds import XNAI_SERVICE
from xnai_operator.api.resources import TmpfsPolicy
from xnai_operator.memory.importance import decision_order
from xnai_operator.plan.case import Candidate, Case, Outcome, assess, refused
from xnai_operator.plan.demands import memory_high_water
from xnai_operator.plan.gates import REFUSALS, STEPS, preempted
from xnai_operator.plan.ingress import ingress
from xnai_operator.plan.start import restart_fields, with_limit_warning
from xnai_operator.plan.types import Action, Facts, Plan, Report, Stop
from xnai_operator.plan.variants import limits_left_out, played
from xnai_operator.render.intent import PodIntent
from xnai_operator.render.variant import Variant
from xnai_operator.tmpfs.fallback import may_be_on_disk
from xnai_operator.tmpfs.mounts import selects

SWEEP_SECONDS: Final = 60.0
"""Directories of pods that somebody removed by hand hold memory: they are looked for this often."""


def decide(facts: Facts, now: float) -> Plan:
    """One pass. `now` in seconds since the epoch."""
    services, assessment = facts.desired.services, assess(facts, now)
    outcomes: dict[str, Outcome] = {}
    cases = [
        Case(facts=facts, service=service, assessment=assessment, earlier=outcomes, now=now)
        for service in decision_order(services)
    ]
    for case in cases:
        outcomes[case.key] = outcome_of(case)
    reports, policies = _reports(facts, outcomes)
    actions = [*_orphans(facts, {*outcomes, *reports}), *(o.action for o in outcomes.values() if o.action is not None)]
    actions = _memory_first(actions, cases)
    wakes = [at for at in (assessment.mitigation.wake_at, *(o.wake_at for o in outcomes.values())) if at is not None]
    rendered = {key: outcome.rendered for key, outcome in outcomes.items() if outcome.rendered is not None}
    loaded = {s.spec.inference.model.file for k, s in services.items() if s.spec.inference and _runs(facts, k)}
    return Plan(
        actions=tuple(actions),
        services={key: _announced(facts, key, report) for key, report in reports.items()},
        policies=policies,
        rendered=rendered,
        wake_at=min(wakes, default=None),
        steps=assessment.mitigation.steps,
        ingress=ingress(services),
        sweep=not actions and not facts.busy and now - facts.swept_at >= SWEEP_SECONDS,
        drop_caches=frozenset(facts.desired.models) - loaded if facts.pressure.left_normal else frozenset(),
    )


def outcome_of(case: Case) -> Outcome:
    """What the first gate that stops the service says."""
    for refusal in REFUSALS:
        if (outcome := refusal(case)) is not None:
            return outcome
    candidate = _candidate(case)
    outcome = next(outcome for step in STEPS if (outcome := step(candidate)) is not None)
    return with_limit_warning(case, outcome)


def _candidate(case: Case) -> Candidate:
    """The service as it would be started now."""
    facts, service, demands, mitigation = case.facts, case.service, case.assessment.demands, case.mitigation
    mounts, demand, verdict = case.assessment.mounts[case.key], demands.by_key[case.key], case.verdict
    assert verdict is not None  # every demand has a verdict
    on_disk = demands.on_disk.get(case.key, frozenset())
    if verdict.on_disk or case.key in mitigation.on_disk:
        on_disk = may_be_on_disk(service, mounts, facts.desired.policies)
    variant = Variant(
        reduced=case.key in mitigation.reduced,
        on_disk=on_disk,
        without_limits=limits_left_out(service, facts.observed.missing_controllers),
    )
    intent = PodIntent(
        service=played(service, variant, facts.desired.header(service)),
        tmpfs=mounts,
        contents=facts.desired.contents.get(service.namespace, {}),
        variant=variant,
        allocation=demand.without_tmpfs,
    )
    fields: dict[str, Any] = {
        **restart_fields(case),
        "memoryRequestBytes": demand.total - (demand.movable_to_disk if verdict.on_disk else 0),
    }
    if case.pod is not None and (most := memory_high_water(service, facts.pressure.used.get(case.key, 0))):
        fields["memoryHighWaterBytes"] = most
    image = image_id(facts.observed.images, service.spec.image)
    return Candidate(
        case=case,
        verdict=verdict,
        rendered=facts.node.render(intent),
        image_changed=case.pod is not None and case.pod.image_id not in {"", image},
        fields=fields,
    )


def _memory_first(actions: list[Action], cases: Iterable[Case]) -> list[Action]:
    """While a service is to be preempted only stops are carried out; the pass after them starts what the memory is for.
    This holds also while an earlier action on the preempted service is under way."""
    if any(preempted(case) is not None for case in cases):
        return [action for action in actions if isinstance(action, Stop)]
    return actions


def _reports(facts: Facts, outcomes: Mapping[str, Outcome]) -> tuple[dict[str, Report], dict[str, Report]]:
    """The reports of services and of policies, those of invalid resources among them."""
    services = {key: outcome.report for key, outcome in outcomes.items() if outcome.report is not None}
    policies = {policy.key: _policy(facts, policy) for policy in facts.desired.policies}
    for invalid in facts.desired.invalid:
        report = refused(Reason.SPEC_INVALID, invalid.message).report
        assert report is not None
        (services if invalid.kind == XNAI_SERVICE.name else policies)[invalid.key] = report
    return services, policies


def _announced(facts: Facts, key: str, report: Report) -> Report:
    """The report with the conditions that post an event."""
    service = facts.desired.services.get(key)
    if service is None:
        return report
    new = (c for c in report.conditions if c.type.posts_event and c.reason.value != service.stored_reason(c.type))
    return replace(report, announced=tuple(new))


def _runs(facts: Facts, key: str) -> bool:
    pod = facts.observed.pods.get(key)
    return pod is not None and pod.running


def _orphans(facts: Facts, known: set[str]) -> list[Action]:
    """Stops for pods whose resource is gone. The pod of a resource that is only wrong stays."""
    return [
        Stop(name=pod.name, reason=Reason.OWNER_GONE, message=f"XnaiService {pod.namespace}/{pod.service} is gone")
        for pod in facts.observed.pods.values()
        if pod.key not in known
    ]


def _policy(facts: Facts, policy: TmpfsPolicy) -> Report:
    matched = [s.name for s in facts.desired.services.values() if selects(policy, s)]
    if matched:
        message = f"holds for {', '.join(sorted(matched))}"
        return Report((Condition(Type.READY, True, Reason.POLICY_APPLIED, message),), {"services": len(matched)})
    labels = ", ".join(f"{k}={v}" for k, v in policy.spec.selector.match_labels.items()) or "any"
    message = f"spec.selector: no XnaiService in namespace {policy.namespace} has the labels {labels}"
    return Report((Condition(Type.READY, False, Reason.NO_SERVICE_SELECTED, message),), {"services": 0})
