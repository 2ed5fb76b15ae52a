"""Admission: a service starts only when its demand fits beside the more important services. Sizes in bytes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from xnai_operator.api.conditions import Reason
from xnai_operator.memory import explain
from xnai_operator.memory.allocation import Allocation
from xnai_operator.memory.demand import Demand
from xnai_operator.memory.importance import admission_order


@dataclass(frozen=True)
class Verdict:
    """Whether a service is admitted (`reason`), and why: a `sentence`, and the `account` of the memory line by line.

    `on_disk`: admitted with its movable tmpfs mounts on disk. `keeps_running`: the demand does not fit, but the
    allocation of the running pod still does.
    """

    reason: Reason
    sentence: str
    account: str = ""
    on_disk: bool = False
    keeps_running: bool = False

    @property
    def message(self) -> str:
        """The sentence, and the account below it."""
        return f"{self.sentence}\n{self.account}" if self.account else self.sentence

    @property
    def admitted(self) -> bool:
        """Whether the service may run with its present spec."""
        return self.reason is Reason.FITS


class _Node:
    """The memory and the GPUs that are taken so far. `taken`: key -> bytes; `devices`: GPU -> key."""

    def __init__(self, allocatable: int) -> None:
        self.allocatable = allocatable
        self.taken: dict[str, int] = {}
        self.model_files: set[str] = set()
        self.devices: dict[str, str] = {}
        self._sum = 0

    @property
    def free(self) -> int:
        """Negative when running pods take more than there is."""
        return self.allocatable - self._sum

    def size(self, what: Demand | Allocation) -> int:
        """Bytes it would take: weights that are mapped already cost nothing."""
        return what.private_bytes + (0 if what.model_file in self.model_files else what.mapped)

    def take(self, key: str, what: Demand | Allocation, size: int) -> None:
        self.taken[key] = size
        self._sum += size
        self.model_files |= {what.model_file} - {""}
        self.devices |= {what.device: key} if what.device else {}

    def held_by(self, others: Iterable[Demand], beside: Demand) -> dict[str, int]:
        """Key -> bytes that those of the `others` that are scheduled take when `beside` has been admitted."""
        held: dict[str, int] = {}
        files = self.model_files | {beside.model_file}
        for other in others:
            if other.scheduled:
                what = other.allocation or other
                held[other.key] = what.private_bytes + (0 if what.model_file in files else what.mapped)
                files.add(what.model_file)
        return held


def admit(demands: Iterable[Demand], allocatable: int) -> dict[str, Verdict]:
    """Key -> verdict, in the order of admission. `allocatable`: RAM less the reserve.

    If a service does not fit, first its movable tmpfs mounts go to disk; only then does it take the memory of running,
    less important services. A service that still does not fit waits, and less important services may use the memory.
    A running service whose changed spec does not fit keeps running as it was. One service has a GPU for itself: two
    models on one GPU share its memory and its time.
    """
    node = _Node(allocatable)
    order = admission_order(demands)
    return {demand.key: _verdict(node, demand, order[index + 1 :]) for index, demand in enumerate(order)}


def _verdict(node: _Node, demand: Demand, later: Sequence[Demand]) -> Verdict:
    """Decide one demand, and take its memory. `later`: demands that come after it in the order."""
    if demand.device and demand.device in node.devices:
        message = explain.device_in_use(demand.device, node.devices[demand.device])
        return _refuse(node, demand, Verdict(Reason.DEVICE_IN_USE, message))
    size = node.size(demand)
    size_on_disk = size - demand.movable_to_disk
    peers: dict[str, int] = {}
    undisturbed = node.free  # the room that takes nothing from any scheduled service
    if demand.allocation != demand.requested:
        if demand.scheduled:  # a changed service takes nothing from its peers
            peers = node.held_by((other for other in later if other.priority == demand.priority), demand)
        if demand.movable_to_disk:
            undisturbed -= sum(node.held_by(later, demand).values())
    room = node.free - sum(peers.values())
    on_disk = demand.movable_to_disk > 0 and size_on_disk <= room and size > undisturbed
    takes = size_on_disk if on_disk else size
    if takes > room:
        sentence = explain.insufficient_memory(demand, size, size_on_disk - room)
        account = explain.account(node.allocatable, {**node.taken, **peers})
        return _refuse(node, demand, Verdict(Reason.INSUFFICIENT_MEMORY, sentence, account))
    node.take(demand.key, demand, takes)
    return Verdict(Reason.FITS, explain.fits(demand, size, on_disk=on_disk), on_disk=on_disk)


def _refuse(node: _Node, demand: Demand, refusal: Verdict) -> Verdict:
    """The refusal; but the running pod keeps running when its allocation still fits."""
    held = demand.allocation
    if held is None or node.size(held) > node.free or held.device in node.devices:
        return refusal
    node.take(demand.key, held, node.size(held))
    return Verdict(refusal.reason, refusal.sentence, refusal.account, keeps_running=True)
