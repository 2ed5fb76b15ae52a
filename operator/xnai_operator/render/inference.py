"""The inference contract: how `spec.inference` reaches the container."""

from typing import Final

from xnai_operator.api.quantity import to_cores
from xnai_operator.api.xnaiservice import XnaiServiceSpec

MODEL_DIRECTORY: Final = "/models"
SIGNAL_DIRECTORY: Final = "/run/xnai"
SIGNAL_FILE: Final = "pressure"
"""The file holds the step of the pressure ladder. From step 4 on, the service refuses new requests."""


def threads(spec: XnaiServiceSpec, cores: int) -> int:
    """Threads for llama.cpp: the declared number, or the CPU limit rounded up, at most the cores and the CPU set.

    `cores`: physical cores of the node. More threads than the CPU limit halve the throughput, because the kernel
    throttles threads that spin (measured 84 -> 42 tok/s).
    """
    assert spec.inference is not None
    if spec.inference.threads is not None:
        return spec.inference.threads
    limit = spec.resources.limits.cpu
    most = min(cores, len(spec.resources.cpus) or cores)
    return min(most, to_cores(limit)) if limit else most


def variables(spec: XnaiServiceSpec, cores: int) -> dict[str, str]:
    """The environment variables of the inference contract: name -> value. Empty for a service without inference."""
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
