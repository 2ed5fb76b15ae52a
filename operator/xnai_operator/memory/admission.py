"""Admission: a service starts only when its request fits beside what is more important. Sizes in bytes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import astuple, dataclass, replace
from enum import Enum

from xnai_operator.api.conditions import Reason
from xnai_operator.api.quantity import to_bytes
from xnai_operator.api.resources import XnaiService
from xnai_operator.api.xnaiservice import TmpfsMount
from xnai_operator.memory.gguf_header import ModelHeader
from xnai_operator.memory.model_size import ModelOptions, size
from xnai_operator.tmpfs.mounts import size_of

MI = 1 << 20
VULKAN = "/dev/dri/renderD128"
"""The render node that a model with `device: vulkan` gets."""
DEFAULT_REQUEST = 64 * MI
"""For a service that declares neither request nor limit: what a small Python process takes."""


LISTED = 8
"""Lines of a sum that name one service each; the rest is one line."""


class Source(Enum):
    """Where it is known from how much memory a service's processes need."""

    DECLARED = "declared, or read in the header of its model"
    LIMIT = "its limit"
    USE = "the most it ever used"


@dataclass(frozen=True)
class Allocation:
    """The memory and the GPU that a running pod was admitted with. It differs from the demand when the service changed.

    `private_bytes`: bytes no other pod shares. `mapped`: bytes of weights mapped from `model_file`. `includes_tmpfs`:
    `private_bytes` includes the tmpfs."""

    private_bytes: int
    mapped: int = 0
    model_file: str = ""
    device: str = ""
    includes_tmpfs: bool = False

    def to_text(self) -> str:
        """As it stands in a label of the pod."""
        return json.dumps(astuple(self))

    @classmethod
    def from_text(cls, text: str) -> "Allocation":
        """What `to_text` gave. Raises ValueError or TypeError when it is something else."""
        private_bytes, mapped, model_file, device, within = json.loads(text)
        return cls(int(private_bytes), int(mapped), str(model_file), str(device), bool(within))


@dataclass(frozen=True)
class Demand:
    """What one service needs. `request` is what its processes take, `tmpfs` the sum of its mounts' sizes, `files` its
    config and secrets (the operator writes them, so no pod's limit counts them), `mapped` the
    weights it maps from `model_file`, which are in memory once however many services map them,
    `movable_to_disk` the part of `tmpfs` that may be on disk instead. `device`: the GPU it takes for itself, or empty.
    `scheduled`: it runs, or is about to be started again, and no peer takes its place. `allocation`: of one that runs.
    `source`: where the request is from. `after`: keys of services it depends on."""

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
        """What nobody shares with it: processes and tmpfs, which cannot be reclaimed."""
        return self.request + self.tmpfs + self.files

    @property
    def requested(self) -> Allocation:
        """What it will have taken when it runs."""
        return Allocation(self.private_bytes, self.mapped, self.model_file, self.device)

    @property
    def without_tmpfs(self) -> Allocation:
        """What it will have taken, but for its tmpfs: these change while it runs, and are looked at. Where the limit
        says what it needs, they are a part of that."""
        within = self.source is Source.LIMIT
        return replace(
            self.requested,
            private_bytes=self.private_bytes if within else self.request + self.files,
            includes_tmpfs=within,
        )

    @property
    def total(self) -> int:
        """All of it: without its weights in memory a model crawls."""
        return self.private_bytes + self.mapped


@dataclass(frozen=True)
class Verdict:
    """Whether it fits (`reason`), and why: a sentence, then the sum line by line. `on_disk`: without the tmpfs that may
    be on disk. `keeps_running`: it does not fit as it is asked for now, but what runs of it may go on."""

    reason: Reason
    message: str
    on_disk: bool = False
    keeps_running: bool = False

    @property
    def sentence(self) -> str:
        """The message without the sum."""
        return self.message.split("\n", 1)[0]

    @property
    def admitted(self) -> bool:
        """Whether it may run as it is asked for."""
        return self.reason is Reason.FITS


def model_options(service: XnaiService) -> ModelOptions:
    """How the service loads its model (the inference contract)."""
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
    service: XnaiService,
    tmpfs: Iterable[TmpfsMount],
    model: ModelHeader | None = None,
    *,
    history: int = 0,
) -> Demand:
    """The declared request; else, for a model, what its header says; else the limit less the tmpfs it must hold; else
    the most its processes ever used (`history`), at least a default."""
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
        request, source = max(DEFAULT_REQUEST, history), Source.USE
    return Demand(
        service.key,
        service.spec.priority,
        service.created,
        request,
        sizes,
        mapped=mapped,
        model_file=file,
        device=VULKAN if inference is not None and inference.device == "vulkan" else "",
        source=source,
        after=frozenset(f"{service.namespace}.{name}" for name in service.spec.depends_on),
    )


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


def _in_order(demands: Iterable[Demand]) -> list[Demand]:
    """Most important first: priority, then who has a place (a peer is never stopped for a peer), then a dependency
    before what needs it, then age, then name."""
    chosen = sorted(demands, key=lambda d: (-d.priority, not d.scheduled, d.created, d.key))
    by_key = {item.key: item for item in chosen}
    order: dict[str, Demand] = {}
    begun: set[str] = set()

    def append(item: Demand) -> None:
        if item.key in begun:  # in the list, or of a cycle, which the checks refuse
            return
        begun.add(item.key)
        for key in sorted(item.after & by_key.keys()):
            other = by_key[key]
            if (other.priority, other.scheduled) == (item.priority, item.scheduled):
                append(other)
        order[item.key] = item

    for item in chosen:
        append(item)
    return list(order.values())


class _Node:
    """What is taken so far. `taken`: key -> bytes."""

    def __init__(self, allocatable: int) -> None:
        self.allocatable = allocatable
        self.taken: dict[str, int] = {}
        self.files: set[str] = set()
        self.devices: dict[str, str] = {}
        self._sum = 0

    @property
    def left(self) -> int:
        return self.allocatable - self._sum

    def asks(self, what: Demand | Allocation) -> int:
        """Its bytes beside what is taken: weights that are in memory count once."""
        return what.private_bytes + (0 if what.model_file in self.files else what.mapped)

    def take(self, key: str, what: Demand | Allocation, size: int) -> None:
        self.taken[key] = size
        self._sum += size
        self.files |= {what.model_file} - {""}
        self.devices |= {what.device: key} if what.device else {}

    def account(self, peers: Mapping[str, int]) -> str:
        """What is taken, and what peers have, one line a service, the largest first."""
        listed = sorted({**self.taken, **peers}.items(), key=lambda each: (-each[1], each[0]))
        lines = [f"- {_mib(size)} {key}" for key, size in listed[:LISTED]]
        if rest := listed[LISTED:]:
            lines.append(f"- {_mib(sum(size for _, size in rest))} {len(rest)} others")
        return "\n".join([f"{_mib(self.allocatable)} are for services" + "; these come first:" * bool(lines), *lines])


def admit(demands: Iterable[Demand], allocatable: int) -> dict[str, Verdict]:
    """Who fits into `allocatable` (RAM less the reserve), in the order of importance.

    One that does not fit beside what runs first does without the memory of its mounts that may be on disk; only then
    are less important ones to be stopped for it. One that does not fit even so waits; less important ones may still
    run, which wastes nothing. What was changed so that it no longer fits goes on as it was. A GPU is one service's: two
    models on it take its memory, and its time, from each other.
    """
    node = _Node(allocatable)
    verdicts: dict[str, Verdict] = {}
    order = _in_order(demands)
    for index, item in enumerate(order):
        whole = node.asks(item)
        needs = _needs(item, whole)
        spilled = whole - item.movable_to_disk
        peers: dict[str, int] = {}
        beside = node.left
        if item.allocation != item.requested:
            later = order[index + 1 :]
            if item.scheduled:  # a change takes nothing from a peer either
                peers = _placed(node, item, (other for other in later if other.priority == item.priority))
            if item.movable_to_disk:
                beside -= sum(_placed(node, item, later).values())
        room = node.left - sum(peers.values())
        on_disk = bool(item.movable_to_disk) and spilled <= room and whole > beside
        takes = spilled if on_disk else whole
        if item.device and item.device in node.devices:
            message = (
                f"{item.device} is in use by {node.devices[item.device]}, which is more important or was there first"
            )
            verdicts[item.key] = _refused(node, item, Reason.DEVICE_IN_USE, f"{message}; use device: cpu, or stop it")
        elif takes > room:
            even = f" even with {_mib(item.movable_to_disk)} of its tmpfs on disk" if item.movable_to_disk else ""
            mend = "set its request" if item.source is Source.USE else "lower its request or tmpfs"
            short = f"{_mib(spilled - room)} short{even}; {mend}, or stop another service"
            verdicts[item.key] = _refused(
                node, item, Reason.INSUFFICIENT_MEMORY, f"{needs}: {short}\n{node.account(peers)}"
            )
        else:
            node.take(item.key, item, takes)
            disk = f"; {_mib(item.movable_to_disk)} of its tmpfs are on disk instead" if on_disk else ""
            verdicts[item.key] = Verdict(Reason.FITS, f"{needs}{disk}", on_disk)
    return verdicts


def _needs(item: Demand, whole: int) -> str:
    request = "used at most" if item.source is Source.USE else "requested"
    parts = [f"{_mib(item.request)} {request}", f"{_mib(item.tmpfs)} tmpfs"]
    if item.files >= MI:
        parts.append(f"{_mib(item.files)} config and secrets")
    if item.mapped:
        parts.append(f"{_mib(item.mapped)} weights" + (", in memory already" if whole < item.total else ""))
    return f"needs {_mib(whole)} ({' + '.join(parts)})"


def _placed(node: _Node, item: Demand, others: Iterable[Demand]) -> dict[str, int]:
    """Bytes, beside `item`'s, of those that have a place already."""
    found, files = {}, node.files | {item.model_file}
    for other in others:
        if other.scheduled:
            what = other.allocation or other
            found[other.key] = what.private_bytes + (0 if what.model_file in files else what.mapped)
            files.add(what.model_file)
    return found


def _refused(node: _Node, item: Demand, reason: Reason, message: str) -> Verdict:
    """It waits; what runs of it goes on when that still fits."""
    held = item.allocation
    if held is None or node.asks(held) > node.left or held.device in node.devices:
        return Verdict(reason, message)
    node.take(item.key, held, node.asks(held))
    return Verdict(reason, message, keeps_running=True)
