"""Admission: a service starts only when its request fits beside what is more important. Sizes in bytes."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from xnai_operator.api.conditions import Reason
from xnai_operator.api.quantity import to_bytes
from xnai_operator.api.resources import XnaiService
from xnai_operator.api.xnaiservice import TmpfsMount
from xnai_operator.memory.model import ModelHeader
from xnai_operator.memory.sizing import Load, size

MI = 1 << 20
VULKAN = "/dev/dri/renderD128"
"""The render node that a model with `device: vulkan` gets."""
DEFAULT_REQUEST = 64 * MI
"""For a service that declares neither request nor limit: what a small Python process takes."""


@dataclass(frozen=True)
class Demand:
    """What one service needs. `request` is what its processes take, `tmpfs` the sum of its mounts' sizes, `mapped` the
    weights it maps from `model_file`, which are in memory once however many services map them,
    `spillable` the part of `tmpfs` that may be on disk instead. `device`: the GPU it takes for itself, or empty."""

    key: str
    priority: int
    created: str
    request: int
    tmpfs: int
    running: bool = False
    mapped: int = 0
    model_file: str = ""
    spillable: int = 0
    device: str = ""

    @property
    def total(self) -> int:
        """All of it: processes and tmpfs cannot be reclaimed, and without its weights a model crawls."""
        return self.request + self.tmpfs + self.mapped


@dataclass(frozen=True)
class Verdict:
    """Whether it fits (`reason`), and the sum as a sentence. `on_disk`: without the tmpfs that may be on disk."""

    reason: Reason
    message: str
    on_disk: bool = False

    @property
    def admitted(self) -> bool:
        """Whether it may run."""
        return self.reason is Reason.FITS


def load(service: XnaiService) -> Load:
    """How the service loads its model (the inference contract)."""
    inference = service.spec.inference
    assert inference is not None
    return Load(
        context=inference.context_size,
        slots=inference.parallel,
        kv_type=inference.kv_cache_type,
        runtime=inference.runtime,
        device=inference.device,
    )


def demand(
    service: XnaiService,
    tmpfs: Iterable[TmpfsMount],
    model: ModelHeader | None = None,
    *,
    priority: int | None = None,
    running: bool = False,
    spillable: int = 0,
    history: int = 0,
) -> Demand:
    """The declared request; else, for a model, what its header says; else the limit less the tmpfs it must hold; else
    the most its processes ever used (`history`), at least a default. `priority` is the effective one, when it is not
    the service's own."""
    resources = service.spec.resources
    sizes = sum(to_bytes(mount.size) for mount in tmpfs)
    mapped, file = 0, ""
    if resources.requests.memory is not None:
        request = to_bytes(resources.requests.memory)
    elif model is not None and service.spec.inference is not None:
        needed = size(model, load(service))
        request, mapped, file = needed.anonymous, needed.mapped, service.spec.inference.model.file
    elif resources.limits.memory is not None:
        request = max(to_bytes(resources.limits.memory) - sizes, 0)
    else:
        request = max(DEFAULT_REQUEST, history)
    own = service.spec.priority if priority is None else priority
    inference = service.spec.inference
    device = VULKAN if inference is not None and inference.device == "vulkan" else ""
    return Demand(service.key, own, service.created, request, sizes, running, mapped, file, spillable, device)


def effective_priorities(services: Mapping[str, XnaiService]) -> dict[str, int]:
    """A dependency is at least as important as whoever needs it."""
    found = {key: service.spec.priority for key, service in services.items()}
    for _ in services:  # each round carries a priority one step further; a cycle ends as well
        changed = False
        for service in services.values():
            for name in service.spec.depends_on:
                key = f"{service.namespace}.{name}"
                if key in found and found[key] < found[service.key]:
                    found[key], changed = found[service.key], True
        if not changed:
            break
    return found


def _mib(value: int) -> str:
    return f"{value / MI:.0f} MiB"


def admit(demands: Iterable[Demand], allocatable: int) -> dict[str, Verdict]:
    """Who fits into `allocatable` (RAM less the reserve), most important first: priority, then who runs already (a peer
    is never stopped for a peer), then age, then name.

    One that does not fit waits; less important ones may still run, which wastes nothing. A GPU is one service's: two
    models on it take its memory, and its time, from each other.
    """
    verdicts: dict[str, Verdict] = {}
    files: set[str] = set()
    devices: dict[str, str] = {}
    used = 0
    for item in sorted(demands, key=lambda d: (-d.priority, not d.running, d.created, d.key)):
        shared = item.model_file in files
        needs = item.total - (item.mapped if shared else 0)
        parts = [f"{_mib(item.request)} requested", f"{_mib(item.tmpfs)} tmpfs"]
        if item.mapped:
            parts.append(f"{_mib(item.mapped)} weights" + (", in memory already" if shared else ""))
        total = f"{_mib(needs)} ({' + '.join(parts)})"
        rest = f"{_mib(used)} of {_mib(allocatable)} go to more important services"
        on_disk = bool(item.spillable) and needs > allocatable - used >= needs - item.spillable
        takes = needs - (item.spillable if on_disk else 0)
        if item.device and item.device in devices:
            message = f"{item.device} is in use by {devices[item.device]}, which is more important or was there first"
            verdicts[item.key] = Verdict(Reason.DEVICE_IN_USE, f"{message}; use device: cpu, or stop it")
            continue
        if used + takes > allocatable:
            short = _mib(used + needs - allocatable)
            verdicts[item.key] = Verdict(
                Reason.INSUFFICIENT_MEMORY,
                f"needs {total}; {rest}; {short} short: lower its request or tmpfs, or stop another service",
            )
            continue
        used += takes
        files |= {item.model_file} - {""}
        devices |= {item.device: item.key} if item.device else {}
        disk = f"; {_mib(item.spillable)} of its tmpfs are on disk instead" if on_disk else ""
        verdicts[item.key] = Verdict(Reason.FITS, f"needs {total}; {rest}{disk}", on_disk)
    return verdicts
