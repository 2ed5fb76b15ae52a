"""How much memory one service needs. Sizes in bytes."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from xnai_operator.api.quantity import MI, to_bytes
from xnai_operator.api.resources import XnaiService, key_of
from xnai_operator.api.xnaiservice import VULKAN_DEVICE, TmpfsMount
from xnai_operator.memory.allocation import Allocation
from xnai_operator.memory.gguf_header import ModelHeader
from xnai_operator.memory.model_size import ModelOptions, size
from xnai_operator.tmpfs.mounts import size_of

DEFAULT_REQUEST: Final = 64 * MI
"""The request of a service that declares neither request nor limit: a small Python process needs this much."""


class Source(Enum):
    """Where a request comes from."""

    DECLARED = "declared, or read from the header of the model"
    LIMIT = "the memory limit"
    USE = "the highest memory use so far"


@dataclass(frozen=True)
class Demand:
    """The memory and the GPU that one service needs.

    `request`: memory of its processes, known from `source`. `tmpfs`: sum of the sizes of its mounts.
    `movable_to_disk`: the part of `tmpfs` that may be on disk instead. `files`: its config and secrets, which the
    operator writes, so that no pod's limit counts them. `mapped`: weights mapped from `model_file`; all services that
    map one file share them. `device`: the GPU it needs for itself, or empty.
    `scheduled`: the service has its place: its pod runs, or is being started again. No peer takes that place.
    `allocation`: what its running pod was admitted with. `after`: keys of the services it depends on.
    """

    key: str
    priority: int
    created: str
    request: int
    tmpfs: int
    scheduled: bool = False
    files: int = 0
    mapped: int = 0
    model_file: str = ""
    movable_to_disk: int = 0
    device: str = ""
    allocation: Allocation | None = None
    source: Source = Source.DECLARED
    after: frozenset[str] = frozenset()

    @property
    def private_bytes(self) -> int:
        """Memory that is not shared with other pods and cannot be reclaimed: processes, tmpfs, files."""
        return self.request + self.tmpfs + self.files

    @property
    def total(self) -> int:
        """All memory, weights included: a model whose weights are not in memory is slow (65 -> 3.9 tokens/s)."""
        return self.private_bytes + self.mapped

    @property
    def requested(self) -> Allocation:
        """The allocation of a pod that is admitted with this demand."""
        return Allocation(self.private_bytes, self.mapped, self.model_file, self.device)

    @property
    def without_tmpfs(self) -> Allocation:
        """The allocation for the pod's label, without tmpfs: the sizes of mounts change while the pod runs, and are
        read from the pod. A request that comes from the memory limit includes the tmpfs."""
        limited = self.source is Source.LIMIT
        private_bytes = self.private_bytes if limited else self.request + self.files
        return replace(self.requested, private_bytes=private_bytes, includes_tmpfs=limited)


def model_options(service: XnaiService) -> ModelOptions:
    """How the service loads its model (the inference contract). The service must have `spec.inference`."""
    inference = service.spec.inference
    assert inference is not None
    return ModelOptions(
        context=inference.context_size,
        slots=inference.parallel,
        kv_type=inference.kv_cache_type,
        runtime=inference.runtime,
        device=inference.device,
    )


def demand(
    service: XnaiService, tmpfs: Iterable[TmpfsMount], model: ModelHeader | None = None, *, high_water: int = 0
) -> Demand:
    """The demand of a service with the given tmpfs mounts and model.

    The request is the declared one. Without it, for a model, the size computed from its header; else the memory limit
    less the tmpfs; else `high_water`, the highest memory use so far, but at least DEFAULT_REQUEST.
    """
    resources, inference = service.spec.resources, service.spec.inference
    sizes = sum(size_of(mount) for mount in tmpfs)
    mapped, file, source = 0, "", Source.DECLARED
    if resources.requests.memory is not None:
        request = to_bytes(resources.requests.memory)
    elif model is not None and inference is not None:
        needed = size(model, model_options(service))
        request, mapped, file = needed.anonymous, needed.mapped, inference.model.file
    elif resources.limits.memory is not None:
        request, source = max(to_bytes(resources.limits.memory) - sizes, 0), Source.LIMIT
    else:
        request, source = max(DEFAULT_REQUEST, high_water), Source.USE
    return Demand(
        service.key,
        service.spec.priority,
        service.created,
        request,
        sizes,
        mapped=mapped,
        model_file=file,
        device=VULKAN_DEVICE if inference is not None and inference.device == "vulkan" else "",
        source=source,
        after=frozenset(key_of(service.namespace, name) for name in service.spec.depends_on),
    )
