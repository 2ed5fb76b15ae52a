"""The input and the output of `decide`: facts, and a plan of actions and reports."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from xnai_operator.api.conditions import Condition, Reason
from xnai_operator.api.contents import Contents
from xnai_operator.api.host_ports import HostPort
from xnai_operator.api.resources import TmpfsPolicy, XnaiService
from xnai_operator.health.readiness import ProbeState
from xnai_operator.memory.gguf_header import ModelHeader
from xnai_operator.memory.ladder import Ladder, Step
from xnai_operator.memory.model_fetch import ModelState
from xnai_operator.plan.observed import Observed, ObservedMount, ObservedPod
from xnai_operator.render.intent import Renderer
from xnai_operator.render.pod import RenderedPod


@dataclass(frozen=True)
class Invalid:
    """A resource that does not fit its model. `key` is `namespace.name`."""

    kind: str
    key: str
    message: str


@dataclass(frozen=True)
class Desired:
    """The resources of the API. `contents` by namespace. `models`: file -> its header, how far its fetch is, or why it
    cannot be read."""

    services: Mapping[str, XnaiService]
    policies: tuple[TmpfsPolicy, ...]
    contents: Mapping[str, Contents]
    models: Mapping[str, ModelState]
    invalid: tuple[Invalid, ...] = ()

    def header(self, service: XnaiService) -> ModelHeader | None:
        """The header of the service's model; None without a model, or while it is not known."""
        inference = service.spec.inference
        found = self.models.get(inference.model.file) if inference is not None else None
        return found if isinstance(found, ModelHeader) else None


@dataclass(frozen=True, kw_only=True)
class Node:
    """The node. `memory` in bytes; `allocatable`: its part for services. `cores`: physical cores; `cpus`: the numbers
    of the CPUs, those of hardware threads included. `gpus`: paths of render nodes. `models_dir`: the directory of the
    model files. `render`: the renderer for the node's runtime."""

    allocatable: int
    render: Renderer
    models_dir: str
    cores: int
    cpus: frozenset[int]
    gpus: frozenset[str] = frozenset()
    memory: int = 0


@dataclass(frozen=True)
class Requirements:
    """What services require of the node and do not get. `ports`: a port that cannot be bound -> why. `paths`: a path of
    the host that cannot be mounted -> why."""

    ports: Mapping[HostPort, str] = field(default_factory=dict)
    paths: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class NodePressure:
    """The node's memory. `idle`: pods that hardly use a CPU. `thrashing`: pods that stall in their own limit. `used`:
    pod -> bytes its processes use. `left_normal`: the ladder left its lowest step since the last pass."""

    ladder: Ladder = field(default_factory=Ladder)
    idle: frozenset[str] = frozenset()
    thrashing: frozenset[str] = frozenset()
    used: Mapping[str, int] = field(default_factory=dict)
    left_normal: bool = False


@dataclass(frozen=True)
class Facts:
    """All that `decide` looks at. `probes` and `mounts` by pod, for the container that runs now. `busy`: pods with an
    action of an earlier pass under way. `swept_at`: the last sweep, in seconds since the epoch."""

    desired: Desired
    observed: Observed
    node: Node
    probes: Mapping[str, ProbeState]
    mounts: Mapping[str, tuple[ObservedMount, ...]]
    busy: frozenset[str] = frozenset()
    pressure: NodePressure = NodePressure()
    swept_at: float = 0.0
    unmet: Requirements = Requirements()

    def pod(self, service: XnaiService) -> ObservedPod | None:
        """The service's pod; None when there is none."""
        return self.observed.pods.get(service.key)


@dataclass(frozen=True, kw_only=True)
class Start:
    """Start `pod`; an older pod of its name is replaced. `mitigates`: a step of the pressure ladder asked for it."""

    verb: ClassVar[str] = "start"
    pod: RenderedPod = field(repr=False)
    reason: Reason
    message: str
    mitigates: bool = False

    @property
    def name(self) -> str:
        """The pod's name."""
        return self.pod.name


@dataclass(frozen=True, kw_only=True)
class Stop:
    """Stop the pod `name` within `grace_seconds`. `mitigates`: a step of the pressure ladder asked for it."""

    verb: ClassVar[str] = "stop"
    name: str
    reason: Reason
    message: str
    grace_seconds: int = 10
    mitigates: bool = False


@dataclass(frozen=True, kw_only=True)
class Resize:
    """Give the tmpfs mounts of the running pod the sizes of `pod`."""

    verb: ClassVar[str] = "resize"
    mitigates: ClassVar[bool] = False
    pod: RenderedPod = field(repr=False)
    message: str
    reason: Reason = Reason.MOUNT_RESIZED

    @property
    def name(self) -> str:
        """The pod's name."""
        return self.pod.name


Action = Start | Stop | Resize


@dataclass(frozen=True)
class Report:
    """What to write into one resource's status. `fields` stand beside the conditions. `announced`: conditions that post
    an event, since their reason is not the stored one."""

    conditions: tuple[Condition, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)
    announced: tuple[Condition, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a pass does and writes. Resources by key (`namespace.name`), pods by name.

    `wake_at`: seconds since the epoch of the next pass, if nothing else asks for one. `steps`: the step of the pressure
    ladder each running pod follows. `ingress`: pod -> the pods that may connect to it. `sweep`: whether directories and
    volumes of pods that are gone are removed. `drop_caches`: model files whose page cache is given back."""

    actions: tuple[Action, ...]
    services: Mapping[str, Report]
    policies: Mapping[str, Report]
    rendered: Mapping[str, RenderedPod]
    wake_at: float | None = None
    steps: Mapping[str, Step] = field(default_factory=dict)
    ingress: Mapping[str, frozenset[str]] = field(default_factory=dict)
    sweep: bool = False
    drop_caches: frozenset[str] = frozenset()
