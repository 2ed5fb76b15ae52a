"""Admission: a service starts only when its request fits beside what is more important. Sizes in bytes."""

from collections.abc import Iterable
from dataclasses import dataclass

from xnai_operator.api.quantity import to_bytes
from xnai_operator.api.resources import XnaiService
from xnai_operator.api.xnaiservice import TmpfsMount

MI = 1 << 20
DEFAULT_REQUEST = 64 * MI
"""For a service that declares neither request nor limit: what a small Python process takes."""


@dataclass(frozen=True)
class Demand:
    """What one service needs. `request` is what its processes take, `tmpfs` the sum of its mounts' sizes."""

    key: str
    priority: int
    created: str
    request: int
    tmpfs: int

    @property
    def total(self) -> int:
        """Request and tmpfs: both can be in use at once, and neither can be reclaimed."""
        return self.request + self.tmpfs


@dataclass(frozen=True)
class Verdict:
    """`admitted`, and the sum as a sentence."""

    admitted: bool
    message: str


def demand(service: XnaiService, tmpfs: Iterable[TmpfsMount]) -> Demand:
    """The declared request (else the limit less the tmpfs it must hold, else a default) and the tmpfs sizes."""
    resources = service.spec.resources
    sizes = sum(to_bytes(mount.size) for mount in tmpfs)
    if resources.requests.memory is not None:
        request = to_bytes(resources.requests.memory)
    elif resources.limits.memory is not None:
        request = max(to_bytes(resources.limits.memory) - sizes, 0)
    else:
        request = DEFAULT_REQUEST
    return Demand(service.key, service.spec.priority, service.created, request, sizes)


def _mib(value: int) -> str:
    return f"{value / MI:.0f} MiB"


def admit(demands: Iterable[Demand], allocatable: int) -> dict[str, Verdict]:
    """Who fits into `allocatable` (RAM less the reserve), most important first: priority, then age, then name.

    One that does not fit waits; less important ones may still run, which wastes nothing.
    """
    verdicts: dict[str, Verdict] = {}
    used = 0
    for item in sorted(demands, key=lambda d: (-d.priority, d.created, d.key)):
        fits = used + item.total <= allocatable
        total = f"{_mib(item.total)} ({_mib(item.request)} requested + {_mib(item.tmpfs)} tmpfs)"
        rest = f"{_mib(used)} of {_mib(allocatable)} go to more important services"
        if fits:
            used += item.total
            verdicts[item.key] = Verdict(True, f"needs {total}; {rest}")
        else:
            short = _mib(used + item.total - allocatable)
            verdicts[item.key] = Verdict(
                False, f"needs {total}; {rest}; {short} short: lower its request or tmpfs, or stop another service"
            )
    return verdicts
