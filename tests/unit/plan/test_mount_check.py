"""What is resized and reported for the mounts of a running pod."""

from dataclasses import replace
from typing import Any

import pytest

from tests.unit.conftest import make_service
from tests.unit.tmpfs.policies import policy
from xnai_operator.api.conditions import Condition, Reason, Type
from xnai_operator.api.quantity import MI
from xnai_operator.api.status import TmpfsMountStatus, XnaiServiceStatus
from xnai_operator.plan.mount_check import MountReport, check_mounts, differences
from xnai_operator.plan.observed import ObservedMount
from xnai_operator.render.pod import TmpfsDirectory

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
LOGS = replace(WANTED, mount_path="/logs")
FOUND_LOGS = replace(FOUND, mount_path="/logs")


def check(*found: ObservedMount, wanted: tuple[TmpfsDirectory, ...] = (WANTED,), **others: Any) -> MountReport:
    return check_mounts(make_service(), wanted, found, (), **others)


def enforced(report: MountReport) -> Condition:
    assert report.conditions[0].type is Type.TMPFS_ENFORCED
    return report.conditions[0]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        pytest.param((FOUND,), [], id="as specified"),
        pytest.param((), ["/cache is not mounted"], id="missing"),
        pytest.param((FOUND_LOGS,), ["/cache is not mounted"], id="another path"),
        pytest.param((replace(FOUND, filesystem="ext4"),), ["/cache has filesystem ext4, not tmpfs"], id="filesystem"),
        pytest.param((replace(FOUND, size=MI),), [f"/cache has size {MI}, not {4 * MI}"], id="size"),
        pytest.param((replace(FOUND, mode="755"),), ["/cache has mode 755, not 1777"], id="mode"),
        pytest.param((replace(FOUND, mode="01777"),), [], id="mode with a leading zero"),
        pytest.param((replace(FOUND, uid=0),), ["/cache has owner 0:1001, not 1001:1001"], id="user"),
        pytest.param((replace(FOUND, gid=0),), ["/cache has owner 1001:0, not 1001:1001"], id="group"),
        pytest.param(
            (replace(FOUND, flags=frozenset({"nosuid"})),),
            ["/cache has flags nosuid, not nodev,noexec,nosuid"],
            id="flags",
        ),
        pytest.param((replace(FOUND, flags=FOUND.flags | {"relatime"}),), [], id="one flag more"),
        pytest.param(
            (replace(FOUND, mode="755", uid=0),),
            ["/cache has mode 755, not 1777", "/cache has owner 0:1001, not 1001:1001"],
            id="two properties",
        ),
    ],
)
def test_the_differences_of_a_mount(found: tuple[ObservedMount, ...], expected: list[str]) -> None:
    assert differences((WANTED,), found) == expected


def test_a_mount_with_exec_needs_no_noexec() -> None:
    found = replace(FOUND, flags=frozenset({"nosuid", "nodev"}))
    assert differences((replace(WANTED, exec=True),), (found,)) == []


def test_sizes_may_be_left_out() -> None:
    assert differences((WANTED,), (replace(FOUND, size=MI),), sizes=False) == []


@pytest.mark.parametrize(
    ("size", "used", "expected"),
    [
        pytest.param(4, 0, (True, Reason.MOUNTS_VERIFIED, ""), id="as specified"),
        pytest.param(8, 3, (False, Reason.MOUNT_RESIZED, f"/cache {4 * MI} -> {8 * MI}"), id="grows"),
        pytest.param(2, 1, (False, Reason.MOUNT_RESIZED, f"/cache {4 * MI} -> {2 * MI}"), id="shrinks"),
        pytest.param(2, 2, (False, Reason.MOUNT_RESIZED, f"/cache {4 * MI} -> {2 * MI}"), id="shrinks to its content"),
        pytest.param(2, 3, (False, Reason.TMPFS_IN_USE, ""), id="too much content"),
    ],
)
def test_a_size_is_changed_unless_the_content_does_not_fit(
    size: int, used: int, expected: tuple[bool, Reason, str]
) -> None:
    report = check(replace(FOUND, used=used * MI), wanted=(replace(WANTED, size=size * MI),))
    assert (enforced(report).status, enforced(report).reason, report.resize) == expected


@pytest.mark.parametrize(
    ("found", "wanted", "others", "reason", "message"),
    [
        pytest.param(
            (FOUND, FOUND_LOGS), (WANTED, LOGS), {}, Reason.MOUNTS_VERIFIED,
            "all 2 tmpfs mounts of the running container are as specified", id="as specified",
        ),
        pytest.param(
            (FOUND,), (replace(WANTED, size=8 * MI),), {}, Reason.MOUNT_RESIZED,
            f"is being resized: /cache {4 * MI} -> {8 * MI}", id="resized",
        ),
        pytest.param(
            (replace(FOUND, used=3 * MI),), (replace(WANTED, size=2 * MI),), {}, Reason.TMPFS_IN_USE,
            f"/cache cannot shrink to {2 * MI} bytes while {3 * MI} bytes are in use; delete files in it", id="in use",
        ),
        pytest.param(
            (FOUND,), (replace(WANTED, size=8 * MI),), {"may_grow": False}, Reason.INSUFFICIENT_MEMORY,
            f"/cache stays at {4 * MI} bytes: there is no memory for {8 * MI} bytes", id="no memory",
        ),
        pytest.param(
            (FOUND,), (WANTED,), {"on_disk": ["/logs"]}, Reason.TMPFS_ON_DISK,
            "/logs is on disk: the memory or a budget did not suffice at the start", id="on disk",
        ),
        pytest.param(
            (), (WANTED,), {}, Reason.MOUNT_DIFFERS, "/cache is not mounted", id="another difference",
        ),
        pytest.param(
            (replace(FOUND, mode="755"),), (replace(WANTED, size=8 * MI),), {}, Reason.MOUNT_RESIZED,
            f"is being resized: /cache {4 * MI} -> {8 * MI}; /cache has mode 755, not 1777",
            id="resized, and another difference",
        ),
        pytest.param(
            (replace(FOUND, mode="755", used=3 * MI),), (replace(WANTED, size=2 * MI),), {"on_disk": ["/logs"]},
            Reason.TMPFS_ON_DISK,
            "/logs is on disk: the memory or a budget did not suffice at the start; "
            f"/cache cannot shrink to {2 * MI} bytes while {3 * MI} bytes are in use; delete files in it; "
            "/cache has mode 755, not 1777",
            id="the reason is that of the first phrase",
        ),
    ],
)  # fmt: skip
def test_the_condition(
    found: tuple[ObservedMount, ...],
    wanted: tuple[TmpfsDirectory, ...],
    others: dict[str, Any],
    reason: Reason,
    message: str,
) -> None:
    condition = enforced(check(*found, wanted=wanted, **others))
    assert (condition.status, condition.reason, condition.message) == (
        reason is Reason.MOUNTS_VERIFIED,
        reason,
        message,
    )


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"mode": "755"}, id="mode"),
        pytest.param({"uid": 0}, id="owner"),
        pytest.param({"flags": frozenset({"nosuid"})}, id="flags"),
        pytest.param({"filesystem": "ext4"}, id="filesystem"),
    ],
)
def test_only_the_size_is_changed_in_a_running_pod(change: dict[str, Any]) -> None:
    report = check(replace(FOUND, **change))
    assert (enforced(report).status, enforced(report).reason, report.resize) == (False, Reason.MOUNT_DIFFERS, "")


@pytest.mark.parametrize(
    ("logs", "others"),
    [
        pytest.param(replace(LOGS, size=2 * MI), {}, id="one cannot shrink"),
        pytest.param(replace(LOGS, size=8 * MI), {"may_grow": False}, id="one cannot grow"),
    ],
)
def test_all_mounts_are_resized_or_none(logs: TmpfsDirectory, others: dict[str, Any]) -> None:
    wanted = (replace(WANTED, size=2 * MI), logs)
    assert check(FOUND, replace(FOUND_LOGS, used=3 * MI), wanted=wanted, **others).resize == ""


def test_a_mount_that_nobody_specified_is_ignored() -> None:
    report = check(FOUND, replace(FOUND_LOGS, size=MI, used=MI))
    assert (len(report.conditions), [entry.mount_path for entry in report.status]) == (1, ["/cache"])
    assert enforced(report).reason is Reason.MOUNTS_VERIFIED


FILLING, FULL = (False, Reason.MOUNT_FILLING), (True, Reason.MOUNT_FULL)


@pytest.mark.parametrize(
    ("thresholds", "used", "inodes", "expected"),
    [
        pytest.param({}, 3.1, 2, None, id="bytes below 80 %"),
        pytest.param({}, 3.3, 2, FILLING, id="bytes above 80 %"),
        pytest.param({}, 3.9, 2, FULL, id="bytes above 95 %"),
        pytest.param({}, 0, 79, None, id="inodes below 80 %"),
        pytest.param({}, 0, 80, FILLING, id="inodes at 80 %"),
        pytest.param({}, 0, 95, FULL, id="inodes at 95 %"),
        pytest.param({"alertPercent": 50}, 2, 2, FILLING, id="alert at 50 %"),
        pytest.param({"alertPercent": 50, "fullPercent": 75}, 3, 2, FULL, id="full at 75 %"),
        pytest.param({"alertPercent": 100, "fullPercent": 100}, 3.9, 99, None, id="alert at 100 %"),
    ],
)
def test_a_mount_is_reported_before_it_is_full_by_bytes_or_inodes(
    thresholds: dict[str, int], used: float, inodes: int, expected: tuple[bool, Reason] | None
) -> None:
    found = replace(FOUND, used=int(used * MI), inodes_used=inodes)
    report = check_mounts(make_service(), (WANTED,), (found,), (policy(thresholds=thresholds),))
    conditions = [c for c in report.conditions if c.type is Type.TMPFS_FULL]
    assert [(c.status, c.reason) for c in conditions] == ([] if expected is None else [expected])
    text = f"% of {4 * MI} bytes and {inodes // 5 * 5} % of 100 inodes are in use"
    assert all(text in c.message for c in conditions)


@pytest.mark.parametrize(
    ("used", "percent"),
    [pytest.param(3.41, 85, id="85.3 %"), pytest.param(3.42, 85, id="85.5 %"), pytest.param(4, 100, id="100 %")],
)
def test_the_use_is_reported_in_steps_of_five_percent(used: float, percent: int) -> None:
    report = check(replace(FOUND, used=int(used * MI)))
    assert report.conditions[-1].message == f"/cache: {percent} % of {4 * MI} bytes and 0 % of 100 inodes are in use"


def test_the_high_water_mark_outlives_the_time_its_mount_is_on_disk() -> None:
    entry = TmpfsMountStatus(mount_path="/logs", size_bytes=MI, high_water_bytes=4096)
    service = replace(make_service(), status=XnaiServiceStatus(tmpfs=[entry]))
    report = check_mounts(service, (WANTED,), (FOUND,), (), ["/logs"])
    assert [found.mount_path for found in report.status] == ["/cache", "/logs"]
    assert report.status[1] == entry


def test_a_recommendation_is_written_and_not_applied() -> None:
    given = policy(sizing={"mode": "Recommend"})
    report = check_mounts(make_service(), (WANTED,), (replace(FOUND, used=3 * MI),), (given,))
    assert (report.status, report.resize) == (
        [
            TmpfsMountStatus(
                mount_path="/cache",
                size_bytes=4 * MI,
                high_water_bytes=3 * MI,
                recommended_bytes=5 * MI,
                recommendation=f"1.5 x the {3 * MI} bytes that were in use, between {given.spec.sizing.min} and "
                f"{given.spec.sizing.max}",
            )
        ],
        "",
    )
