"""The plan: actions, and what is to be said of each resource."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from xnai_operator.api.conditions import Condition, Reason
from xnai_operator.api.resources import TmpfsPolicy, XnaiService
from xnai_operator.health.readiness import ProbeState
from xnai_operator.memory.gguf_header import ModelHeader
from xnai_operator.memory.ladder import Ladder, Step
from xnai_operator.plan.observed import Observed, ObservedMount
from xnai_operator.render.installation import Installation
from xnai_operator.render.pod import RenderedPod
from xnai_operator.render.podman import FileContents


@dataclass(frozen=True)
class Invalid:
    """A resource the models refuse; `key` is `namespace.name`."""

    kind: str
    key: str
    message: str


@dataclass(frozen=True)
class Desired:
    """Everything asked for. `contents` by namespace. `models`: file -> its header, or why it
    cannot be read."""

    services: Mapping[str, XnaiService]
    policies: tuple[TmpfsPolicy, ...]
    contents: Mapping[str, FileContents]
    models: Mapping[str, ModelHeader | str]
    invalid: tuple[Invalid, ...] = ()


@dataclass(frozen=True)
class Node:
    """The node: `allocatable` bytes for services, of `memory` bytes in all; what rendering needs; its `gpus` (paths of
    render nodes)."""

    allocatable: int
    installation: Installation
    gpus: frozenset[str] = frozenset()
    memory: int = 0


@dataclass(frozen=True)
class NodePressure:
    """The ladder, and what its measures need to know of running pods, by name: those `idle`, those that are
    `thrashing` in their own limit, and the memory the processes of each use, in bytes."""

    ladder: Ladder = field(default_factory=Ladder)
    idle: frozenset[str] = frozenset()
    thrashing: frozenset[str] = frozenset()
    used: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Facts:
    """All that `decide` looks at. `probes` and `mounts` by pod name, for the container running now; `busy`: pods on
    which an action of an earlier pass is under way; `pressure`: how the node's memory is."""

    desired: Desired
    observed: Observed
    node: Node
    probes: Mapping[str, ProbeState]
    mounts: Mapping[str, tuple[ObservedMount, ...]]
    busy: frozenset[str] = frozenset()
    pressure: NodePressure = NodePressure()


@dataclass(frozen=True)
class Action:
    """`start` carries the pod to run (an older one of its name is replaced), `stop` only the name, `resize`
    the pod whose tmpfs sizes the running one is to get. `relief`: a measure of the pressure ladder."""

    kind: Literal["start", "stop", "resize"]
    name: str
    reason: Reason
    message: str
    pod: RenderedPod | None = field(default=None, repr=False)
    grace_seconds: int = 10
    relief: bool = False


@dataclass(frozen=True)
class Report:
    """What to write into one resource's status. `fields` stand beside the conditions."""

    conditions: tuple[Condition, ...]
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Plan:
    """`wake_at`: seconds since the epoch when to look again even if nothing happens. `steps`: running pods that are
    told of the pressure, with the step they are told. `clients`: pod name -> pods that may connect to it."""

    actions: tuple[Action, ...]
    services: Mapping[str, Report]
    policies: Mapping[str, Report]
    rendered: Mapping[str, RenderedPod]
    wake_at: float | None = None
    steps: Mapping[str, Step] = field(default_factory=dict)
    ingress: Mapping[str, frozenset[str]] = field(default_factory=dict)
