"""`xnai doctor`: each precondition of this machine, why it matters, the command that mends it."""

import json
import os
import pwd
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typer
from rich.text import Text

from xnai_operator.cli.output import Exit, Format, out, show
from xnai_operator.config import Config
from xnai_operator.host import node
from xnai_operator.host.memory_reader import MemoryReader

MINIMUM: Final = (5, 4)


@dataclass(frozen=True)
class Finding:
    """`level`: `ok`, `warning` (works, with less) or `fault` (does not work)."""

    check: str
    level: str
    found: str
    why: str = ""
    fix: str = ""

    def row(self) -> dict[str, Any]:
        """For output."""
        return {"check": self.check, "level": self.level, "found": self.found, "why": self.why, "fix": self.fix}


def _ok(check: str, found: str) -> Finding:
    return Finding(check, "ok", found)


def podman(_: Config) -> Finding:
    """Podman of at least 5.4."""
    why = "older versions run kube YAML differently and drop fields without a word"
    fix = "install Podman 5.4 or newer: Debian 13, Ubuntu 25.04, Fedora 41 or later have it"
    if shutil.which("podman") is None:
        return Finding("podman", "fault", "not installed", why, fix)
    text = subprocess.run(["podman", "--version"], capture_output=True, text=True, check=False).stdout
    match = re.search(r"(\d+)\.(\d+)\.\d+", text)
    if match is None:
        return Finding("podman", "fault", text.strip() or "podman --version says nothing", why, fix)
    level = "ok" if (int(match[1]), int(match[2])) >= MINIMUM else "fault"
    return Finding("podman", level, match[0], why, fix) if level == "fault" else _ok("podman", match[0])


def user(_: Config) -> Finding:
    """A normal user: pods must not be root's."""
    if os.getuid() == 0:
        return Finding("user", "fault", "root", "the operator never needs root", "run it as a normal user")
    return _ok("user", pwd.getpwuid(os.getuid()).pw_name)


def subids(_: Config) -> Finding:
    """Subordinate ids for rootless containers."""
    name = pwd.getpwuid(os.getuid()).pw_name
    missing = []
    for file in ("/etc/subuid", "/etc/subgid"):
        lines = Path(file).read_text().splitlines() if Path(file).exists() else []
        if not any(line.split(":")[0] in {name, str(os.getuid())} for line in lines):
            missing.append(file)
    if missing:
        why = "containers need more than one user id"
        fix = f"sudo usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {name} && podman system migrate"
        return Finding("subordinate ids", "fault", f"no line for {name} in {', '.join(missing)}", why, fix)
    return _ok("subordinate ids", "present")


def tools(_: Config) -> Finding:
    """Programs Podman needs."""
    places = f"{os.environ.get('PATH', '')}:/usr/lib/podman:/usr/libexec/podman:/usr/sbin"
    wanted = {
        "newuidmap": "uidmap",
        "pasta": "passt",
        "netavark": "netavark",
        "aardvark-dns": "aardvark-dns",
        "nft": "nftables",
    }
    missing = [package for tool, package in wanted.items() if shutil.which(tool, path=places) is None]
    if missing:
        why = "rootless networks and user namespaces need them"
        return Finding("tools", "fault", f"missing: {', '.join(missing)}", why, f"sudo apt install {' '.join(missing)}")
    return _ok("tools", ", ".join(wanted))


def runtime_directory(config: Config) -> Finding:
    """XDG_RUNTIME_DIR is there and in memory."""
    base = config.runtime.parent
    why = "tmpfs directories, secrets and sockets live there"
    if not base.is_dir() or not os.access(base, os.W_OK):
        fix = "log in through a session (ssh, a console), or: sudo loginctl enable-linger $USER"
        return Finding("runtime directory", "fault", f"{base} is not writable", why, fix)
    return _ok("runtime directory", str(base))


def cgroups(_: Config, sys: Path = Path("/sys")) -> Finding:
    """cgroup v2 with the memory controller delegated, else limits are not enforced."""
    why = "the kernel enforces no such limit of rootless pods; admission still holds the sum of memory"
    version, controllers = node.controllers(sys, os.getuid())
    if version == 1:
        fix = "boot with systemd.unified_cgroup_hierarchy=1"
        return Finding("cgroups", "warning", "version 1: no memory and CPU limits", why, fix)
    missing = [name for name in ("memory", "cpu", "pids") if name not in controllers]
    absent = [name for name in missing if name not in node.kernel_controllers(sys)]
    if absent:
        fix = f"boot without cgroup_disable={','.join(absent)}; on a Raspberry Pi, with cgroup_enable=memory"
        return Finding("cgroups", "warning", f"version 2, a kernel without {', '.join(absent)}", why, fix)
    if missing:
        fix = (
            "sudo mkdir -p /etc/systemd/system/user@.service.d && "
            "printf '[Service]\\nDelegate=cpu cpuset io memory pids\\n' | "
            "sudo tee /etc/systemd/system/user@.service.d/delegate.conf && "
            "sudo systemctl daemon-reload, then log in again"
        )
        return Finding("cgroups", "warning", f"version 2 without {', '.join(missing)} for this user", why, fix)
    return _ok("cgroups", f"version 2, delegated: {', '.join(controllers)}")


def memory(config: Config) -> Finding:
    """Enough memory that something remains after the reserve."""
    total = node.read().memory
    room = total - config.reserve
    found = f"{total >> 20} Mi, {max(room, 0) >> 20} Mi of it for services"
    if room < 1 << 30:
        return Finding("memory", "warning", found, "little is left for services", "set XNAI_RESERVE_BYTES lower")
    return _ok("memory", found)


def cpus(_: Config) -> Finding:
    """Threads of inference gain up to the physical cores."""
    found = node.read()
    return _ok("cpus", f"{found.cores} cores, {found.cpus} hardware threads")


def swap(_: Config) -> Finding:
    """What tmpfs and idle pages can be moved to. zram holds quantised weights no smaller than they are."""
    found = node.read()
    if not found.swap:
        return _ok("swap", "none: what is in a tmpfs stays in memory")
    return _ok("swap", f"{found.swap >> 20} Mi{', compressed memory (zram)' if found.zram else ''}")


def gpu(_: Config) -> Finding:
    """For `device: vulkan`."""
    found = node.read()
    if not found.gpus:
        return _ok("gpu", "none: models run on the CPU")
    driver = "a Vulkan driver is installed" if found.vulkan else "no Vulkan driver on the machine (images bring theirs)"
    return _ok("gpu", f"{', '.join(found.gpus)}; {driver}")


def signals(_: Config) -> Finding:
    """What the pressure ladder goes by."""
    lacking = MemoryReader().lacking()
    if lacking:
        why = "the operator sees a shortage of memory later, or not which pod suffers"
        fix = "boot with psi=1, and cgroup version 2 (systemd.unified_cgroup_hierarchy=1)"
        return Finding("memory signals", "warning", f"missing: {'; '.join(lacking)}", why, fix)
    return _ok("memory signals", "MemAvailable, PSI of the machine, PSI and events of pods")


def disk(config: Config) -> Finding:
    """Room for images and etcd."""
    place = config.state
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    found = f"{free >> 30} Gi free at {place}"
    if free < 5 << 30:
        return Finding("disk", "warning", found, "images take about 2 Gi", "podman image prune")
    return _ok("disk", found)


def linger(_: Config) -> Finding:
    """With systemd: the user's processes outlive the login."""
    name = pwd.getpwuid(os.getuid()).pw_name
    if not Path("/run/systemd/system").exists() or Path(f"/var/lib/systemd/linger/{name}").exists():
        return _ok("linger", "not needed" if not Path("/run/systemd/system").exists() else "enabled")
    why = "else pods end when you log out"
    return Finding("linger", "warning", "not enabled", why, "loginctl enable-linger")


CHECKS: tuple[Callable[[Config], Finding], ...] = (
    podman, user, subids, tools, runtime_directory, cgroups, memory, signals, cpus, swap, gpu, disk, linger,
)  # fmt: skip


def podman_info() -> Finding:
    """Podman itself answers."""
    done = subprocess.run(["podman", "info", "--format", "json"], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        why = "Podman does not work for this user"
        return Finding("podman info", "fault", done.stderr.strip().splitlines()[-1], why, "podman info")
    host = json.loads(done.stdout)["host"]
    return _ok("podman info", f"rootless={host['security']['rootless']}, runtime {host['ociRuntime']['name']}")


def examine(config: Config) -> list[Finding]:
    """Every check, in order; Podman itself is asked when the rest finds no fault."""
    found = [check(config) for check in CHECKS]
    return found if any(f.level == "fault" for f in found) else [*found, podman_info()]


_STYLES: Final = {"ok": "green", "warning": "yellow", "fault": "red"}


def run(output: Format) -> None:
    """Print every finding; exit code 1 when there is a fault."""
    findings = examine(Config.read())
    if output is not Format.TABLE:
        show([finding.row() for finding in findings], (), output)
    else:
        for finding in findings:
            level = (f"{finding.level:10}", _STYLES[finding.level])
            out.print(Text.assemble(level, f" {finding.check}: {finding.found}"))
            if finding.level != "ok":
                out.print(f"           why: {finding.why}\n           fix: {finding.fix}", soft_wrap=True)
    if any(finding.level == "fault" for finding in findings):
        raise typer.Exit(Exit.CONDITION_FALSE)
