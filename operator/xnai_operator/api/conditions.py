"""Every condition type and every reason the operator uses: one table, so that a reason is the same word in a condition,
an event, a log line and a metric label. The pages `reference/conditions.md` and `how-to/not-ready.md` are generated
from it.

Follows the Kubernetes API conventions: `Ready` is always present, `Reconciling` and `Stalled` are abnormal-true
and absent when all is well (kstatus). A reason is a cause, so it never repeats the type of a condition.
"""

import enum
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal, Self

from xnai_operator.api.types import Int64, Status, Time


class Flags(enum.Flag):
    """What else the operator reads from a type or a reason."""

    BELONGS_TO_POD = enum.auto()
    """Type: it describes the running pod, so it stays while a change of the resource is refused."""
    POSTS_EVENT = enum.auto()
    """Type: only a person can act on it, so a new reason is also posted as an event."""
    STARTS_POD = enum.auto()
    """Reason: the pod is started for it; nothing else stands in the way."""
    POD_RUNS = enum.auto()
    """Reason: the pod runs and is not Ready yet."""


NONE: Final = Flags(0)


class Type(enum.StrEnum):
    """Condition types: the name, its meaning, its flags."""

    _value_: str
    meaning: str
    flags: Flags

    def __new__(cls, value: str, meaning: str, flags: Flags = NONE) -> Self:
        member = str.__new__(cls, value)
        member._value_, member.meaning, member.flags = value, meaning, flags
        return member

    # fmt: off
    READY = ("Ready",
        "True while the service runs and its probes succeed, or while the policy selects a service. Always present.")
    ADMITTED = ("Admitted",
        "Whether the machine has the memory the service needs. The message has the sum.")
    TMPFS_ENFORCED = ("TmpfsEnforced",
        "Whether each tmpfs in the running container is mounted as declared.", Flags.BELONGS_TO_POD)
    TMPFS_FULL = ("TmpfsFull",
        "Present from the alert threshold of the policy on. True from the full threshold on.",
        Flags.BELONGS_TO_POD | Flags.POSTS_EVENT)
    LIMIT_TIGHT = ("LimitTight",
        "True while the memory limit leaves the service little headroom. Otherwise absent.", Flags.POSTS_EVENT)
    LIMITS_ENFORCED = ("LimitsEnforced",
        "Whether the kernel enforces the memory and CPU limits of the pod.", Flags.BELONGS_TO_POD)
    MEMORY_PRESSURE = ("MemoryPressure",
        "True while a shortage of memory slows the pod down or makes it run smaller. Otherwise absent.",
        Flags.BELONGS_TO_POD)
    RECONCILING = ("Reconciling",
        "True while the operator works towards the resource, or waits for something. Otherwise absent.")
    STALLED = ("Stalled",
        "True while only an edit of the resource helps. Otherwise absent.")
    # fmt: on

    @property
    def belongs_to_pod(self) -> bool:
        """See Flags."""
        return Flags.BELONGS_TO_POD in self.flags

    @property
    def posts_event(self) -> bool:
        """See Flags."""
        return Flags.POSTS_EVENT in self.flags


class Group(enum.StrEnum):
    """What a reason is about: its heading in the documentation."""

    RESOURCE = "The resource"
    NEEDS = "What the service needs"
    MEMORY = "Memory"
    POD = "The pod"
    MOUNTS = "Mounts and limits of a running pod"
    RUNTIME = "Podman and the API server"


class Reason(enum.StrEnum):
    """Why: the cause, not the phase. The word, its group, its meaning, what the user does about it (empty when there is
    nothing to do), its flags."""

    _value_: str
    group: Group
    meaning: str
    remedy: str
    flags: Flags

    def __new__(cls, value: str, group: Group, meaning: str, remedy: str = "", flags: Flags = NONE) -> Self:
        member = str.__new__(cls, value)
        member._value_, member.group, member.meaning, member.remedy, member.flags = value, group, meaning, remedy, flags
        return member

    # fmt: off
    SPEC_INVALID = ("SpecInvalid", Group.RESOURCE,
        "A field has a value that the operator cannot use.",
        "Correct the field that the message names.")
    MOUNT_PATH_DUPLICATE = ("MountPathDuplicate", Group.RESOURCE,
        "Two mounts of the service have the same path.",
        "Remove one of the mounts, or change its path.")
    MOUNT_PATH_NESTED = ("MountPathNested", Group.RESOURCE,
        "A mount lies inside a persistent volume, where its content would hide.",
        "Change the path of one of the two mounts.")
    HOST_PORT_CONFLICT = ("HostPortConflict", Group.RESOURCE,
        "Another service has the same port of the machine, or the service names it twice.",
        "Choose another `hostPort`.")
    CPU_SET_CONFLICT = ("CpuSetConflict", Group.RESOURCE,
        "An older service has one of the CPUs in `resources.cpuSet`.",
        "Choose other CPUs.")
    DEPENDENCY_CYCLE = ("DependencyCycle", Group.RESOURCE,
        "The services in `dependsOn` depend on each other in a circle.",
        "Remove one dependency of the circle that the message shows.")
    LIMIT_TOO_SMALL = ("LimitTooSmall", Group.RESOURCE,
        "The memory limit is smaller than what the service needs.",
        "Raise `resources.limits.memory`. The message has the sum.")
    THREADS_EXCEED_CPUS = ("ThreadsExceedCpus", Group.RESOURCE,
        "The service asks for more inference threads than it has CPUs.",
        "Lower `inference.threads`, or remove the field.")
    POLICY_CONFLICT = ("PolicyConflict", Group.RESOURCE,
        "Two policies of the same precedence declare different mounts at one path.",
        "Raise the `precedence` of one policy, or declare the mount in the service.")
    NO_SERVICE_SELECTED = ("NoServiceSelected", Group.RESOURCE,
        "The selector of the policy matches no service of its namespace.",
        "Change `selector.matchLabels`, or the labels of a service.")
    POLICY_APPLIED = ("PolicyApplied", Group.RESOURCE,
        "The policy applies to at least one service.")

    IMAGE_MISSING = ("ImageMissing", Group.NEEDS,
        "The image is not on this machine.",
        "Build the image, or fetch it with `podman pull`.")
    HOST_PORT_UNUSABLE = ("HostPortUnusable", Group.NEEDS,
        "The port of the machine cannot be bound: another program or an ending pod has it, a normal user may not bind "
        "it, or the address is not of this machine.",
        "The message has the cause. Free the port, or choose another `hostPort` or `hostIP`.")
    HOST_PATH_MISSING = ("HostPathMissing", Group.NEEDS,
        "A path in `storage.hostPaths` is not on the machine, or cannot be reached.",
        "Create the path, or correct it.")
    SECRET_MISSING = ("SecretMissing", Group.NEEDS,
        "A Secret that the service names, or one of its keys, does not exist.",
        "Create the Secret. The service then starts without another command.")
    CONFIG_MAP_MISSING = ("ConfigMapMissing", Group.NEEDS,
        "A ConfigMap that the service names, or one of its keys, does not exist.",
        "Create the ConfigMap. The service then starts without another command.")
    VOLUME_MISSING = ("VolumeMissing", Group.NEEDS,
        "A volume of another service does not exist yet.",
        "Declare the volume in the service that owns it, and start that service.")
    MODEL_MISSING = ("ModelMissing", Group.NEEDS,
        "The model file is not in the models directory.",
        "Put the file into the directory that `xnai doctor` prints.")
    MODEL_FETCHING = ("ModelFetching", Group.NEEDS,
        "The operator fetches the model file from its `url`.",
        "Wait. The message has the bytes that are here.")
    MODEL_INVALID = ("ModelInvalid", Group.NEEDS,
        "The model file is not a whole GGUF model, is not for the user of the container, or has another SHA-256.",
        "Replace the file, or what the message names.")
    MODEL_VERIFYING = ("ModelVerifying", Group.NEEDS,
        "The SHA-256 of the model file is being computed.",
        "Wait. It is computed once a file.")
    DEPENDENCY_MISSING = ("DependencyMissing", Group.NEEDS,
        "A service in `dependsOn` does not exist.",
        "Apply that service, or remove it from `dependsOn`.")
    DEPENDENCY_NOT_READY = ("DependencyNotReady", Group.NEEDS,
        "A service in `dependsOn` is not Ready.",
        "Look at that service: `kubectl describe xs` shows its reason.")
    DEVICE_MISSING = ("DeviceMissing", Group.NEEDS,
        "The machine has no GPU that the service can use.",
        "Set `inference.device: cpu`, or install the driver of the GPU.")
    DEVICE_IN_USE = ("DeviceInUse", Group.NEEDS,
        "Another service has the GPU.",
        "Set `inference.device: cpu`, or delete the other service.")
    MODEL_LOADING = ("ModelLoading", Group.NEEDS,
        "Another service loads its model. Models are loaded one at a time.",
        "Wait. The service starts when the other model is loaded.")

    FITS = ("Fits", Group.MEMORY,
        "The machine has the memory that the service needs.")
    INSUFFICIENT_MEMORY = ("InsufficientMemory", Group.MEMORY,
        "More important services leave too little memory for this one.",
        "Lower a memory request or the size of a tmpfs, or delete a service. The message has the sum.")
    PREEMPTED = ("Preempted", Group.MEMORY,
        "The pod was stopped because a more important service needs its memory.",
        "As for `InsufficientMemory`. The service starts again when there is room.")
    TMPFS_BUDGET_EXCEEDED = ("TmpfsBudgetExceeded", Group.MEMORY,
        "The mounts of the service exceed the budget of their TmpfsPolicy.",
        "Raise `budget` in the policy, or set `fallback: Volume`. The message has the sum.")
    TMPFS_ON_DISK = ("TmpfsOnDisk", Group.MEMORY,
        "A tmpfs of the pod is on disk, because memory or a budget did not suffice when the pod was started.",
        "Free memory or raise the budget. The mount returns to memory at the next start that finds room.")
    INSUFFICIENT_HEADROOM = ("InsufficientHeadroom", Group.MEMORY,
        "The memory limit leaves less than a tenth above what the service needs.",
        "Raise `resources.limits.memory`. The message has a figure.")
    NODE_MEMORY_LOW = ("NodeMemoryLow", Group.MEMORY,
        "The machine is short of memory, so no further service is started.",
        "Close programs that use memory. `xnai status` shows the step of the pressure ladder.")
    PRESSURE_CHANGED = ("PressureChanged", Group.MEMORY,
        "The memory of the machine has become scarcer or less scarce. Posted as an event of the Node.")
    EVICTED = ("Evicted", Group.MEMORY,
        "The pod was stopped because the machine is short of memory.",
        "As for `NodeMemoryLow`. The service starts again when the shortage is over.")
    MODEL_REDUCED = ("ModelReduced", Group.MEMORY,
        "The model runs with less context and a smaller cache, because the machine is short of memory.",
        "As for `NodeMemoryLow`. The model is loaded as declared when the shortage is over and the service is idle.")
    MODEL_RESTORED = ("ModelRestored", Group.MEMORY,
        "The model is loaded as declared again, because the shortage of memory is over.")
    TMPFS_SPILLED = ("TmpfsSpilled", Group.MEMORY,
        "The tmpfs of the pod move to disk, because the machine is short of memory.",
        "As for `NodeMemoryLow`. The mounts return to memory at the next start that finds room.")
    THRASHING = ("Thrashing", Group.MEMORY,
        "The pod reads the same memory from disk again and again, because its limit is too small.",
        "Raise `resources.limits.memory`.")

    SUSPENDED = ("Suspended", Group.POD,
        "`spec.suspend` is true, so the operator neither starts, changes nor stops the service.",
        "Set `suspend: false` to start the service.")
    POD_MISSING = ("PodMissing", Group.POD,
        "The service has no pod, so one is started.", "", Flags.STARTS_POD)
    SPEC_CHANGED = ("SpecChanged", Group.POD,
        "The pod differs from what the resource declares, so it is replaced.", "", Flags.STARTS_POD)
    IMAGE_CHANGED = ("ImageChanged", Group.POD,
        "The image has been built or fetched again, so the pod is replaced.", "", Flags.STARTS_POD)
    CONTAINER_EXITED = ("ContainerExited", Group.POD,
        "The container has ended, so it is started again.",
        "`xnai logs NAME` shows why the container ended.", Flags.STARTS_POD)
    BACK_OFF = ("BackOff", Group.POD,
        "The container ended, or its start failed. The operator waits before it starts the container again.",
        "`xnai logs NAME` shows why the container ended.")
    START_FAILED = ("StartFailed", Group.POD,
        "The pod could not be started.",
        "Read the message. The operator tries again.")
    INIT_CONTAINER_RUNNING = ("InitContainerRunning", Group.POD,
        "An init container of the pod runs. The container of the service starts when it has ended well.",
        "Wait. `xnai logs NAME --init INIT` shows what the init container does. An edit of the service ends it.")
    STARTING = ("Starting", Group.POD,
        "The pod runs, and no probe has succeeded yet.",
        "Wait. `xnai logs NAME` shows what the service does.", Flags.POD_RUNS)
    PROBE_FAILED = ("ProbeFailed", Group.POD,
        "The pod runs, and its probe fails.",
        "`xnai logs NAME` shows what the service does. The message has the answer to the probe.", Flags.POD_RUNS)
    PROBE_SUCCEEDED = ("ProbeSucceeded", Group.POD,
        "The pod runs, and its probes succeed.")
    OWNER_GONE = ("OwnerGone", Group.POD,
        "The pod is stopped because its XnaiService was deleted.")
    LEFTOVER_REMOVED = ("LeftoverRemoved", Group.POD,
        "A directory of a pod that no longer exists was removed. It held memory.")

    MOUNTS_VERIFIED = ("MountsVerified", Group.MOUNTS,
        "Each tmpfs in the running container is mounted as declared.")
    MOUNT_RESIZED = ("MountResized", Group.MOUNTS,
        "The size of a tmpfs is changed in the running container.")
    MOUNT_FILLING = ("MountFilling", Group.MOUNTS,
        "The use of a tmpfs is above the alert threshold.",
        "Raise the size of the mount, which needs no restart, or set `sizing` in the policy.")
    MOUNT_FULL = ("MountFull", Group.MOUNTS,
        "The use of a tmpfs is above the full threshold.",
        "As for `MountFilling`.")
    TMPFS_IN_USE = ("TmpfsInUse", Group.MOUNTS,
        "A tmpfs cannot be made smaller, because it holds more than the new size.",
        "Delete files on the mount, or raise its size.")
    MOUNT_DIFFERS = ("MountDiffers", Group.MOUNTS,
        "A tmpfs in the running container is not mounted as declared.",
        "Read the message. Delete the pod with `podman pod rm -f` to have it started again.")
    LIMITS_APPLIED = ("LimitsApplied", Group.MOUNTS,
        "The kernel enforces the memory and CPU limits.")
    CGROUP_LIMITS_UNAVAILABLE = ("CgroupLimitsUnavailable", Group.MOUNTS,
        "Rootless Podman cannot apply some limits on this machine.",
        "`xnai doctor` shows what is missing and how to add it.")

    PODMAN_UNAVAILABLE = ("PodmanUnavailable", Group.RUNTIME,
        "Podman does not answer.",
        "Run `xnai doctor`.")
    RUNTIME_REFUSED = ("RuntimeRefused", Group.RUNTIME,
        "Podman refused a request. The message has its answer.",
        "Read the message. The operator tries again.")
    HELPER_FAILED = ("HelperFailed", Group.RUNTIME,
        "The operator's helper in Podman's user namespace failed. The message has the step.",
        "Read the message, then run `xnai doctor`. The operator tries again.")
    DISK_FULL = ("DiskFull", Group.RUNTIME,
        "The disk has no room for what the pod needs.",
        "Free space, for example with `podman image prune`.")
    API_UNAVAILABLE = ("ApiUnavailable", Group.RUNTIME,
        "The API server does not answer.",
        "Run `xnai up`, or read `kube-apiserver.log` in the directory of the logs.")
    API_REFUSED = ("ApiRefused", Group.RUNTIME,
        "The API server refused a request. The message has its answer.",
        "Read the message.")
    # fmt: on

    @property
    def starts_pod(self) -> bool:
        """See Flags."""
        return Flags.STARTS_POD in self.flags

    @property
    def pod_runs(self) -> bool:
        """See Flags."""
        return Flags.POD_RUNS in self.flags


@dataclass(frozen=True)
class Condition:
    """One condition as decided; the transition time is added when it is merged into a status."""

    type: Type
    status: bool | None
    reason: Reason
    message: str


class StoredCondition(Status):
    """One condition as the API stores it. `type` and `reason` may be those of another version of the operator."""

    type: str
    """What the condition is about, in one CamelCase word."""
    status: Literal["True", "False", "Unknown"]
    """Whether the condition holds."""
    reason: str
    """The cause, in one CamelCase word."""
    message: str
    """The cause in a sentence, for people."""
    observed_generation: Int64 | None = None
    """The generation of the resource that the condition was computed from."""
    last_transition_time: Time
    """When `status` last changed."""


LONGEST: Final = 4096
"""Characters of a message that are stored; the API takes 32768, and people read less."""


def merge(
    current: list[StoredCondition], wanted: list[Condition], generation: int, now: datetime
) -> list[StoredCondition]:
    """The list to store: `wanted`, each with the time its status last changed (that of `current` when it did not)."""
    before = {condition.type: condition for condition in current}
    stamp = now.strftime("%Y-%m-%dT%H:%M:%SZ")
    merged = []
    for condition in wanted:
        status: Literal["True", "False", "Unknown"] = "Unknown"
        if condition.status is not None:
            status = "True" if condition.status else "False"
        old = before.get(condition.type.value)
        merged.append(
            StoredCondition(
                type=condition.type.value,
                status=status,
                reason=condition.reason.value,
                message=condition.message[:LONGEST],
                observed_generation=generation,
                last_transition_time=old.last_transition_time if old is not None and old.status == status else stamp,
            )
        )
    return merged
