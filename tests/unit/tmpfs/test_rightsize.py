"""Sizes of tmpfs mounts computed from their use."""

import pytest

from xnai_operator.api.quantity import MI
from xnai_operator.api.tmpfspolicy import Sizing
from xnai_operator.tmpfs.rightsize import mount_high_water, recommended


@pytest.mark.parametrize(
    ("before", "used", "mark"),
    [
        pytest.param(0, 0, 0, id="never used"),
        pytest.param(0, 1, 4096, id="a page at least"),
        pytest.param(0, MI, MI, id="a round number stays"),
        pytest.param(0, MI + 1, MI + MI // 8, id="rounded up by at most an eighth"),
        pytest.param(5 * MI, MI, 5 * MI, id="never falls"),
    ],
)
def test_the_high_water_mark_only_rises(before: int, used: int, mark: int) -> None:
    assert mount_high_water(before, used) == mark


@pytest.mark.parametrize(
    ("mark", "size"),
    [
        pytest.param(1, 2 * MI, id="the minimum"),
        pytest.param(MI, 2 * MI, id="half more, in whole MiB"),
        pytest.param(4 * MI, 6 * MI, id="half more"),
        pytest.param(100 * MI, 16 * MI, id="the maximum"),
    ],
)
def test_the_recommended_size_keeps_its_bounds(mark: int, size: int) -> None:
    assert recommended(mark, Sizing(mode="Apply", min="2Mi", max="16Mi")) == size
