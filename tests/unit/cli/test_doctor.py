"""What `xnai doctor` finds, from copies of the machine's files."""

import os
from pathlib import Path

import pytest

from xnai_operator.cli import doctor
from xnai_operator.config import Config

ALL = "cpuset cpu io memory pids"


@pytest.mark.parametrize(
    ("kernel", "delegated", "level", "found", "fix"),
    [
        pytest.param(
            None,
            None,
            "warning",
            "version 1: no memory and CPU limits",
            "unified_cgroup_hierarchy",
            id="cgroups version 1",
        ),
        pytest.param(ALL, ALL, "ok", "version 2, delegated: cpuset, cpu, io, memory, pids", "", id="all delegated"),
        pytest.param(
            ALL, "memory pids", "warning", "version 2 without cpu for this user", "Delegate=", id="cpu not delegated"
        ),
        pytest.param(
            "cpu pids",
            "cpu pids",
            "warning",
            "version 2, a kernel without memory",
            "cgroup_enable=memory",
            id="a kernel without memory",
        ),
    ],
)
def test_cgroups(kernel: str | None, delegated: str | None, level: str, found: str, fix: str, tmp_path: Path) -> None:
    uid = os.getuid()
    own = f"fs/cgroup/user.slice/user-{uid}.slice/user@{uid}.service/cgroup.controllers"
    for name, text in (("fs/cgroup/cgroup.controllers", kernel), (own, delegated)):
        if text is not None:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(f"{text}\n")
    finding = doctor.cgroups(Config.read(), tmp_path)
    assert (finding.level, finding.found, fix in finding.fix) == (level, found, True)
