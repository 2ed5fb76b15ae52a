"""What the services need of the node's memory, and which of their tmpfs mounts are on disk."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Final

from xnai_operator.api.conditions import Reason
from xnai_operator.api.resources import XnaiService
from xnai_operator.api.xnaiservice import TmpfsMount
from xnai_operator.checks.preflight import Violation
from xnai_operator.memory.admission import DEFAULT_REQUEST, Allocation, Demand, Source, demand, effective_priorities
from xnai_operator.memory.gguf_header import ModelHeader
from xnai_operator.plan.observed import ObservedPod
from xnai_operator.plan.types import Facts
from xnai_operator.render import names
from xnai_operator.tmpfs.fallback import Budgets, may_be_on_disk
from xnai_operator.tmpfs.mounts import size_of, whole_pages

UNTOUCHABLE_PRIORITY: Final = 1 << 31
"""A priority above every one a resource can have."""


@dataclass(frozen=True)
class Needs:
    """By the service's key.

    `over_budget`: services whose mounts exceed the budget of a policy with `fallback: Deny`. `on_disk`: mounts that
    must be on disk now, because their policy's budget is used up, or because moving back would lose the running pod's
    data. `movable_to_disk`: mounts whose policy allows them to be on disk."""

    demands: Mapping[str, Demand]
    over_budget: Mapping[str, Violation]
    on_disk: Mapping[str, frozenset[str]]
    movable_to_disk: Mapping[str, frozenset[str]]


def memory_high_water(service: XnaiService, used: int) -> int:
    """The most the service's processes ever used, in bytes: what is stored, or `used` when it is a twentieth more, so
    that a slow growth is not a write each time."""
    stored = int(service.status.get("memoryHighWaterBytes", 0))
    return used if used * 20 > stored * 21 else stored


def needs(facts: Facts, mounts: Mapping[str, list[TmpfsMount]], faults: Collection[str]) -> Needs:
    """What counts: services that run, and those that are to run, without `faults`: nobody makes way for what cannot
    start."""
    policies = facts.desired.policies
    priorities = effective_priorities(facts.desired.services)
    budgets = Budgets(facts.node.memory)
    demands: dict[str, Demand] = {}
    exceeded: dict[str, Violation] = {}
    on_disk: dict[str, frozenset[str]] = {}
    spillables: dict[str, frozenset[str]] = {}
    for key in sorted(mounts, key=lambda k: (-priorities[k], facts.desired.services[k].created, k)):
        service, merged_mounts = facts.desired.services[key], mounts[key]
        name = names.pod(service.namespace, service.name)
        pod = facts.observed.pods.get(name)
        running = pod is not None and pod.running
        if (service.spec.suspend or key in faults) and not running:
            continue
        may = may_be_on_disk(service, merged_mounts, policies)
        spillables[key] = may
        stays = may if pod is not None and pod.running and pod.variant.on_disk else frozenset[str]()
        short = budgets.exceeded(service, merged_mounts, policies, stays)
        if short is not None:
            policy, message = short
            if policy.spec.fallback == "Deny":
                exceeded[key] = Violation(Reason.TMPFS_BUDGET_EXCEEDED, message, permanent=False)
                if not running:
                    continue
            else:
                stays = may
        on_disk[key] = stays
        in_memory = [mount for mount in merged_mounts if mount.mount_path not in stays]
        inference = service.spec.inference
        header = facts.desired.models.get(inference.model.file) if inference is not None else None
        model = header if isinstance(header, ModelHeader) else None
        demands[key] = replace(
            demand(service, in_memory, model, history=memory_high_water(service, 0)),
            # What is suspended while it runs is never stopped: its memory is taken whatever else is wanted.
            priority=UNTOUCHABLE_PRIORITY if service.spec.suspend else priorities[key],
            scheduled=pod is not None or name in facts.busy,
            files=_files(facts, service),
            movable_to_disk=sum(size_of(mount) for mount in in_memory if mount.mount_path in may),
        )
        if pod is not None and pod.running:
            demands[key] = replace(demands[key], allocation=_allocation(facts, pod, demands[key]))
    return Needs(_with_others(facts, demands), exceeded, on_disk, spillables)


def _files(facts: Facts, service: XnaiService) -> int:
    """Bytes of the config and secrets the operator writes for the service, in whole pages."""
    contents, storage = facts.desired.contents.get(service.namespace, {}), service.spec.storage
    total = 0
    for kind, sources in (("ConfigMap", storage.config), ("Secret", storage.secrets)):
        for source in sources:
            found = contents.get((kind, source.name), {})
            values = [found[key] for key in (source.keys or found) if key in found]
            total += sum(whole_pages(len(value)) for value in values)
    return total


def _allocation(facts: Facts, pod: ObservedPod, wanted: Demand) -> Allocation | None:
    """What a running pod has taken, whatever its service asks for by now; its tmpfs as they are."""
    if pod.allocation is None:
        return None
    found = facts.mounts.get(pod.name)
    tmpfs = wanted.tmpfs if found is None else sum(mount.size for mount in found)
    own = pod.allocation.private_bytes + (0 if pod.allocation.includes_tmpfs else tmpfs)
    if wanted.source is Source.USE:  # it may have come to use more than it was admitted with
        own = max(own, wanted.request + wanted.files + tmpfs)
    return replace(pod.allocation, private_bytes=own, includes_tmpfs=False)


def _with_others(facts: Facts, demands: dict[str, Demand]) -> dict[str, Demand]:
    """Also what runs although its resource has become wrong: it is left alone, and its memory is taken."""
    refused = {invalid.key for invalid in facts.desired.invalid if invalid.kind == "XnaiService"}
    for pod in facts.observed.pods.values():
        key = f"{pod.namespace}.{pod.service}"
        service = facts.desired.services.get(key)
        if not pod.running or key in demands or (service is None and key not in refused):
            continue
        stored = service.status.get("memoryRequestBytes") if service is not None else None
        guess = Demand(
            key, UNTOUCHABLE_PRIORITY, "", int(stored or pod.memory_limit or DEFAULT_REQUEST), 0, scheduled=True
        )
        held = _allocation(facts, pod, guess)
        if held is not None:
            guess = replace(
                guess, request=held.private_bytes, mapped=held.mapped, model_file=held.model_file, device=held.device
            )
        demands[key] = guess
    return demands
