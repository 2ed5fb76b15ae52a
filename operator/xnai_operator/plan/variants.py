"""The service as it is played: with a model loaded smaller, or without limits that the runtime cannot set."""

from dataclasses import replace
from typing import Final

from xnai_operator.api.resources import XnaiService
from xnai_operator.render.variant import Variant

SHARE: Final = 4
LEAST: Final = 512
"""Tokens: fewer hold no question with its sources."""


def played(service: XnaiService, variant: Variant) -> XnaiService:
    """The service as the pod of this variant runs it."""
    return without_limits(reduced(service) if variant.reduced else service, variant.without_limits)


def limits_left_out(service: XnaiService, missing: frozenset[str]) -> frozenset[str]:
    """Those of the controllers `missing` (`memory`, `cpu`) for which the service declares a limit or a request."""
    resources = service.spec.resources
    declared = {"memory": resources.limits.memory or resources.requests.memory, "cpu": resources.limits.cpu}
    return frozenset(controller for controller in missing if declared.get(controller))


def without_limits(service: XnaiService, missing: frozenset[str]) -> XnaiService:
    """The service without requests and limits of cgroup controllers (`memory`, `cpu`) that the runtime lacks."""
    own = service.spec.resources
    limits = own.limits.model_copy(update=dict.fromkeys(missing))
    requests = own.requests.model_copy(update={"memory": None}) if "memory" in missing else own.requests
    resources = own.model_copy(update={"limits": limits, "requests": requests})
    return replace(service, spec=service.spec.model_copy(update={"resources": resources}))


def reduced(service: XnaiService) -> XnaiService:
    """The service with less context, a q8_0 cache and one slot; the same object when nothing can be less.

    Of an 8 B model 8k to 2k tokens free 768 MiB, q8_0 saves 47 % of what remains.
    """
    inference = service.spec.inference
    if inference is None:
        return service
    floor = inference.min_context_size or max(inference.context_size // SHARE, LEAST)
    change = {
        "context_size": min(inference.context_size, floor),
        "kv_cache_type": "q8_0" if inference.kv_cache_type in {"f16", "f32"} else inference.kv_cache_type,
        "parallel": 1,
    }
    if all(getattr(inference, key) == value for key, value in change.items()):
        return service
    smaller = inference.model_copy(update=change)
    return replace(service, spec=service.spec.model_copy(update={"inference": smaller}))
