"""When a service is started again after an exit or a failed start: Kubernetes' CrashLoopBackOff."""

from typing import Final

# Source: kubelet, pkg/kubelet/kubelet.go (MaxCrashLoopBackOff 300 s, initial 10 s, reset after 10 min); the first
# wait is 1 s here, since on one machine a dependency restarting is the usual cause.
FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 300.0
RESET_AFTER_SECONDS: Final = 600.0


def delay(restarts: int) -> float:
    """Seconds to wait before restart number `restarts` + 1: 1, 2, 4 ... 300."""
    return float(min(FIRST_SECONDS * 2 ** min(restarts, 20), LONGEST_SECONDS))


def after_exit(restarts: int, started_at: float, finished_at: float) -> tuple[int, float]:
    """The number of restarts with the next one, and the earliest time of it. Times in seconds since the epoch."""
    if finished_at - started_at > RESET_AFTER_SECONDS:
        restarts = 0
    return restarts + 1, finished_at + delay(restarts)


def after_failed_start(restarts: int, now: float) -> tuple[int, int]:
    """The number of restarts with the failed one, and the earliest time of the next start, in whole seconds since the
    epoch, rounded up: it is stored."""
    return restarts + 1, int(now + delay(restarts + 1) + 1)
