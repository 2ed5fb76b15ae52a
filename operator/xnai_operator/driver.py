"""The operator process: kopf's watches feed one engine. No other module imports kopf. Handlers decide nothing."""

import asyncio
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from typing import Any

import kopf
import structlog

from xnai_operator import wiring
from xnai_operator.api.kinds import WATCHED, Kind
from xnai_operator.backends.base import Backend
from xnai_operator.config import Config
from xnai_operator.errors import ApiError
from xnai_operator.host import node
from xnai_operator.host.files import write_atomically
from xnai_operator.host.memory_reader import MemoryReader
from xnai_operator.kube.cache import ObjectCache
from xnai_operator.kube.client import KubeClient
from xnai_operator.metrics.prometheus import Metrics
from xnai_operator.plan.types import Node
from xnai_operator.reconcile.engine import Connections, Engine
from xnai_operator.reconcile.memory_watch import MemoryWatch

log = structlog.get_logger()

OnObject = Callable[[dict[str, Any], bool], object]
"""An object and whether it was deleted."""


def registry(seen: OnObject) -> kopf.OperatorRegistry:
    """Handlers for every kind the operator reads. `on.event` writes nothing: no annotations, no finalizers."""
    handlers = kopf.OperatorRegistry()

    def watch(kind: Kind) -> None:
        @kopf.on.event(kind.group, kind.version, kind.plural, registry=handlers, id=f"see-{kind.name}")
        async def handle(body: kopf.Body, type: str | None, **_: Any) -> None:  # noqa: A002 - kopf's name
            seen({**body, "kind": kind.name}, type == "DELETED")

    # A new registry has no login handler. These two read the same files as the engine's client.
    @kopf.on.login(registry=handlers)
    def log_in(**given: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_kubeconfig(**given) or kopf.login_with_service_account(**given)

    for kind in WATCHED:
        watch(kind)
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


async def run(
    backend: Backend,
    node: Node,
    pressure: MemoryWatch,
    metrics: Metrics,
    passed: Callable[[], None] = lambda: None,
) -> None:
    """Run the operator until cancelled, against $KUBECONFIG. `passed` is called after the first pass."""
    api = await KubeClient.connect()
    store = ObjectCache()
    engine = Engine(
        Connections(cache=store, backend=backend, api=api, node=node, memory=pressure, metrics=metrics, clock=time.time)
    )

    async def reconcile() -> None:
        # A pass before the first listing has come in would take every pod for an orphan.
        await _first_listing(api, store)
        await engine.run()

    async def report_first_pass() -> None:
        await engine.first_pass_done.wait()
        passed()
        await asyncio.Event().wait()

    stop = threading.Event()
    # kopf has a thread and a loop of its own: when kopf ends, it cancels every task that was started in its loop later.
    watching = asyncio.create_task(asyncio.to_thread(_watcher(store, engine, stop)))
    tasks = [asyncio.create_task(reconcile()), asyncio.create_task(report_first_pass())]
    try:
        done, _ = await asyncio.wait([watching, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        stop.set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, watching, return_exceptions=True)
        await backend.runtime.close()
        await api.close()


def _watcher(store: ObjectCache, engine: Engine, stop: threading.Event) -> Callable[[], None]:
    """kopf's watches, for a thread of their own. They end when `stop` is set."""
    loop = asyncio.get_running_loop()

    def seen(body: dict[str, Any], deleted: bool) -> None:
        if store.observe(body, deleted=deleted):
            engine.mark_dirty()

    def watch() -> None:
        handlers = registry(lambda body, deleted: loop.call_soon_threadsafe(seen, body, deleted))
        kopf.run(registry=handlers, settings=settings(), clusterwide=True, standalone=True, stop_flag=stop)

    return watch


async def _first_listing(api: KubeClient, store: ObjectCache) -> None:
    while True:
        try:
            for body in await api.list_all():
                store.observe(body)
        except ApiError:  # the API server may still be starting: it is asked again until it answers
            await asyncio.sleep(1.0)
        else:
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
    signals = MemoryReader()
    for missing in signals.lacking():
        log.info("signal missing", signal=missing)
    metrics = Metrics()
    metrics.node_info(node.read())
    metrics.serve(config.metrics_port)
    await run(
        wiring.backend(config),
        wiring.node_resources(config),
        MemoryWatch(signals, config.pressure, time.time),
        metrics,
        passed=lambda: write_atomically(config.operator_pid, str(os.getpid())),
    )


def main() -> None:
    """The operator process, until SIGTERM or SIGINT. Settings: see `config`; the API server: $KUBECONFIG."""
    configure_logging()
    try:
        asyncio.run(_until_signalled(Config.read()))
    except asyncio.CancelledError:
        return
