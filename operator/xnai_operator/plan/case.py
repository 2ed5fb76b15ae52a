"""What a gate decides about: the node as a whole, one service, and one service with its rendered pod."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from xnai_operator.api.conditions import Condition, Reason, Type
from xnai_operator.api.resources import XnaiService
from xnai_operator.api.xnaiservice import TmpfsMount
from xnai_operator.checks import preflight
from xnai_operator.errors import SpecError
from xnai_operator.health.readiness import ProbeState
from xnai_operator.memory.admission import Verdict, admit
from xnai_operator.plan.demands import Demands, collect_demands
from xnai_operator.plan.mitigation import Mitigation, mitigate
from xnai_operator.plan.observed import ObservedPod
from xnai_operator.plan.types import Action, Facts, Report
from xnai_operator.render.pod import RenderedPod
from xnai_operator.tmpfs.mounts import merged_within


@dataclass(frozen=True)
class Outcome:
    """The decision about one service. `ready`: its dependants may start. `report`: None leaves the status as it is."""

    ready: bool
    report: Report | None
    action: Action | None = None
    rendered: RenderedPod | None = None
    wake_at: float | None = None

    def with_condition(self, condition: Condition) -> "Outcome":
        """The outcome with one more condition; unchanged when it has no report."""
        if self.report is None:
            return self
        return replace(self, report=replace(self.report, conditions=(*self.report.conditions, condition)))


@dataclass(frozen=True)
class Assessment:
    """What admission and the pressure ladder say about all services of the node together. By the service's key."""

    mounts: Mapping[str, list[TmpfsMount]]
    conflicts: Mapping[str, SpecError]
    violations: Mapping[str, preflight.Violation]
    demands: Demands
    verdicts: Mapping[str, Verdict]
    mitigation: Mitigation


def assess(facts: Facts, now: float) -> Assessment:
    """The assessment of the node. `now` in seconds since the epoch."""
    services = facts.desired.services
    mounts: dict[str, list[TmpfsMount]] = {}
    conflicts: dict[str, SpecError] = {}
    for key, service in services.items():
        try:
            mounts[key] = _startable_mounts(facts, service)
        except SpecError as error:
            conflicts[key] = error
    checked = {key: preflight.first_violation(checks_input(facts, services[key], mounts[key])) for key in mounts}
    violations = {key: violation for key, violation in checked.items() if violation is not None}
    demands = collect_demands(facts, mounts, violations)
    verdicts = admit(demands.by_key.values(), facts.node.allocatable)
    startable = {key for key, verdict in verdicts.items() if verdict.admitted and key not in violations}
    mitigation = mitigate(facts, demands.by_key, demands.movable_to_disk, startable, now)
    return Assessment(mounts, conflicts, violations, demands, verdicts, mitigation)


def _startable_mounts(facts: Facts, service: XnaiService) -> list[TmpfsMount]:
    """The merged mounts, with sizes by use only where the memory limit holds them. Raises SpecError when two policies
    conflict."""

    def fits(mounts: list[TmpfsMount]) -> bool:
        return preflight.memory_limit(checks_input(facts, service, mounts)) is None

    return merged_within(service, facts.desired.policies, fits)


def checks_input(facts: Facts, service: XnaiService, mounts: list[TmpfsMount]) -> preflight.Input:
    """What the pre-flight checks look at for this service."""
    return preflight.Input(
        service=service,
        services=facts.desired.services,
        tmpfs=mounts,
        contents=facts.desired.contents.get(service.namespace, {}),
        images=facts.observed.images,
        models=facts.desired.models,
        volumes=facts.observed.volumes,
        held_ports={pod.key: pod.ports for pod in facts.observed.pods.values()},
        port_faults=facts.unmet.ports,
        path_faults=facts.unmet.paths,
        gpus=facts.node.gpus,
        cpus=facts.node.cpus,
        cores=facts.node.cores,
    )


@dataclass(frozen=True, kw_only=True)
class Case:
    """One service before anything is rendered. `earlier`: outcomes of the services decided before it in this pass, its
    dependencies among them. `now` in seconds since the epoch."""

    facts: Facts
    service: XnaiService
    assessment: Assessment
    earlier: Mapping[str, Outcome]
    now: float

    @property
    def key(self) -> str:
        """The service's key, which is also its pod's name."""
        return self.service.key

    @property
    def pod(self) -> ObservedPod | None:
        """The service's pod; None when there is none."""
        return self.facts.pod(self.service)

    @property
    def running(self) -> bool:
        """Whether the service's container runs."""
        return self.pod is not None and self.pod.running

    @property
    def initialising(self) -> bool:
        """Whether the pod is being started, and one of its init containers runs."""
        return self.pod is not None and self.pod.init_container != "" and self.key in self.facts.busy

    @property
    def verdict(self) -> Verdict | None:
        """What admission says; None for a service that does not count (suspended or faulty, and not running)."""
        return self.assessment.verdicts.get(self.key)

    @property
    def mitigation(self) -> Mitigation:
        """What the pressure ladder asks for."""
        return self.assessment.mitigation

    @cached_property
    def probes(self) -> ProbeState:
        """What the probes of the running container said."""
        return self.facts.probes.get(self.key, ProbeState())

    def waiting(self, reason: Reason, message: str, *more: Condition) -> Outcome:
        """Something outside the resource has to change first."""
        conditions = (
            Condition(Type.READY, False, reason, message),
            Condition(Type.RECONCILING, True, reason, message),
            *more,
        )
        return Outcome(False, Report(conditions))

    def keep_serving(self, outcome: Outcome) -> Outcome:
        """Keep the running pod's readiness and stored conditions, so that a refused change does not affect
        dependants."""
        if not self.running or outcome.report is None:
            return outcome
        conditions = (*outcome.report.conditions, *self.stored(*(kind for kind in Type if kind.belongs_to_pod)))
        return replace(outcome, ready=self.probes.ready, report=replace(outcome.report, conditions=conditions))

    def stored(self, *types: Type) -> list[Condition]:
        """The conditions of these types as the status has them. A reason of another version is left out."""
        reasons = {reason.value: reason for reason in Reason}
        found = [(kind, c) for kind in types if (c := self.service.condition(kind)) is not None]
        return [
            Condition(kind, c.status == "True", reasons[c.reason], c.message)
            for kind, c in found
            if c.reason in reasons
        ]


def refused(reason: Reason, message: str) -> Outcome:
    """Only an edit of the resource helps. A running pod is left alone."""
    conditions = (
        Condition(Type.READY, False, reason, message),
        Condition(Type.STALLED, True, reason, message),
    )
    return Outcome(False, Report(conditions))


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One service with its rendered pod. `fields`: status fields beside the conditions. `image_changed`: the running
    container has another image than its name stands for."""

    case: Case
    verdict: Verdict
    rendered: RenderedPod
    image_changed: bool
    fields: Mapping[str, Any] = field(default_factory=dict)

    @property
    def service(self) -> XnaiService:
        """The service."""
        return self.case.service

    @property
    def pod(self) -> ObservedPod | None:
        """The service's pod; None when there is none."""
        return self.case.pod

    @property
    def admitted(self) -> Condition:
        """The condition Admitted, with the whole sum as its message."""
        return Condition(Type.ADMITTED, self.verdict.admitted, self.verdict.reason, self.verdict.message)

    @property
    def as_rendered(self) -> bool:
        """Whether the service's container runs and is what would be started now."""
        return self.unchanged and self.case.running

    @property
    def unchanged(self) -> bool:
        """Whether the pod is what would be started now."""
        pod = self.pod
        same = pod is not None and pod.uid == self.service.uid and pod.hash == self.rendered.hash
        return same and not self.image_changed

    def waiting(
        self, reason: Reason, message: str, admitted: Condition | None = None, *, wake_at: float | None = None
    ) -> Outcome:
        """The start has to wait. `admitted` replaces the condition Admitted."""
        outcome = self.case.waiting(reason, message, admitted or self.admitted)
        assert outcome.report is not None
        report = replace(outcome.report, fields=self.fields)
        return replace(outcome, report=report, rendered=self.rendered, wake_at=wake_at)
