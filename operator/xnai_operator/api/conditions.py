"""Every condition type and every reason the operator uses: one table, so that a reason in an event, a log line,
a metric label and a condition is the same word.

Follows the Kubernetes API conventions: `Ready` is always present, `Reconciling` and `Stalled` are abnormal-true
and absent when all is well (kstatus).
"""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final


class Type(StrEnum):
    """Condition types."""

    READY = "Ready"
    ADMITTED = "Admitted"
    HEALTHY = "Healthy"
    TMPFS_ENFORCED = "TmpfsEnforced"
    TMPFS_FULL = "TmpfsFull"
    LIMIT_TIGHT = "LimitTight"
    LIMITS_ENFORCED = "LimitsEnforced"
    MEMORY_PRESSURE = "MemoryPressure"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"


class Reason(StrEnum):
    """Why: the cause, not the phase."""

    # The resource itself.
    SPEC_INVALID = "SpecInvalid"
    MOUNT_PATH_DUPLICATE = "MountPathDuplicate"
    MOUNT_PATH_NESTED = "MountPathNested"
    HOST_PORT_CONFLICT = "HostPortConflict"
    CPU_SET_CONFLICT = "CpuSetConflict"
    DEPENDENCY_CYCLE = "DependencyCycle"
    DEPENDENCY_MISSING = "DependencyMissing"
    LIMIT_TOO_SMALL = "LimitTooSmall"
    LIMIT_TIGHT = "LimitTight"
    THREADS_EXCEED_CPUS = "ThreadsExceedCpus"
    POLICY_CONFLICT = "PolicyConflict"
    NO_SERVICE_SELECTED = "NoServiceSelected"
    POLICY_APPLIED = "PolicyApplied"
    # What it needs.
    IMAGE_MISSING = "ImageMissing"
    SECRET_MISSING = "SecretMissing"  # noqa: S105 - a reason, not a secret
    CONFIG_MAP_MISSING = "ConfigMapMissing"
    MODEL_MISSING = "ModelMissing"
    MODEL_INVALID = "ModelInvalid"
    VOLUME_MISSING = "VolumeMissing"
    INSUFFICIENT_MEMORY = "InsufficientMemory"
    TMPFS_BUDGET_EXCEEDED = "TmpfsBudgetExceeded"
    TMPFS_ON_DISK = "TmpfsOnDisk"
    FITS = "Fits"
    DEPENDENCY_NOT_READY = "DependencyNotReady"
    DEVICE_IN_USE = "DeviceInUse"
    DEVICE_MISSING = "DeviceMissing"
    MODEL_LOADING = "ModelLoading"
    # What is done while the memory of the machine is short.
    MEMORY_PRESSURE = "MemoryPressure"
    MODEL_REDUCED = "ModelReduced"
    MODEL_RESTORED = "ModelRestored"
    TMPFS_SPILLED = "TmpfsSpilled"
    EVICTED = "Evicted"
    THRASHING = "Thrashing"
    # What happens to it.
    SUSPENDED = "Suspended"
    POD_MISSING = "PodMissing"
    SPEC_CHANGED = "SpecChanged"
    IMAGE_CHANGED = "ImageChanged"
    CONTAINER_EXITED = "ContainerExited"
    PREEMPTED = "Preempted"
    BACK_OFF = "BackOff"
    START_FAILED = "StartFailed"
    RUNTIME_REFUSED = "RuntimeRefused"
    HELPER_FAILED = "HelperFailed"
    DISK_FULL = "DiskFull"
    PODMAN_UNAVAILABLE = "PodmanUnavailable"
    API_UNAVAILABLE = "ApiUnavailable"
    API_REFUSED = "ApiRefused"
    OWNER_GONE = "OwnerGone"
    LEFTOVER_REMOVED = "LeftoverRemoved"
    # What was observed.
    STARTING = "Starting"
    PROBE_FAILED = "ProbeFailed"
    PROBE_SUCCEEDED = "ProbeSucceeded"
    MOUNTS_VERIFIED = "MountsVerified"
    MOUNT_RESIZED = "MountResized"
    TMPFS_IN_USE = "TmpfsInUse"
    TMPFS_FILLING = "TmpfsFilling"
    TMPFS_FULL = "TmpfsFull"
    MOUNT_DIFFERS = "MountDiffers"
    CGROUP_LIMITS_UNAVAILABLE = "CgroupLimitsUnavailable"
    LIMITS_APPLIED = "LimitsApplied"


STARTS: Final = frozenset({Reason.POD_MISSING, Reason.SPEC_CHANGED, Reason.IMAGE_CHANGED, Reason.CONTAINER_EXITED})
"""Why a pod is started: with one of these nothing stands in the way."""


@dataclass(frozen=True)
class Condition:
    """One condition as decided; the transition time is added when it is merged into a status."""

    type: Type
    status: bool | None
    reason: Reason
    message: str


LONGEST: Final = 4096
"""Characters of a message that are stored; the API takes 32768, and people read less."""


def _word(status: bool | None) -> str:
    return "Unknown" if status is None else str(status)


def merge(
    current: list[dict[str, Any]], wanted: list[Condition], generation: int, now: datetime
) -> list[dict[str, Any]]:
    """The list to store: `wanted`, each with the time its status last changed (that of `current` when it did not)."""
    before = {c["type"]: c for c in current}
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    merged = []
    for condition in wanted:
        old = before.get(condition.type.value)
        same = old is not None and old["status"] == _word(condition.status)
        merged.append(
            {
                "type": condition.type.value,
                "status": _word(condition.status),
                "reason": condition.reason.value,
                "message": condition.message[:LONGEST],
                "observedGeneration": generation,
                "lastTransitionTime": old["lastTransitionTime"] if old is not None and same else stamp,
            }
        )
    return merged
