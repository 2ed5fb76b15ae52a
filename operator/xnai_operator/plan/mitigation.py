"""What is done for the memory of the machine: which service, one at a time, by the step of the pressure ladder."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

from xnai_operator.api.resources import XnaiService
from xnai_operator.memory.admission import Demand, effective_priorities
from xnai_operator.memory.ladder import Step, may_act, next_action_at
from xnai_operator.plan.observed import ObservedMount, ObservedPod
from xnai_operator.plan.types import Facts
from xnai_operator.plan.variants import reduced
from xnai_operator.render import names

SPILL_LEAST: Final = 1 << 20
"""Bytes in use: moving less than this to disk is not worth a restart."""
SHED_SECONDS: Final = 15.0
"""Between refusing new requests and being stopped: what was asked before is answered."""


@dataclass(frozen=True)
class Mitigation:
    """By the service's key. `reduced`: models to run smaller; `on_disk`: services whose tmpfs go to disk; `stop`: the
    one to be stopped now, empty when none. `steps`: pods that are told a step. `wake_at`: when to look again."""

    step: Step = Step.NORMAL
    reduced: frozenset[str] = frozenset()
    on_disk: frozenset[str] = frozenset()
    evict: str = ""
    steps: Mapping[str, Step] = field(default_factory=dict)
    wake_at: float | None = None

    @property
    def starts_blocked(self) -> bool:
        """Whether nothing new starts."""
        return self.step >= Step.HOLD

    @property
    def restarts_blocked(self) -> bool:
        """Whether not even what ended is started again."""
        return self.step >= Step.EVICT


@dataclass(frozen=True)
class _Running:
    key: str
    service: XnaiService
    pod: ObservedPod
    importance: tuple[int, int, int, str]
    """Effective priority, own priority, less what it uses above its request, key: the first to go sorts first."""


def mitigate(
    facts: Facts,
    demands: Mapping[str, Demand],
    movable_to_disk: Mapping[str, frozenset[str]],
    startable: Collection[str],
    now: float,
) -> Mitigation:
    """One measure at most, and only when the last had its time to show. `movable_to_disk`: tmpfs paths that may be on
    disk; `startable`: services that can be started again.

    A measure is for those who are more important: the most important of what runs is never stopped.
    """
    ladder = facts.pressure.ladder
    running = _running(facts, {key: need for key, need in demands.items() if key in movable_to_disk})
    pods = facts.observed.pods.values()
    # Also one whose container ended: it starts again as small as it was.
    small = frozenset(f"{p.namespace}.{p.service}" for p in pods if p.variant.reduced and (p.running or ladder.step))
    may = may_act(ladder, now)
    # Calm is a matter of readings, and these ask for a pass; at the foot of the ladder only time passes.
    waits = not may and not ladder.below_since and (ladder.step is not Step.NORMAL or bool(small))
    later = next_action_at(ladder) if waits else None
    idle = [r for r in running if r.key in startable and r.pod.name in facts.pressure.idle]
    if ladder.step is Step.NORMAL:
        back = [r.key for r in reversed(idle) if r.pod.variant.reduced]
        return Mitigation(reduced=small - set(back[:1] if may else ()), wake_at=later)
    if ladder.step is Step.HOLD:
        return Mitigation(ladder.step, small)
    if ladder.step >= Step.EVICT:
        return _evict(facts, running, small, now, may=may)
    idle = [r for r in idle if r.key not in small | _waiting(facts)]
    shrink = [r.key for r in idle if reduced(r.service) is not r.service]
    if shrink:
        return Mitigation(ladder.step, small | set(shrink[:1] if may else ()), wake_at=later)
    spill: list[str] = []
    if ladder.step is Step.SPILL:
        spill = [r.key for r in idle if not r.pod.variant.on_disk and _in_use(facts, r, movable_to_disk) >= SPILL_LEAST]
    return Mitigation(ladder.step, small, frozenset(spill[:1] if may else ()), wake_at=later)


def _waiting(facts: Facts) -> set[str]:
    """Not yet up: a model is loaded, and nothing of it is measured."""
    return {
        f"{pod.namespace}.{pod.service}"
        for pod in facts.observed.pods.values()
        if pod.name in facts.probes and not facts.probes[pod.name].started
    }


def _running(facts: Facts, demands: Mapping[str, Demand]) -> list[_Running]:
    """Pods a measure may be taken on, the least important first."""
    priorities = effective_priorities(facts.desired.services)
    found = []
    for key, service in facts.desired.services.items():
        pod = facts.observed.pods.get(names.pod(service.namespace, service.name))
        if pod is None or not pod.running or service.spec.suspend or pod.name in facts.busy or key not in demands:
            continue
        over = facts.pressure.used.get(pod.name, 0) - demands[key].total
        found.append(_Running(key, service, pod, (priorities[key], service.spec.priority, -over, key)))
    return sorted(found, key=lambda r: r.importance)


def _in_use(facts: Facts, running: _Running, movable_to_disk: Mapping[str, frozenset[str]]) -> int:
    mounts: tuple[ObservedMount, ...] = facts.mounts.get(running.pod.name, ())
    paths = movable_to_disk.get(running.key, frozenset())
    return sum(mount.used for mount in mounts if mount.mount_path in paths)


def _evict(facts: Facts, running: list[_Running], small: frozenset[str], now: float, *, may: bool) -> Mitigation:
    ladder = facts.pressure.ladder
    top = max((r.importance[0] for r in running), default=0)
    victims = [r for r in running if r.importance[0] < top]
    if not victims or ladder.below_since:
        return Mitigation(ladder.step, small)
    first = victims[0]
    # The one that goes next refuses new requests until it goes; what is stopped at once is not told.
    steps = {first.pod.name: ladder.step}
    shed_until = 0.0 if ladder.step is Step.KILL else ladder.changed_at + SHED_SECONDS
    ready = may and now >= shed_until
    wake = None if ready else max(shed_until, next_action_at(ladder))
    return Mitigation(ladder.step, small, evict=first.key if ready else "", steps=steps, wake_at=wake)
