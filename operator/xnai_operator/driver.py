"""The only module that imports kopf: watches in, one engine. Handlers decide nothing."""

import asyncio
import logging
import signal
import time
from typing import Any

import kopf
import structlog

from xnai_operator import setup
from xnai_operator.api.types import GROUP, VERSION
from xnai_operator.backends.base import Backend
from xnai_operator.config import Config
from xnai_operator.plan.model import Machine
from xnai_operator.reconcile.engine import Engine
from xnai_operator.reconcile.kube import KubeApi
from xnai_operator.reconcile.store import Store


def registry(store: Store, on_change: Any) -> kopf.OperatorRegistry:
    """Handlers for every kind the operator reads. `on.event` writes nothing: no annotations, no finalizers."""
    handlers = kopf.OperatorRegistry()

    def watch(*selector: str, kind: str) -> None:
        @kopf.on.event(*selector, registry=handlers, id=f"see-{kind}")
        async def seen(body: kopf.Body, type: str | None, **_: Any) -> None:  # noqa: A002 - kopf's name
            if store.observe({**body, "kind": kind}, deleted=type == "DELETED"):
                on_change()

    # A registry of its own has no login handler; these two read what the engine's client reads.
    @kopf.on.login(registry=handlers)
    def log_in(**given: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_kubeconfig(**given) or kopf.login_with_service_account(**given)

    watch(GROUP, VERSION, "xnaiservices", kind="XnaiService")
    watch(GROUP, VERSION, "tmpfspolicies", kind="TmpfsPolicy")
    watch("", "v1", "secrets", kind="Secret")
    watch("", "v1", "configmaps", kind="ConfigMap")
    return handlers


def settings() -> kopf.OperatorSettings:
    """kopf's settings: no peering (one operator is kept by a lock), no storage, bounded waits."""
    chosen = kopf.OperatorSettings()
    chosen.peering.standalone = True
    chosen.posting.enabled = False
    chosen.networking.request_timeout = 30
    chosen.networking.connect_timeout = 5
    chosen.queueing.worker_limit = None
    return chosen


async def run(backend: Backend, machine: Machine) -> None:
    """Run the operator until cancelled, against $KUBECONFIG."""
    api = await KubeApi.connect()
    store = Store()
    engine = Engine(store, backend, api, machine, time.time)
    ready = asyncio.Event()

    async def start_engine() -> None:
        # A pass before the first listing has come in would take every pod for an orphan.
        await ready.wait()
        await engine.run()

    task = asyncio.create_task(start_engine())
    listing = asyncio.create_task(_first_listing(api, store, ready))
    try:
        await kopf.operator(
            registry=registry(store, engine.mark_dirty), settings=settings(), clusterwide=True, standalone=True
        )
    finally:
        for pending in (task, listing):
            pending.cancel()
        await asyncio.gather(task, listing, return_exceptions=True)
        await backend.close()
        await api.close()


async def _first_listing(api: KubeApi, store: Store, ready: asyncio.Event) -> None:
    while True:
        try:
            for body in await api.list_all():
                store.observe(body)
        except Exception:  # the API server may still be starting: it is asked again until it answers
            await asyncio.sleep(1.0)
        else:
            ready.set()
            return


def configure_logging() -> None:
    """One JSON object a line on standard output; kopf speaks up from WARNING on."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s %(message)s")
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ]
    )


async def _until_signalled(config: Config) -> None:
    task = asyncio.current_task()
    assert task is not None
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await run(setup.backend(config), setup.machine(config))


def main() -> None:
    """The operator process, until SIGTERM or SIGINT. Settings: see `config`; the API server: $KUBECONFIG."""
    configure_logging()
    try:
        asyncio.run(_until_signalled(Config.read()))
    except asyncio.CancelledError:
        return
