"""Files that are there whole or not at all, and the ends of long ones."""

import os
from pathlib import Path

import pytest

from xnai_operator.host.files import BLOCK_BYTES, last_lines, write_atomically


@pytest.mark.parametrize(
    ("content", "expected"),
    [pytest.param("ä\n", "ä\n".encode(), id="text"), pytest.param(b"\x00\xff", b"\x00\xff", id="bytes")],
)
@pytest.mark.parametrize("mode", [0o600, 0o644])
@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_file_has_its_content_and_its_mode(
    umask: int, mode: int, content: str | bytes, expected: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "folder" / "file"
    before = os.umask(umask)
    try:
        write_atomically(path, content, mode=mode)
    finally:
        os.umask(before)
    assert (path.read_bytes(), path.stat().st_mode & 0o777) == (expected, mode)
    assert list(path.parent.iterdir()) == [path]


def test_a_write_that_fails_leaves_the_file_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_atomically(path, "old")

    def full(descriptor: int, mode: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fchmod", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"


def test_nobody_else_can_read_a_file_before_it_has_its_mode(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(os, "fchmod", lambda descriptor, _: seen.append(os.fstat(descriptor).st_mode & 0o777))
    before = os.umask(0)
    try:
        write_atomically(tmp_path / "file", "secret", mode=0o644)
    finally:
        os.umask(before)
    assert seen == [0o600]


@pytest.mark.parametrize(
    ("content", "count", "expected"),
    [
        pytest.param(b"", 2, [], id="empty"),
        pytest.param(b"a\nb\nc\n", 2, ["b", "c"], id="the last"),
        pytest.param(b"a\nb\nc", 2, ["b", "c"], id="no line end"),
        pytest.param(b"a\n", 2, ["a"], id="fewer"),
        pytest.param(b"a\nb\n", 0, [], id="none"),
        pytest.param(b"\n\n\n", 2, ["", ""], id="empty lines"),
        pytest.param(b"x" * BLOCK_BYTES + b"\na\nb\n", 2, ["a", "b"], id="a block before them"),
        pytest.param(b"a\n" + b"\xc3\xa4" * BLOCK_BYTES + b"\n", 1, ["ä" * BLOCK_BYTES], id="a line of two blocks"),
        pytest.param(b"\xff\n", 1, ["\N{REPLACEMENT CHARACTER}"], id="not UTF-8"),
    ],
)
def test_the_last_lines_of_a_file(content: bytes, count: int, expected: list[str], tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(content)
    assert last_lines(path, count) == expected


def test_the_last_lines_of_a_large_file_need_its_end_only(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.truncate(1 << 40)  # a hole: all of it would not fit in memory
        file.seek(0, os.SEEK_END)
        file.write(b"\na\nb\n")
    assert last_lines(path, 2) == ["a", "b"]
