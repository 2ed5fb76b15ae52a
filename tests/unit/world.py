"""An API server's side of the engine, in memory: what was written, and what is stored."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tests.nodes import make_node
from xnai_operator.backends.fake import FakeBackend
from xnai_operator.errors import ApiError
from xnai_operator.kube.cache import ObjectCache
from xnai_operator.memory.ladder import Reading
from xnai_operator.metrics.prometheus import Metrics
from xnai_operator.reconcile.engine import Connections, Engine
from xnai_operator.reconcile.memory_watch import MemoryWatch
from xnai_operator.render.installation import Installation


class FakeApi:
    """Merges statuses into the objects of a store and keeps the events. `refuse` makes every write fail."""

    def __init__(self, store: ObjectCache) -> None:
        self._store = store
        self.writes: list[str] = []
        self.events: list[dict[str, Any]] = []
        self.refuse = False

    async def patch_status(self, kind: str, namespace: str, name: str, status: dict[str, Any]) -> dict[str, Any] | None:
        if self.refuse:
            raise ApiError(500, "refused")
        body = self._store.get(kind, namespace, name)
        if body is None:
            return None
        self.writes.append(f"{kind}/{name}")
        metadata = {**body["metadata"], "resourceVersion": str(int(body["metadata"]["resourceVersion"]) + 1)}
        return {**body, "metadata": metadata, "status": {**body.get("status", {}), **status}}

    async def create_event(self, namespace: str, event: dict[str, Any]) -> None:
        if self.refuse:
            raise ApiError(500, "refused")
        self.events.append(event)


class FakeMemoryReader:
    """Readings as a test sets them."""

    def __init__(self) -> None:
        self.reading = Reading(6 << 30, 8 << 30, 0.0, 0.0)
        self.resting: set[int] = set()
        self.stalled: dict[int, float] = {}
        self.dropped: list[str] = []

    def read(self) -> Reading:
        return self.reading

    def idle(self, pids: Iterable[int]) -> frozenset[int]:
        return frozenset(self.resting & set(pids))

    def stalls(self, pid: int) -> float | None:
        return self.stalled.get(pid)

    def memory_events(self, pid: int) -> dict[str, int]:
        return {"oom_kill": pid}

    def drop_cache(self, path: Path) -> None:
        self.dropped.append(path.name)


class World:
    """An engine with everything round it, and a clock that stands still unless moved."""

    def __init__(self, installation: Installation, folder: Path) -> None:
        self.now = 1_000_000.0
        self.installation, self.folder = installation, folder
        self.signals = FakeMemoryReader()
        self.metrics = Metrics()
        self.store = ObjectCache()
        self.api = FakeApi(self.store)
        self.backend: Any = FakeBackend({"localhost/app:1": "sha256:1"})
        self.faults: dict[int, str] = {}
        self.absent: dict[str, str] = {}
        self.begin()

    def begin(self) -> None:
        """The operator as a new process."""
        self.watch = MemoryWatch(self.signals, self.folder / "pressure.json", lambda: self.now)
        self.engine = Engine(
            Connections(
                cache=self.store,
                backend=self.backend,
                api=self.api,
                node=make_node(self.installation),
                memory=self.watch,
                metrics=self.metrics,
                clock=lambda: self.now,
                port_faults=lambda ports: {port: self.faults[port.port] for port in ports if port.port in self.faults},
                path_faults=lambda paths: {path: self.absent[path] for path in paths if path in self.absent},
            )
        )

    async def read_memory(self, available: float, seconds: float = 1.0) -> None:
        """A reading of this share of 8 GiB after some seconds, and the passes it leads to."""
        self.now += seconds
        self.signals.reading = Reading(int(available * (8 << 30)), 8 << 30, 0.0, 0.0)
        await self.engine.read_memory()
        await self.settle()

    def apply(self, name: str, version: int = 1, **spec: Any) -> None:
        metadata = {
            "name": name, "namespace": "default", "uid": f"uid-{name}", "generation": version,
            "resourceVersion": str(version * 1000), "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {},
        }  # fmt: skip
        body = {"kind": "XnaiService", "metadata": metadata, "spec": {"image": "localhost/app:1", **spec}}
        old = self.store.get("XnaiService", "default", name)
        self.store.observe({**body, "status": (old or {}).get("status", {})})

    def delete(self, name: str) -> None:
        body = self.store.get("XnaiService", "default", name)
        assert body is not None
        self.store.observe(body, deleted=True)

    def condition(self, name: str, kind: str = "Ready") -> tuple[str, str]:
        body = self.store.get("XnaiService", "default", name)
        assert body is not None
        found = {c["type"]: (c["status"], c["reason"]) for c in body.get("status", {}).get("conditions", [])}
        return found.get(kind, ("", ""))

    async def one_pass(self) -> bool:
        """A pass, and what it began. Whether it began anything."""
        plan = await self.engine.one_pass()
        await self.engine.finished()
        return bool(plan.actions)

    async def settle(self) -> None:
        """Passes until one does and says nothing."""
        for _ in range(20):
            writes = len(self.api.writes)
            await self.engine.probe_due()
            if not await self.one_pass() and len(self.api.writes) == writes:
                return
        raise AssertionError("the engine does not come to rest in 20 passes")
