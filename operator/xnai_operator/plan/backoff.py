"""When a container that ended is started again: Kubernetes' CrashLoopBackOff."""

from typing import Final

# Source: kubelet, pkg/kubelet/kubelet.go (MaxCrashLoopBackOff 300 s, initial 10 s, reset after 10 min); the first
# wait is 1 s here, since on one machine a dependency restarting is the usual cause.
FIRST_SECONDS: Final = 1.0
LONGEST_SECONDS: Final = 300.0
RESET_AFTER_SECONDS: Final = 600.0


def delay(restarts: int) -> float:
    """Seconds to wait before restart number `restarts` + 1: 1, 2, 4 ... 300."""
    return float(min(FIRST_SECONDS * 2 ** min(restarts, 20), LONGEST_SECONDS))
