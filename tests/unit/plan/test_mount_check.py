"""What is done and said about the mounts of a running pod."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.conftest import make_service
from xnai_operator.api import resources
from xnai_operator.api.conditions import Reason, Type
from xnai_operator.api.resources import TmpfsPolicy
from xnai_operator.plan.mount_check import check_mounts
from xnai_operator.plan.observed import ObservedMount
from xnai_operator.render.pod import TmpfsDirectory
from xnai_operator.tmpfs.mounts import merged
from xnai_operator.tmpfs.rightsize import mount_high_water, recommended

MI = 1 << 20
WANTED = TmpfsDirectory("/run/x", "/cache", 4 * MI, "1777", 1001, 1001, False)
FOUND = ObservedMount(
    mount_path="/cache",
    filesystem="tmpfs",
    size=4 * MI,
    used=0,
    mode="1777",
    uid=1001,
    gid=1001,
    flags=frozenset({"nosuid", "nodev", "noexec"}),
    inodes=100,
    inodes_used=2,
)


def policy(**sizing: Any) -> TmpfsPolicy:
    spec = {"mounts": [{"mountPath": "/cache", "size": "4Mi"}], "sizing": sizing}
    return resources.policy({"metadata": {"name": "p", "namespace": "default"}, "spec": spec})


def found(wanted: TmpfsDirectory = WANTED, have: ObservedMount = FOUND) -> tuple[bool | None, Reason, str]:
    findings = check_mounts(make_service(), (wanted,), (have,), ())
    return findings.conditions[0].status, findings.conditions[0].reason, findings.resize


@pytest.mark.parametrize(
    ("change", "used", "expected"),
    [
        (4, 0, (True, Reason.MOUNTS_VERIFIED, "")),
        (8, 3, (False, Reason.MOUNT_RESIZED, f"/cache {4 * MI} -> {8 * MI}")),
        (2, 1, (False, Reason.MOUNT_RESIZED, f"/cache {4 * MI} -> {2 * MI}")),
        (2, 3, (False, Reason.TMPFS_IN_USE, "")),
    ],
)
def test_a_size_is_changed_unless_something_is_in_the_way(
    change: int, used: int, expected: tuple[bool, Reason, str]
) -> None:
    assert found(replace(WANTED, size=change * MI), replace(FOUND, used=used * MI)) == expected


def test_what_is_in_the_way_is_told_in_bytes() -> None:
    findings = check_mounts(make_service(), (replace(WANTED, size=2 * MI),), (replace(FOUND, used=3 * MI),), ())
    assert findings.conditions[0].message == (
        f"/cache cannot shrink to {2 * MI} bytes while {3 * MI} bytes are in use; delete files in it"
    )


@pytest.mark.parametrize(
    "change", [{"mode": "755"}, {"uid": 0}, {"flags": frozenset({"nosuid"})}, {"filesystem": "ext4"}]
)
def test_anything_but_the_size_is_a_difference(change: dict[str, Any]) -> None:
    assert found(have=replace(FOUND, **change))[:2] == (False, Reason.MOUNT_DIFFERS)


FILLING, FULL = (False, Reason.TMPFS_FILLING), (True, Reason.TMPFS_FULL)


@pytest.mark.parametrize(
    ("thresholds", "used", "inodes", "expected"),
    [
        ({}, 3.1, 2, None),
        ({}, 3.3, 2, FILLING),
        ({}, 3.9, 2, FULL),
        ({}, 0, 79, None),
        ({}, 0, 80, FILLING),
        ({}, 0, 95, FULL),
        ({"alertPercent": 50}, 2, 2, FILLING),
        ({"alertPercent": 50, "fullPercent": 75}, 3, 2, FULL),
        ({"alertPercent": 100, "fullPercent": 100}, 3.9, 99, None),
    ],
)
def test_a_mount_that_fills_is_told_before_it_is_full_by_bytes_or_inodes(
    thresholds: dict[str, int], used: float, inodes: int, expected: tuple[bool, Reason] | None
) -> None:
    mounts = [{"mountPath": "/cache", "size": "4Mi"}]
    given = resources.policy({"metadata": {"name": "p"}, "spec": {"mounts": mounts, "thresholds": thresholds}})
    have = replace(FOUND, used=int(used * MI), inodes_used=inodes)
    findings = check_mounts(make_service(), (WANTED,), (have,), (replace(given, namespace="default"),))
    said = [c for c in findings.conditions if c.type is Type.TMPFS_FULL]
    assert [(c.status, c.reason) for c in said] == ([] if expected is None else [expected])
    assert all(f"% of {4 * MI} bytes and {inodes // 5 * 5} % of 100 inodes are in use" in c.message for c in said)


@pytest.mark.parametrize(("used", "told"), [(3.41, 85), (3.42, 85), (4, 100)])
def test_what_fills_is_told_in_fives_so_that_no_status_is_written_for_every_byte(used: float, told: int) -> None:
    findings = check_mounts(make_service(), (WANTED,), (replace(FOUND, used=int(used * MI)),), ())
    assert findings.conditions[-1].message == f"/cache: {told} % of {4 * MI} bytes and 0 % of 100 inodes are in use"


def test_no_mount_grows_where_there_is_no_memory_for_it() -> None:
    findings = check_mounts(make_service(), (replace(WANTED, size=8 * MI),), (FOUND,), (), may_grow=False)
    told = f"/cache stays at {4 * MI} bytes: there is no memory for {8 * MI} bytes"
    assert (findings.resize, findings.conditions[0].reason) == ("", Reason.INSUFFICIENT_MEMORY)
    assert findings.conditions[0].message == told


def test_a_mark_outlives_the_time_its_mount_is_on_disk() -> None:
    entry = {"mountPath": "/logs", "sizeBytes": MI, "highWaterBytes": 4096}
    service = replace(make_service(), status={"tmpfs": [entry]})
    findings = check_mounts(service, (WANTED,), (FOUND,), (), ["/logs"])
    assert [found["mountPath"] for found in findings.status] == ["/cache", "/logs"]
    assert findings.status[1] == entry


@pytest.mark.parametrize(
    ("before", "used", "mark"), [(0, 0, 0), (0, 1, 4096), (0, MI, MI), (5 * MI, MI, 5 * MI), (0, MI + 1, MI + MI // 8)]
)
def test_the_high_water_mark_only_rises(before: int, used: int, mark: int) -> None:
    assert mount_high_water(before, used) == mark


@pytest.mark.parametrize(("mark", "size"), [(1, 2 * MI), (MI, 2 * MI), (4 * MI, 6 * MI), (100 * MI, 16 * MI)])
def test_the_recommended_size_keeps_its_bounds(mark: int, size: int) -> None:
    assert recommended(mark, policy(mode="Apply", min="2Mi", max="16Mi").spec.sizing) == size


def test_a_recommendation_is_written_and_not_applied() -> None:
    given = policy(mode="Recommend")
    findings = check_mounts(make_service(), (WANTED,), (replace(FOUND, used=3 * MI),), (given,))
    assert (findings.status[0]["recommendedBytes"], findings.resize) == (5 * MI, "")


@pytest.mark.parametrize(("mode", "size"), [("Off", "4Mi"), ("Recommend", "4Mi"), ("Apply", str(9 * MI))])
def test_apply_gives_the_mount_its_size(mode: str, size: str) -> None:
    status = {"tmpfs": [{"mountPath": "/cache", "sizeBytes": 4 * MI, "highWaterBytes": 6 * MI}]}
    mounts = merged(replace(make_service(), status=status), (policy(mode=mode),))
    assert next(mount.size for mount in mounts if mount.mount_path == "/cache") == size


def test_a_mount_of_the_service_itself_is_never_sized_by_a_policy() -> None:
    status = {"tmpfs": [{"mountPath": "/cache", "sizeBytes": 4 * MI, "highWaterBytes": 6 * MI}]}
    service = make_service(storage={"tmpfs": [{"mountPath": "/cache", "size": "1Mi"}]})
    mounts = merged(replace(service, status=status), (policy(mode="Apply"),))
    assert next(mount.size for mount in mounts if mount.mount_path == "/cache") == "1Mi"
