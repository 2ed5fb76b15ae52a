"""One model is loaded at a time: two loads side by side need the memory and the disk of both at once."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from xnai_operator.api.resources import XnaiService
from xnai_operator.plan.observed import ObservedPod
from xnai_operator.plan.types import Facts
from xnai_operator.render import names

LONGEST_SECONDS: Final = 300.0
"""A load that is not over by then keeps nobody waiting: it may never be."""


@dataclass(frozen=True)
class ModelLoad:
    """The service that is loading its model, and when it no longer counts; None: an event will tell."""

    service: str
    until: float | None = None


def other_model_load(facts: Facts, service: XnaiService, starting: Collection[str], now: float) -> ModelLoad | None:
    """Another service that loads a model now, or is about to (`starting`: keys). None for one without a model."""
    if service.spec.inference is None:
        return None
    for key, other in facts.desired.services.items():
        if key == service.key or other.spec.inference is None:
            continue
        pod = facts.observed.pods.get(names.pod(other.namespace, other.name))
        if key in starting or names.pod(other.namespace, other.name) in facts.busy:
            return ModelLoad(other.name)
        if (
            pod is not None
            and pod.running
            and now < pod.started_at + LONGEST_SECONDS
            and not _loaded(facts, other, pod)
        ):
            return ModelLoad(other.name, pod.started_at + LONGEST_SECONDS)
    return None


def _loaded(facts: Facts, service: XnaiService, pod: ObservedPod) -> bool:
    """Whether its startup probe has succeeded, or what was stored says so while no probe has answered yet."""
    state = facts.probes.get(pod.name)
    if state is not None:
        return state.started
    return service.stored_ready()
