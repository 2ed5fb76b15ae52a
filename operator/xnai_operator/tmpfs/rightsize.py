"""Sizes of tmpfs mounts computed from their use. Pure; bytes."""

from typing import Final

from xnai_operator.api.quantity import MI, to_bytes
from xnai_operator.api.tmpfspolicy import Sizing

HEADROOM: Final = 1.5
"""Factor on the high-water mark. A mount that was full grows by half each time."""


def mount_high_water(before: int, used: int) -> int:
    """The highest use of a mount so far. `used` is rounded up by at most an eighth (4096 bytes at least), so that the
    status is not written for every byte."""
    step = max(1 << max(used.bit_length() - 4, 0), 4096)
    return max(before, -(-used // step) * step)


def recommended(mark: int, sizing: Sizing) -> int:
    """The size for a mount with the high-water mark `mark`: HEADROOM times the mark, in whole MiB, between the policy's
    `min` and `max`."""
    wanted = -(-int(mark * HEADROOM) // MI) * MI
    return min(max(wanted, to_bytes(sizing.min)), to_bytes(sizing.max))
