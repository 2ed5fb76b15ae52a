"""`xnai plan`: what would change. It runs the operator's own gather and decide."""

import time
from typing import Any

import typer

from xnai_operator import wiring
from xnai_operator.api.conditions import Type
from xnai_operator.api.kinds import XNAI_SERVICE
from xnai_operator.cli import documents
from xnai_operator.cli.client import with_api
from xnai_operator.cli.output import Exit, Format, out, show
from xnai_operator.config import Config
from xnai_operator.host import required
from xnai_operator.host.ladder_file import stored_ladder
from xnai_operator.kube.cache import ObjectCache
from xnai_operator.kube.client import KubeClient
from xnai_operator.models.folder import ModelFolder
from xnai_operator.plan.decide import decide
from xnai_operator.plan.types import NodePressure, Plan
from xnai_operator.reconcile.gather import Gatherer
from xnai_operator.reconcile.mount_watch import MountWatch


def run(files: list[str], output: Format) -> None:
    """Print what would change; exit code 1 when something would."""
    config, bodies = Config.read(), documents.read(files)
    rows = changes(*with_api(config, lambda api: planned(config, api, bodies, time.time())))
    if rows or output is not Format.TABLE:
        show(rows, ("action", "pod", "reason", "message"), output)
    else:
        out.print("no changes")
    if rows:
        raise typer.Exit(Exit.CONDITION_FALSE)


async def planned(config: Config, api: KubeClient, bodies: list[dict[str, Any]], now: float) -> tuple[Plan, set[str]]:
    """The plan as if `bodies` were applied, and the keys of what they name. Nothing is written.

    Raises BackendError, ApiError.
    """
    store = ObjectCache()
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
        if body["kind"] == XNAI_SERVICE.name:
            named.add(f"{namespace}.{metadata['name']}")
    backend = wiring.backend(config)
    gatherer = Gatherer(
        store,
        backend.runtime,
        wiring.node_resources(config),
        ModelFolder(config.models),
        MountWatch(backend.node_agent),
    )
    gatherer.port_faults, gatherer.path_faults = required.port_faults, required.path_faults
    gatherer.pressure = lambda: NodePressure(stored_ladder(config.pressure))
    try:
        facts = await gatherer.gather(swept_at=now)
    finally:
        await backend.runtime.close()
    return decide(facts, now), named


def changes(plan: Plan, named: set[str]) -> list[dict[str, Any]]:
    """One row an action: what, which pod, why; and one for each of the services `named` that cannot start, or only when
    others have stopped."""
    rows = [
        {"action": action.verb, "pod": action.name, "reason": action.reason.value, "message": action.message}
        for action in plan.actions
    ]
    acted = {row["pod"] for row in rows}
    for key in sorted(named - acted):
        report = plan.services.get(key)
        ready = report.conditions[0] if report is not None else None
        if report is None or ready is None or ready.status or ready.reason.pod_runs:
            continue
        later = ready.reason.starts_pod
        message = f"{ready.message}, once the memory is given back" if later else ready.message
        # Why it is not admitted has the sum.
        message = next((c.message for c in report.conditions if c.type is Type.ADMITTED and not c.status), message)
        action = "start" if later else "none"
        rows.append({"action": action, "pod": key, "reason": ready.reason.value, "message": message})
    return rows
