#!/usr/bin/env python3
"""What looking at memory and tmpfs costs, beside the goal of 0.5 % of a core.

    hack/env run python hack/bench/polling.py     (as a normal user: .venv/bin/python hack/bench/polling.py)

Each look is repeated over the pods that run now, and the CPU time of this process and of its helper in Podman's user
namespace is counted. Needs the stack (`make up`).
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "operator"))

from xnai_operator import wiring
from xnai_operator.backends.podman.backend import PodmanBackend
from xnai_operator.config import Config
from xnai_operator.host.memory_reader import MemoryReader, cpu_seconds
from xnai_operator.reconcile.engine import MEMORY_SECONDS, MOUNT_SECONDS

GOAL = 0.5
TIMES = 200


def cpu(helper: int | None) -> float:
    """CPU seconds of this process and of the helper."""
    return time.process_time() + (cpu_seconds(helper) if helper is not None else 0.0)


async def cost(backend: PodmanBackend, work: Callable[[], Awaitable[object]]) -> float:
    """CPU milliseconds of one call."""
    await work()
    before = cpu(backend.helper.pid)
    for _ in range(TIMES):
        await work()
    return (cpu(backend.helper.pid) - before) / TIMES * 1000


async def main() -> int:
    config = Config.read()
    backend, signals = wiring.backend(config), MemoryReader()
    pods = [pod for pod in (await backend.runtime.observe()).pods.values() if pod.running]
    if not pods:
        print("no pod runs; `make up` first", file=sys.stderr)
        return 1

    async def memory() -> None:
        signals.read()

    async def stalls() -> None:
        for pod in pods:
            signals.stalls(pod.pid)

    async def idle() -> None:
        signals.idle(pod.pid for pod in pods)

    async def mounts() -> None:
        for pod in pods:
            await backend.node_agent.mounts(pod)

    looks = (
        ("MemAvailable and PSI of the machine", memory, MEMORY_SECONDS),
        (f"PSI of {len(pods)} pods", stalls, MEMORY_SECONDS),
        (f"CPU use of {len(pods)} pods", idle, MEMORY_SECONDS),
        (f"statvfs of every tmpfs of {len(pods)} pods", mounts, MOUNT_SECONDS),
    )
    print(f"{'look':<44} {'CPU ms':>8} {'each':>6} {'% of a core':>12}")
    total = 0.0
    for name, work, seconds in looks:
        took = await cost(backend, work)
        share = took / seconds / 10
        total += share
        print(f"{name:<44} {took:>8.3f} {seconds:>4.0f} s {share:>12.3f}")
    print(f"{'all':<44} {'':>8} {'':>6} {total:>12.3f}   goal {GOAL} {'ok' if total <= GOAL else 'ABOVE'}")
    await backend.runtime.close()
    return 0 if total <= GOAL else 1


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
