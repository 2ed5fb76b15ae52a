"""The memory of a container's processes."""

import os

import pytest

from xnai_operator.backends.podman.helper import processes, protocol
from xnai_operator.backends.podman.helper.processes import of_command, parse_pss, parse_stat

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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("7 (sleep) S 3 7 5 0", (3, 5), id="a process"),
        pytest.param("7 (a) b) R 9) R 3 7 5 0", (3, 5), id="a name with brackets"),
        pytest.param("7 (sleep) Z 3 7 5 0", None, id="a zombie"),
    ],
)
def test_the_parent_and_the_session_of_a_process(text: str, expected: tuple[int, int] | None) -> None:
    assert parse_stat(text) == expected


@pytest.mark.parametrize(
    ("known", "stats", "expected"),
    [
        pytest.param(set(), {1: (0, 1), 5: (0, 5)}, {5}, id="the command"),
        pytest.param(set(), {1: (0, 1), 6: (1, 5)}, {6}, id="its session"),
        pytest.param(set(), {5: (0, 5), 6: (5, 6), 7: (6, 7)}, {5, 6, 7}, id="its descendants"),
        pytest.param({6}, {1: (0, 1), 6: (1, 6), 7: (6, 7)}, {6, 7}, id="known before its parent ended"),
        pytest.param(set(), {1: (0, 1), 2: (1, 1)}, set(), id="nothing left"),
    ],
)
def test_the_processes_of_a_command(known: set[int], stats: dict[int, tuple[int, int]], expected: set[int]) -> None:
    assert of_command(known, 5, stats) == expected


def test_a_command_that_ended_is_no_error() -> None:
    assert processes.end_exec(protocol.EndExec(pid=os.getpid(), exec_pid=1 << 30)) == {}
