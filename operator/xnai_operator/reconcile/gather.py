"""Gathering the input of a pass: the resources of the API, the runtime, the node."""

import asyncio
import base64
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import Any

from xnai_operator.api import resources
from xnai_operator.api.contents import ContentKey
from xnai_operator.api.host_ports import HostPort
from xnai_operator.api.kinds import CONFIG_MAP, SECRET, TMPFS_POLICY, XNAI_SERVICE
from xnai_operator.api.xnaiservice import Model
from xnai_operator.backends.base import Runtime
from xnai_operator.health.readiness import ProbeState
from xnai_operator.kube.cache import ObjectCache
from xnai_operator.memory.gguf_header import ModelHeader
from xnai_operator.memory.model_fetch import ModelFetch, ModelState
from xnai_operator.models.folder import ModelFolder
from xnai_operator.plan.observed import Observed
from xnai_operator.plan.types import Desired, Facts, Invalid, Node, NodePressure, Requirements
from xnai_operator.reconcile.mount_watch import MountWatch


class Gatherer:
    """Makes the facts of a pass. `busy`: names of the pods with an action under way. `probes`, `mounts` and `pressure`:
    what the watches know; without watches (`xnai plan`) the stored statuses hold, and mounts are read. `fetches`:
    starts the fetches of the models given, and tells how far each is; `verify`: has the digests of these files
    computed; `xnai plan` does neither. `port_faults` and `path_faults`: what the machine says of the ports and the
    paths given, as in Requirements."""

    def __init__(
        self,
        cache: ObjectCache,
        runtime: Runtime,
        node: Node,
        models: ModelFolder,
        mounts: MountWatch,
    ) -> None:
        self._cache = cache
        self._runtime = runtime
        self._node = node
        self._models = models
        self._mounts = mounts
        self.busy: Callable[[], frozenset[str]] = frozenset
        self.probes: Callable[[Observed], Mapping[str, ProbeState]] = lambda _: {}
        self.pressure: Callable[[], NodePressure] = NodePressure
        self.port_faults: Callable[[Iterable[HostPort]], Mapping[HostPort, str]] = lambda _: {}
        self.path_faults: Callable[[Iterable[str]], Mapping[str, str]] = lambda _: {}
        self.fetches: Callable[[list[Model]], Mapping[str, ModelFetch]] = lambda _: {}
        self.verify: Callable[[frozenset[str]], None] = lambda _: None

    async def gather(self, swept_at: float = 0.0) -> Facts:
        """The facts of a pass. `swept_at` as in Facts. Raises BackendError when the runtime cannot be observed."""
        busy = self.busy()  # an action that ends while the runtime is observed was seen half done
        observed = await self._runtime.observe()
        mounts = await self._mounts.of(observed)
        found = desired(self._cache, await asyncio.to_thread(self._models.read))
        fetches = self.fetches(missing_models(found))
        self.verify(models_with_digest(found))
        busy |= self.busy()
        return Facts(
            desired=replace(found, models={**found.models, **fetches}),
            observed=observed,
            node=self._node,
            probes=self.probes(observed),
            mounts=mounts,
            busy=busy,
            pressure=self.pressure(),
            swept_at=swept_at,
            unmet=await asyncio.to_thread(self._unmet, found, observed, busy),
        )

    def _unmet(self, found: Desired, observed: Observed, busy: frozenset[str]) -> Requirements:
        services = [service for key, service in found.services.items() if key not in busy and not service.spec.suspend]
        ports = {port.published for service in services for port in service.spec.ports}
        held = {port for pod in observed.pods.values() for port in pod.ports}
        free = [port for port in ports if port is not None and not any(port.overlaps(other) for other in held)]
        paths = {path.path for service in services for path in service.spec.storage.host_paths}
        return Requirements(self.port_faults(free), self.path_faults(paths))


def desired(cache: ObjectCache, models: Mapping[str, ModelState]) -> Desired:
    """Every resource in the cache, parsed. `models` as in Desired."""
    services: dict[str, resources.XnaiService] = {}
    policies: list[resources.TmpfsPolicy] = []
    contents: dict[str, dict[ContentKey, dict[str, bytes]]] = {}
    invalid: list[Invalid] = []
    for body in cache.objects():
        kind, metadata = body["kind"], body["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        if kind in {SECRET.name, CONFIG_MAP.name}:
            contents.setdefault(namespace, {})[kind, name] = _content(body)
            continue
        try:
            if kind == TMPFS_POLICY.name:
                policies.append(resources.policy(body))
            elif kind == XNAI_SERVICE.name:
                service = resources.service(body)
                if not service.deleting:
                    services[service.key] = service
        except resources.InvalidResourceError as error:
            invalid.append(Invalid(kind, f"{namespace}.{name}", str(error)))
    return Desired(services, tuple(policies), contents, models, tuple(invalid))


def missing_models(found: Desired) -> list[Model]:
    """The models to fetch: named with a url by a service that may start, and not in the models folder."""
    inferences = [service.spec.inference for service in found.services.values() if not service.spec.suspend]
    models = [inference.model for inference in inferences if inference is not None]
    return [model for model in models if model.url is not None and model.file not in found.models]


def models_with_digest(found: Desired) -> frozenset[str]:
    """The files in the models folder whose digest a service that may start declares."""
    inferences = [service.spec.inference for service in found.services.values() if not service.spec.suspend]
    files = {inference.model.file for inference in inferences if inference is not None and inference.model.sha256}
    return frozenset(file for file in files if isinstance(found.models.get(file), ModelHeader))


def _content(body: dict[str, Any]) -> dict[str, bytes]:
    data = body.get("data") or {}
    if body["kind"] == SECRET.name:
        return {key: base64.b64decode(value) for key, value in data.items()}
    binary = body.get("binaryData") or {}
    return {k: v.encode() for k, v in data.items()} | {k: base64.b64decode(v) for k, v in binary.items()}
