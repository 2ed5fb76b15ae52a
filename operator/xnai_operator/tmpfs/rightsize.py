"""Sizes of tmpfs mounts by their use. Pure; bytes."""

from typing import Final

from xnai_operator.api.quantity import to_bytes
from xnai_operator.api.tmpfspolicy import Sizing

MI: Final = 1 << 20
HEADROOM: Final = 1.5
"""Of the most ever in use. A mount that was full grows by half at a time."""


def mount_high_water(before: int, used: int) -> int:
    """The most ever in use, rounded up by at most an eighth: a status is not written for every byte."""
    step = max(1 << max(used.bit_length() - 4, 0), 4096)
    return max(before, -(-used // step) * step)


def recommended(mark: int, sizing: Sizing) -> int:
    """The size for a mount whose high-water mark is `mark`, in whole MiB, within the bounds."""
    wanted = -(-int(mark * HEADROOM) // MI) * MI
    return min(max(wanted, to_bytes(sizing.min)), to_bytes(sizing.max))
