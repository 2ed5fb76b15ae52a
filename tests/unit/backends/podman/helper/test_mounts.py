"""What the helper reads of mounts, and what it does with directories that nothing is mounted on."""

import os
from pathlib import Path

import pytest

from xnai_operator.backends.podman.helper import mounts, protocol
from xnai_operator.backends.podman.helper.mounts import inside, parse_mountinfo

MOUNTINFO = """\
36 35 98:0 / / rw,noatime shared:1 - ext4 /dev/root rw,errors=continue
37 36 0:50 / /tmp rw,nosuid,nodev,noexec - tmpfs tmpfs rw,size=2048k
38 36 0:51 /part /run/a\\040b rw master:1 propagate_from:2 - tmpfs tmpfs ro
39 36 0:52 / /odd\\134040\\011\\012\\043 ro - tmpfs tmpfs rw
"""


def test_mounts_are_parsed() -> None:
    assert parse_mountinfo(MOUNTINFO) == [
        {"path": "/", "root": "/", "filesystem": "ext4", "flags": ["noatime", "rw"]},
        {"path": "/tmp", "root": "/", "filesystem": "tmpfs", "flags": ["nodev", "noexec", "nosuid", "rw"]},
        {"path": "/run/a b", "root": "/part", "filesystem": "tmpfs", "flags": ["ro", "rw"]},
        {"path": "/odd\\040\t\n#", "root": "/", "filesystem": "tmpfs", "flags": ["ro"]},
    ]


@pytest.mark.parametrize(
    ("number", "id_map", "expected"),
    [
        pytest.param(1001, None, 1001, id="our own namespace"),
        pytest.param(20005, "0 20000 1024\n65534 21024 1\n", 5, id="within the first range"),
        pytest.param(21024, "0 20000 1024\n65534 21024 1\n", 65534, id="the last range"),
        pytest.param(21025, "0 20000 1024\n65534 21024 1\n", 65534, id="not mapped"),
        pytest.param(0, "0 1 1001\n1001 0 1\n", 1001, id="keep-id"),
    ],
)
def test_an_id_is_told_as_the_container_counts_it(number: int, id_map: str | None, expected: int) -> None:
    assert inside(number, id_map) == expected


def test_a_directory_is_removed_with_its_content_and_no_link_is_followed(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").touch()
    doomed = tmp_path / "doomed"
    (doomed / "deep" / "deeper").mkdir(parents=True)
    (doomed / "deep" / "file").touch()
    (doomed / "link").symlink_to(kept)
    for _ in range(2):  # the second time it is gone
        assert mounts.remove(protocol.Remove(path=str(doomed))) == {}
        assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "kept"]


def test_the_entries_of_a_directory_are_listed_in_order(tmp_path: Path) -> None:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
    listed = mounts.list_directory(protocol.ListDirectory(path=str(tmp_path)))
    assert listed == {"paths": [f"{tmp_path}/a", f"{tmp_path}/b"]}


def test_a_directory_that_is_not_there_has_no_entries(tmp_path: Path) -> None:
    assert mounts.list_directory(protocol.ListDirectory(path=f"{tmp_path}/none")) == {"paths": []}


def test_owners_are_told_once_and_a_missing_directory_has_none(tmp_path: Path) -> None:
    paths = [str(tmp_path), f"{tmp_path}/none", str(tmp_path)]
    assert mounts.owners(protocol.Owners(paths=paths)) == {"uids": [os.getuid()]}


def test_a_source_that_is_no_mount_takes_no_room_and_is_not_copied(tmp_path: Path) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    for directory in (source, target):
        directory.mkdir()
    (source / "file").write_text("x" * 10000)
    room = mounts.room(protocol.Room(sources=[str(source)], target=str(target)))
    assert (room["used"], room["free"] > 0) == (0, True)
    assert mounts.copy(protocol.Copy(source=str(source), target=str(target))) == {}
    assert list(target.iterdir()) == []


def test_the_mounts_of_a_process_of_our_own_are_its_tmpfs() -> None:
    found = mounts.container_mounts(protocol.ContainerMounts(pid=os.getpid()))["mounts"]
    known = {mount["path"] for mount in parse_mountinfo(Path("/proc/self/mountinfo").read_text())}
    assert {mount["filesystem"] for mount in found} <= {"tmpfs"}
    assert {mount["path"] for mount in found} <= known
    assert all(mount["used"] <= mount["size"] for mount in found)


def test_the_mounts_of_a_process_that_ended_are_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        mounts.container_mounts(protocol.ContainerMounts(pid=1 << 30))
