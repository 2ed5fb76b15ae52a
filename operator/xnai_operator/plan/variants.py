"""The service as it is played: with a model loaded smaller, or without limits that the runtime cannot set."""

from dataclasses import replace
from typing import Final

from xnai_operator.api.resources import XnaiService
from xnai_operator.memory.gguf_header import ModelHeader
from xnai_operator.memory.model_size import cache_type_fault
from xnai_operator.render.variant import Variant

CONTEXT_DIVISOR: Final = 4
"""A reduced context is a quarter of the declared one, unless `minContextSize` says otherwise."""
SMALLEST_CONTEXT: Final = 512
"""Tokens. A smaller context cannot hold a question together with its sources."""


def played(service: XnaiService, variant: Variant, model: ModelHeader | None = None) -> XnaiService:
    """The service as the pod of this variant runs it. `model`: the header of its model, where that is known."""
    return without_limits(reduced(service, model) if variant.reduced else service, variant.without_limits)


def limits_left_out(service: XnaiService, missing: frozenset[str]) -> frozenset[str]:
    """Those of the controllers `missing` (`memory`, `cpu`) for which the service declares a limit or a request."""
    resources = service.spec.resources
    declared = {"memory": resources.limits.memory or resources.requests.memory, "cpu": resources.limits.cpu}
    return frozenset(controller for controller in missing if declared.get(controller))


def without_limits(service: XnaiService, missing: frozenset[str]) -> XnaiService:
    """The service without the requests and limits of the `missing` cgroup controllers (`memory`, `cpu`)."""
    own = service.spec.resources
    limits = own.limits.model_copy(update=dict.fromkeys(missing))
    requests = own.requests.model_copy(update={"memory": None}) if "memory" in missing else own.requests
    resources = own.model_copy(update={"limits": limits, "requests": requests})
    return replace(service, spec=service.spec.model_copy(update={"resources": resources}))


def reduced(service: XnaiService, model: ModelHeader | None = None) -> XnaiService:
    """The service with a smaller context, a q8_0 cache and one slot; the same object when nothing can be smaller. A
    model whose heads are no whole blocks of q8_0 keeps its type of cache: llama.cpp would not load it.

    For a model of 8 B parameters, 2k instead of 8k tokens free 768 MiB, and q8_0 saves 47 % of the rest.
    """
    inference = service.spec.inference
    if inference is None:
        return service
    floor = inference.min_context_size or max(inference.context_size // CONTEXT_DIVISOR, SMALLEST_CONTEXT)
    blocks = model is None or cache_type_fault(model, "q8_0") is None
    change = {
        "context_size": min(inference.context_size, floor),
        "kv_cache_type": "q8_0" if blocks and inference.kv_cache_type in {"f16", "f32"} else inference.kv_cache_type,
        "parallel": 1,
    }
    if all(getattr(inference, field) == value for field, value in change.items()):
        return service
    smaller = inference.model_copy(update=change)
    return replace(service, spec=service.spec.model_copy(update={"inference": smaller}))
