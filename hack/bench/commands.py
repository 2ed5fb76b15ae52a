#!/usr/bin/env python3
"""What the commands cost, beside the goals: CPU and time of `xnai`, and root's against those of the environment's user.

    make bench     (or .venv/bin/python hack/bench/commands.py)

The runs are interleaved and medians are compared: the machine may be busy. `status`, `plan` and `kubeconfig` need the
stack (`make up`); without it the time until they say so is measured.
"""

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[2]
ROUNDS = 7
PLAIN = [sys.executable, "-c", "import typer, rich"]
XNAI = [sys.executable, "-m", "xnai_operator.cli"]
COMMANDS = {
    "status": ["status"],
    "kubeconfig": ["kubeconfig"],
    "render": ["render", "-f", "manifests/redis"],
    "plan": ["plan", "-f", "manifests/redis"],
}


def row(what: str, figure: str, goal: str = "") -> None:
    print(f"{what:<52} {figure:>22}  {goal}", flush=True)


def cost(command: list[str]) -> tuple[float, float]:
    """Seconds of CPU and of time of one run."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False, cwd=REPO)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, time.perf_counter() - began


def medians(commands: dict[str, list[str]]) -> dict[str, tuple[float, float]]:
    """Name -> median CPU and time; the first round fills caches and does not count."""
    runs: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for number in range(ROUNDS + 1):
        for name, command in commands.items():
            found = cost(command)
            if number:
                runs[name].append(found)
    return {
        name: (statistics.median(cpu for cpu, _ in found), statistics.median(seconds for _, seconds in found))
        for name, found in runs.items()
    }


def as_user() -> dict[str, tuple[float, float]]:
    """The commands as whoever runs this, beside the cost of starting Python with typer and rich."""
    return medians({"typer, rich": PLAIN, "--help": [*XNAI, "--help"]} | {n: [*XNAI, *c] for n, c in COMMANDS.items()})


def main() -> None:
    if "--json" in sys.argv:
        print(json.dumps(as_user()))
        return
    root = os.getuid() == 0
    inside = [str(REPO / "hack" / "env"), "run", "python", "hack/bench/commands.py", "--json"]
    user = (
        json.loads(subprocess.run(inside, capture_output=True, text=True, check=True, cwd=REPO).stdout)
        if root
        else as_user()
    )
    for name, (cpu, seconds) in user.items():
        row(f"{'python -c import ' if name == 'typer, rich' else 'xnai '}{name}", f"{cpu:.2f} s CPU, {seconds:.2f} s")
    row("  --help / import typer, rich (CPU)", f"{user['--help'][0] / user['typer, rich'][0]:.2f}", "<= 3")
    row("  status / --help (CPU)", f"{user['status'][0] / user['--help'][0]:.2f}", "<= 5")
    if root:
        xnai = str(REPO / ".venv" / "bin" / "xnai")
        for name, (_, seconds) in medians({name: [xnai, *rest] for name, rest in COMMANDS.items()}).items():
            row(f"xnai {name}, as root", f"{seconds:.2f} s")
            row("  root / the environment's user (time)", f"{seconds / user[name][1]:.2f}", "<= 3")


if __name__ == "__main__":
    main()
