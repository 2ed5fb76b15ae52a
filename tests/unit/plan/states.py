"""States of a node for `decide`: the resources, the pods that run for them, and the pressure on the memory."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from tests.nodes import make_node
from tests.unit.conftest import make_service
from xnai_operator.api import resources
from xnai_operator.api.conditions import Reason, Type
from xnai_operator.api.quantity import MI
from xnai_operator.api.resources import TmpfsPolicy, XnaiService
from xnai_operator.health.readiness import ProbeState
from xnai_operator.memory.allocation import Allocation
from xnai_operator.memory.gguf_header import ModelHeader
from xnai_operator.memory.ladder import Ladder, Step
from xnai_operator.plan.decide import decide
from xnai_operator.plan.observed import Observed, ObservedMount, ObservedPod
from xnai_operator.plan.types import Desired, Facts, NodePressure, Plan
from xnai_operator.render import names
from xnai_operator.render.installation import Installation
from xnai_operator.render.pod import RenderedPod
from xnai_operator.render.variant import Variant

NOW = 1_000_000.0
GI = 1024 * MI
BIG: dict[str, Any] = {"resources": {"requests": {"memory": "3Gi"}}}
MODELS = {"m.gguf": ModelHeader({"general.architecture": "llama"}, {}, ())}
READY = ProbeState(started=True, ready=True)


def sized(name: str, memory: str, **spec: Any) -> XnaiService:
    """A service that requests `memory`."""
    return make_service(name, resources={"requests": {"memory": memory}}, **spec)


def model(name: str, priority: int = 0, **inference: Any) -> XnaiService:
    """A service that runs the model of `MODELS`."""
    return make_service(
        name, priority=priority, inference={"model": {"file": "m.gguf"}, "contextSize": 8192, **inference}
    )


def policy(name: str = "p", **spec: Any) -> TmpfsPolicy:
    """A policy with a mount of 1 GiB at /cache."""
    spec = {"mounts": [{"mountPath": "/cache", "size": "1Gi"}], **spec}
    return resources.policy({"metadata": {"name": name, "namespace": "default"}, "spec": spec})


def facts(
    *services: XnaiService,
    installation: Installation,
    pods: dict[str, ObservedPod] | None = None,
    allocatable: int = 8 * GI,
    probes: dict[str, ProbeState] | None = None,
    **desired: Any,
) -> Facts:
    """The services and `pods` on a node with 8 GiB. `desired`: further fields of `Desired`."""
    return Facts(
        Desired({s.key: s for s in services}, **({"policies": (), "contents": {}, "models": {}} | desired)),
        Observed(pods or {}, images={"localhost/app:1": "sha256:1"}),
        make_node(installation, allocatable),
        probes or {},
        {},
    )


def started(*services: XnaiService, installation: Installation, **given: Any) -> dict[str, RenderedPod]:
    """The pods that `decide` would start for the services, by name. `given`: see `facts`."""
    return _rendered(facts(*services, installation=installation, **given))


def running(*services: XnaiService, installation: Installation, age: float = 5, **given: Any) -> dict[str, ObservedPod]:
    """These pods, `age` seconds after their start."""
    return running_on(facts(*services, installation=installation, **given), age)


def running_on(given: Facts, age: float = 5) -> dict[str, ObservedPod]:
    """A running pod for each service of the facts, `age` seconds after its start."""
    return _observed(_rendered(given), age)


def _rendered(given: Facts) -> dict[str, RenderedPod]:
    rendered = decide(given, NOW).rendered
    assert rendered.keys() == given.desired.services.keys(), "a service that cannot start has no running pod"
    return dict(rendered)


def running_reduced(*services: XnaiService, installation: Installation, **given: Any) -> dict[str, ObservedPod]:
    """The pods of models that were loaded smaller at the step SHRINK."""
    pods = changed(running(*services, installation=installation, **given), variant=Variant(reduced=True))
    shrinking = facts(*services, installation=installation, pods=pods, **given)
    return running_on(pressed(shrinking, Pressure(Step.SHRINK)), 900)


def _observed(rendered: Mapping[str, RenderedPod], age: float) -> dict[str, ObservedPod]:
    return {
        pod.name: ObservedPod(
            name=pod.name,
            namespace=pod.namespace,
            service=pod.service,
            uid=pod.uid,
            hash=pod.hash,
            running=True,
            sections=pod.sections,
            variant=pod.variant,
            pid=pid,
            started_at=NOW - age,
            allocation=Allocation.from_text(pod.document["metadata"]["labels"][names.LABEL_ALLOCATION]),
        )
        for pid, pod in enumerate(rendered.values(), start=42)
    }


def changed(pods: Mapping[str, ObservedPod], **changes: Any) -> dict[str, ObservedPod]:
    """The pods with the fields of `changes`."""
    return {name: replace(pod, **changes) for name, pod in pods.items()}


def ended(pods: Mapping[str, ObservedPod], ago: float, *, ran: float = 20) -> dict[str, ObservedPod]:
    """The pods `ago` seconds after their containers failed. `ran`: seconds since their start."""
    return changed(pods, running=False, exit_code=1, started_at=NOW - ran, finished_at=NOW - ago)


def mounted(pod: RenderedPod) -> tuple[ObservedMount, ...]:
    """The tmpfs of a pod as they are mounted."""
    return tuple(
        ObservedMount(
            mount_path=tmpfs.mount_path,
            filesystem="tmpfs",
            size=tmpfs.size,
            used=0,
            mode=tmpfs.mode,
            uid=tmpfs.uid,
            gid=tmpfs.gid,
            flags=frozenset({"nosuid", "nodev", "noexec"}),
        )
        for tmpfs in pod.tmpfs
    )


@dataclass(frozen=True)
class Pressure:
    """The pressure ladder. `changed`, `acted`: seconds since it came to the step, and since the last measure. `calm`:
    the readings no longer call for the step. `busy`: services that do not idle. `used`: bytes by pod."""

    step: Step = Step.NORMAL
    changed: float = 60
    acted: float = 60
    calm: bool = False
    busy: frozenset[str] = frozenset()
    used: Mapping[str, int] = field(default_factory=dict)


def pressed(given: Facts, pressure: Pressure) -> Facts:
    """The facts under the pressure."""
    ladder = Ladder(pressure.step, NOW - pressure.changed, NOW - pressure.acted, NOW - 1 if pressure.calm else 0.0)
    idle = frozenset(pod.name for pod in given.observed.pods.values() if pod.service not in pressure.busy)
    return replace(given, pressure=NodePressure(ladder, idle, frozenset(), pressure.used))


def ready(plan: Plan, name: str) -> tuple[bool | None, Reason]:
    """Status and reason of the service's condition Ready."""
    condition = next(c for c in plan.services[f"default.{name}"].conditions if c.type is Type.READY)
    return condition.status, condition.reason


def actions(plan: Plan) -> list[tuple[str, str, Reason]]:
    """Verb, pod and reason of each action."""
    return [(a.verb, a.name, a.reason) for a in plan.actions]


def on_disk(plan: Plan, name: str) -> list[str]:
    """The volumes of the service's pod that stand for a tmpfs."""
    rendered = plan.rendered.get(f"default.{name}")
    return [] if rendered is None else [volume.name for volume in rendered.volumes]
