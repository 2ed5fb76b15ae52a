"""The memory of a container's processes."""

import os

import pytest

from xnai_operator.backends.podman.helper import processes, protocol
from xnai_operator.backends.podman.helper.processes import parse_pss

SMAPS = """\
55d0-7ffd ---p 00000000 00:00 0 [rollup]
Rss:                2000 kB
Pss:                1234 kB
Pss_Dirty:           900 kB
"""


@pytest.mark.parametrize(
    ("text", "expected"), [pytest.param(SMAPS, 1234 * 1024, id="a process"), pytest.param("", 0, id="nothing")]
)
def test_the_proportional_set_size_is_told_in_bytes(text: str, expected: int) -> None:
    assert parse_pss(text) == expected


def test_the_memory_of_a_process_namespace_is_counted() -> None:
    assert processes.memory(protocol.MemoryUse(pid=os.getpid()))["pss"] > 1 << 20


def test_the_memory_of_a_process_that_ended_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        processes.memory(protocol.MemoryUse(pid=1 << 30))
