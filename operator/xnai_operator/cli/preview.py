"""`xnai render` and `xnai plan`: what would be, without doing it. They run the operator's own gather and decide."""

from typing import Any

from xnai_operator import setup
from xnai_operator.api import resources
from xnai_operator.cli import manifests
from xnai_operator.config import Config
from xnai_operator.models.folder import ModelFolder
from xnai_operator.plan.decide import decide
from xnai_operator.plan.model import Facts, Plan, Pressure
from xnai_operator.reconcile.kube import KubeApi
from xnai_operator.reconcile.pressure import stored_ladder
from xnai_operator.reconcile.store import Store
from xnai_operator.render.podman import render
from xnai_operator.tmpfs.mounts import merged


def rendered(config: Config, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pod of each XnaiService among `bodies`, with the policies among them; offline. Files of ConfigMaps and
    Secrets not among them are shown empty. Raises ManifestError, SpecError."""
    contents: dict[str, dict[tuple[str, str], dict[str, bytes]]] = {}
    services, policies = [], []
    for body in bodies:
        where = f"{body['kind']} {body['metadata']['name']}"
        try:
            if body["kind"] == "XnaiService":
                services.append(resources.service(body))
            elif body["kind"] == "TmpfsPolicy":
                policies.append(resources.policy(body))
        except resources.InvalidResourceError as error:
            raise manifests.ManifestError(f"{where}: {error}") from error
    for service in services:
        known = contents.setdefault(service.namespace, {})
        for kind, sources in (("ConfigMap", service.spec.storage.config), ("Secret", service.spec.storage.secrets)):
            for source in sources:
                known.setdefault((kind, source.name), {}).update(dict.fromkeys(source.keys, b""))
    environment = setup.environment(config)
    return [render(s, merged(s, policies), contents[s.namespace], environment).document for s in services]


async def planned(config: Config, api: KubeApi, bodies: list[dict[str, Any]], now: float) -> tuple[Plan, set[str]]:
    """The plan as if `bodies` were applied, and the keys of what they name. Nothing is written.

    Raises BackendError, ApiError.
    """
    store = Store()
    for body in await api.list_all():
        store.observe(body)
    named = set()
    for body in bodies:
        metadata = dict(body["metadata"])
        namespace = metadata.setdefault("namespace", "default")
        current = store.get(body["kind"], namespace, metadata["name"])
        if current is not None:  # identity, age and status stay; what was written is replaced
            metadata = {**current["metadata"], "labels": metadata.get("labels", {})}
        merged_body = {**(current or {}), **body, "metadata": {**metadata, "resourceVersion": str(1 << 62)}}
        store.observe(merged_body)
        if body["kind"] == "XnaiService":
            named.add(f"{namespace}.{metadata['name']}")
    backend = setup.backend(config)
    try:
        observed = await backend.observe()
    finally:
        await backend.close()
    machine = setup.machine(config)
    desired = store.desired(ModelFolder(config.models).read())
    pressure = Pressure(stored_ladder(config.pressure))
    return decide(Facts(desired, observed, machine, {}, {}, pressure=pressure), now), named


def changes(plan: Plan) -> list[dict[str, Any]]:
    """One row an action: what, which pod, why; and one for each service that cannot start."""
    rows = [
        {"action": action.kind, "pod": action.name, "reason": action.reason.value, "message": action.message}
        for action in plan.actions
    ]
    acted = {row["pod"] for row in rows}
    for key, report in plan.services.items():
        ready = report.conditions[0]
        if key not in acted and not ready.status and ready.type.value == "Ready" and key not in plan.rendered:
            rows.append({"action": "none", "pod": key, "reason": ready.reason.value, "message": ready.message})
    return rows
