"""Models are loaded one at a time: two loads at once would need the memory and the disk of both."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from xnai_operator.api.resources import XnaiService
from xnai_operator.plan.observed import ObservedPod
from xnai_operator.plan.types import Facts

LONGEST_SECONDS: Final = 300.0
"""A load that takes longer no longer delays other loads: it may never end."""


@dataclass(frozen=True)
class ModelLoad:
    """The name of a service that is loading its model. `until`: seconds since the epoch when the load no longer delays
    others; None when an event will end it."""

    service: str
    until: float | None = None


def other_model_load(facts: Facts, service: XnaiService, starting: Collection[str], now: float) -> ModelLoad | None:
    """The load that the service must wait for: of another service that loads its model, or is about to start.

    `starting`: keys of the services that this pass starts. None when nothing delays the service, and always for a
    service without a model.
    """
    if service.spec.inference is None:
        return None
    for key, other in facts.desired.services.items():
        if key == service.key or other.spec.inference is None:
            continue
        if key in starting or key in facts.busy:
            return ModelLoad(other.name)
        pod = facts.pod(other)
        if pod is None or not pod.running or _loaded(facts, other, pod):
            continue
        if now < (until := pod.started_at + LONGEST_SECONDS):
            return ModelLoad(other.name, until)
    return None


def _loaded(facts: Facts, service: XnaiService, pod: ObservedPod) -> bool:
    """Whether the startup probe has succeeded. Before the first answer of a probe, the stored status decides."""
    state = facts.probes.get(pod.name)
    if state is not None:
        return state.started
    return service.stored_ready()
