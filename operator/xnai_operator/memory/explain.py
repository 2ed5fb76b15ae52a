"""The messages of admission: what a service needs, and why it waits. Sizes in bytes."""

from collections.abc import Mapping
from typing import Final

from xnai_operator.api.quantity import MI
from xnai_operator.memory.demand import Demand, Source

LISTED: Final = 8
"""Services that an account names, one on a line; the others share one line."""


def _mib(size: int) -> str:
    return f"{size / MI:.0f} MiB"


def _needs(demand: Demand, size: int) -> str:
    """`needs 120 MiB (90 MiB requested + 30 MiB tmpfs)`. `size`: without weights that another service has mapped."""
    request = "used at most" if demand.source is Source.USE else "requested"
    parts = [f"{_mib(demand.request)} {request}", f"{_mib(demand.tmpfs)} tmpfs"]
    if demand.files >= MI:
        parts.append(f"{_mib(demand.files)} config and secrets")
    if demand.mapped:
        parts.append(f"{_mib(demand.mapped)} weights" + (", already in memory" if size < demand.total else ""))
    return f"needs {_mib(size)} ({' + '.join(parts)})"


def fits(demand: Demand, size: int, *, on_disk: bool) -> str:
    """Why the service is admitted. `on_disk`: with its movable tmpfs mounts on disk."""
    moved = f"; {_mib(demand.movable_to_disk)} of its tmpfs are on disk instead" if on_disk else ""
    return _needs(demand, size) + moved


def insufficient_memory(demand: Demand, size: int, missing: int) -> str:
    """Why the service waits. `missing`: bytes that are not free, even with its movable tmpfs mounts on disk."""
    moved = f" even with {_mib(demand.movable_to_disk)} of its tmpfs on disk" if demand.movable_to_disk else ""
    remedy = "set its request" if demand.source is Source.USE else "lower its request or tmpfs"
    return f"{_needs(demand, size)}: {_mib(missing)} short{moved}; {remedy}, or stop another service"


def device_in_use(device: str, holder: str) -> str:
    """Why the service waits for a GPU. `holder`: key of the service that has it."""
    return f"{device} is in use by {holder}, which is more important or had it first; use device: cpu, or stop {holder}"


def account(allocatable: int, taken: Mapping[str, int]) -> str:
    """The memory for services, and one line for each service that has a part of it, the largest part first.
    `taken`: key -> bytes."""
    listed = sorted(taken.items(), key=lambda each: (-each[1], each[0]))
    lines = [f"- {_mib(size)} {key}" for key, size in listed[:LISTED]]
    if rest := listed[LISTED:]:
        lines.append(f"- {_mib(sum(size for _, size in rest))} {len(rest)} others")
    title = f"{_mib(allocatable)} are for services"
    return "\n".join([f"{title}; these come first:" if lines else title, *lines])
