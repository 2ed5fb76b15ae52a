"""What the operator does when memory is short: the action of the pressure ladder's step, on one service at a time."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from xnai_operator.api.quantity import MI
from xnai_operator.api.resources import XnaiService
from xnai_operator.memory.demand import Demand
from xnai_operator.memory.importance import EvictionRank, effective_priorities
from xnai_operator.memory.ladder import Step, may_act, next_action_at
from xnai_operator.plan.observed import ObservedPod
from xnai_operator.plan.types import Facts
from xnai_operator.plan.variants import reduced

SMALLEST_SPILL: Final = MI
"""Bytes in use. Moving less to disk is not worth a restart."""
SHED_SECONDS: Final = 15.0
"""Between refusing new requests and the eviction: the service answers the requests that it has accepted."""


@dataclass(frozen=True)
class Mitigation:
    """By the service's key. `reduced`: services that run with a smaller model. `on_disk`: services whose movable tmpfs
    mounts go to disk. `evict`: the service to be stopped now; empty when none is. `steps`: pods that receive a step of
    the ladder. `wake_at`: seconds since the epoch when the next decision is due."""

    step: Step = Step.NORMAL
    reduced: frozenset[str] = frozenset()
    on_disk: frozenset[str] = frozenset()
    evict: str = ""
    steps: Mapping[str, Step] = field(default_factory=dict)
    wake_at: float | None = None

    @property
    def starts_blocked(self) -> bool:
        """Whether a service without a pod must not start."""
        return self.step >= Step.HOLD

    @property
    def restarts_blocked(self) -> bool:
        """Whether a service whose container ended must not start again."""
        return self.step >= Step.EVICT


@dataclass(frozen=True)
class _Candidate:
    """A running service that an action may be taken on."""

    key: str
    service: XnaiService
    pod: ObservedPod
    rank: EvictionRank


def mitigate(
    facts: Facts,
    demands: Mapping[str, Demand],
    movable_to_disk: Mapping[str, frozenset[str]],
    startable: Collection[str],
    now: float,
) -> Mitigation:
    """At most one new action, and only when the previous one has had time to take effect.

    `movable_to_disk`: paths of tmpfs mounts that may be on disk. `startable`: keys of services that can start again.
    The most important of the running services, and the services it depends on, are never stopped.
    """
    ladder = facts.pressure.ladder
    candidates = _candidates(facts, {key: found for key, found in demands.items() if key in movable_to_disk})
    # Includes a pod whose container ended under pressure: it starts again with the smaller model.
    small = frozenset(p.key for p in facts.observed.pods.values() if p.variant.reduced and (p.running or ladder.step))
    if ladder.step >= Step.EVICT:
        return _evict(facts, candidates, small, now)
    if ladder.step is Step.HOLD:
        return Mitigation(ladder.step, small)
    may = may_act(ladder, now)
    # While readings are calm, each reading requests a pass. At NORMAL nothing does, so wake up by time.
    waits = not may and not ladder.below_since and (ladder.step is not Step.NORMAL or bool(small))
    wake_at = next_action_at(ladder) if waits else None
    idle = [c for c in candidates if c.key in startable and c.pod.name in facts.pressure.idle]
    if ladder.step is Step.NORMAL:
        restored = [c.key for c in reversed(idle) if c.pod.variant.reduced]
        return Mitigation(reduced=small - set(restored[:1] if may else ()), wake_at=wake_at)
    idle = [c for c in idle if c.key not in small | _starting(facts)]
    shrink = [c.key for c in idle if reduced(c.service, facts.desired.header(c.service)) is not c.service]
    if shrink:
        return Mitigation(ladder.step, small | set(shrink[:1] if may else ()), wake_at=wake_at)
    spill: list[str] = []
    if ladder.step is Step.SPILL:
        spill = [
            c.key for c in idle if not c.pod.variant.on_disk and _in_use(facts, c, movable_to_disk) >= SMALLEST_SPILL
        ]
    return Mitigation(ladder.step, small, frozenset(spill[:1] if may else ()), wake_at=wake_at)


def _starting(facts: Facts) -> set[str]:
    """Keys of services whose startup probe has not succeeded: they may be loading a model, and their use says nothing
    yet."""
    pods = [pod for pod in facts.observed.pods.values() if pod.name in facts.probes]
    return {pod.key for pod in pods if not facts.probes[pod.name].started}


def _candidates(facts: Facts, demands: Mapping[str, Demand]) -> list[_Candidate]:
    """Running services in the order of eviction: the least important first."""
    priorities = effective_priorities(facts.desired.services)
    found = []
    for key, service in facts.desired.services.items():
        pod = facts.pod(service)
        if pod is None or not pod.running or service.spec.suspend or pod.name in facts.busy or key not in demands:
            continue
        within = demands[key].total - facts.pressure.used.get(pod.name, 0)
        found.append(_Candidate(key, service, pod, EvictionRank(priorities[key], service.spec.priority, within, key)))
    return sorted(found, key=lambda candidate: candidate.rank)


def _in_use(facts: Facts, candidate: _Candidate, movable_to_disk: Mapping[str, frozenset[str]]) -> int:
    """Bytes in use in the candidate's movable tmpfs mounts."""
    paths = movable_to_disk.get(candidate.key, frozenset())
    return sum(mount.used for mount in facts.mounts.get(candidate.pod.name, ()) if mount.mount_path in paths)


def _evict(facts: Facts, candidates: list[_Candidate], small: frozenset[str], now: float) -> Mitigation:
    """Stop the least important candidate, unless it is as important as the most important one.

    Before an eviction with grace the service receives the step, so that it refuses new requests. At KILL it stops at
    once.
    """
    ladder = facts.pressure.ladder
    highest = max((c.rank.effective_priority for c in candidates), default=0)
    victims = [c for c in candidates if c.rank.effective_priority < highest]
    if not victims or ladder.below_since:
        return Mitigation(ladder.step, small)
    victim = victims[0]
    shed_until = 0.0 if ladder.step is Step.KILL else ladder.changed_at + SHED_SECONDS
    ready = may_act(ladder, now) and now >= shed_until
    return Mitigation(
        ladder.step,
        small,
        evict=victim.key if ready else "",
        steps={victim.pod.name: ladder.step},
        wake_at=None if ready else max(shed_until, next_action_at(ladder)),
    )
