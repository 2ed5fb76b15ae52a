"""CPUs, memory, controllers and GPUs of the machine, read from /proc and /sys."""

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class NodeInfo:
    """Sizes in bytes. `cpus`: those this process may use; `cores`: the physical ones among them, on which threads of
    inference gain. `controllers`: of cgroup version 2, those the user may use. `gpus`: render nodes of /dev/dri."""

    memory: int
    swap: int
    zram: bool
    cpus: int
    cores: int
    cgroup_version: int
    controllers: tuple[str, ...]
    gpus: tuple[str, ...]
    vulkan: bool


def memory_value(meminfo: str, key: str) -> int:
    """A line of /proc/meminfo's text, in bytes. Raises StopIteration when the text has no such line."""
    line = next(line for line in meminfo.splitlines() if line.startswith(f"{key}:"))
    return int(line.split()[1]) * 1024


def physical_cores(sys: Path, cpus: frozenset[int]) -> int:
    """The number of physical cores of these CPUs. Hardware threads of a core share the units that llama.cpp uses."""
    cores = set()
    for cpu in cpus:
        siblings = sys / f"devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"
        cores.add(siblings.read_text().strip() if siblings.exists() else str(cpu))
    return len(cores)


def kernel_controllers(sys: Path) -> tuple[str, ...]:
    """The controllers of cgroup version 2 that the kernel was booted with."""
    root = sys / "fs/cgroup/cgroup.controllers"
    return tuple(root.read_text().split()) if root.exists() else ()


def controllers(sys: Path, uid: int) -> tuple[int, tuple[str, ...]]:
    """The version of cgroups, and the controllers that systemd delegated to the user."""
    root = sys / "fs/cgroup"
    if not (root / "cgroup.controllers").exists():
        return 1, ()
    own = root / f"user.slice/user-{uid}.slice/user@{uid}.service/cgroup.controllers"
    return 2, tuple(own.read_text().split()) if own.exists() else ()


def read(root: Path = Path("/")) -> NodeInfo:
    """The machine, with its file systems below `root` (tests have a copy)."""
    proc, sys = root / "proc", root / "sys"
    meminfo = (proc / "meminfo").read_text()
    cpus = frozenset(os.sched_getaffinity(0))
    version, delegated = controllers(sys, os.getuid())
    swaps = (proc / "swaps").read_text() if (proc / "swaps").exists() else ""
    drivers = [*root.glob("usr/share/vulkan/icd.d/*.json"), *root.glob("etc/vulkan/icd.d/*.json")]
    return NodeInfo(
        memory=memory_value(meminfo, "MemTotal"),
        swap=memory_value(meminfo, "SwapTotal"),
        zram="/dev/zram" in swaps,
        cpus=len(cpus),
        cores=physical_cores(sys, cpus),
        cgroup_version=version,
        controllers=delegated,
        gpus=tuple(sorted(f"/{path.relative_to(root)}" for path in root.glob("dev/dri/renderD*"))),
        vulkan=bool(drivers),
    )
