"""The inference contract: how `spec.inference` reaches the container."""

from typing import Final

from xnai_operator.api.quantity import to_millicores
from xnai_operator.api.xnaiservice import XnaiServiceSpec

MODEL_DIRECTORY: Final = "/models"
SIGNAL_DIRECTORY: Final = "/run/xnai"
SIGNAL_FILE: Final = "pressure"
"""Holds the step of the pressure ladder the service is to follow: 0, or 4 and more, when it refuses new requests."""


def threads(spec: XnaiServiceSpec, cores: int) -> int:
    """Threads for llama.cpp: as asked, else the CPU limit rounded up, never more than the cores or the CPU set.

    More threads than the quota halve the throughput: spinning threads are throttled (measured 84 -> 42 tok/s).
    """
    assert spec.inference is not None
    if spec.inference.threads is not None:
        return spec.inference.threads
    limit = spec.resources.limits.cpu
    most = min(cores, len(spec.resources.cpus) or cores)
    return min(most, -(-to_millicores(limit) // 1000)) if limit else most


def environment(spec: XnaiServiceSpec, cores: int) -> dict[str, str]:
    """XNAI_MODEL and the others; empty for a service that does no inference."""
    if spec.inference is None:
        return {}
    inference = spec.inference
    return {
        "XNAI_MODEL": f"{MODEL_DIRECTORY}/{inference.model.file}",
        "XNAI_CTX": str(inference.context_size),
        "XNAI_SLOTS": str(inference.parallel),
        "XNAI_THREADS": str(threads(spec, cores)),
        "XNAI_KV_TYPE": inference.kv_cache_type,
        "XNAI_DEVICE": inference.device,
        "XNAI_PRESSURE": f"{SIGNAL_DIRECTORY}/{SIGNAL_FILE}",
    }
