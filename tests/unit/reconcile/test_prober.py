"""The prober: when it probes, what it remembers, and when it asks for a pass."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from tests.unit.conftest import make_service
from xnai_operator.api.conditions import Reason
from xnai_operator.api.resources import XnaiService
from xnai_operator.api.status import XnaiServiceStatus
from xnai_operator.errors import BackendError
from xnai_operator.health.probe import ProbeRequest, ProbeResult
from xnai_operator.plan.observed import ObservedPod
from xnai_operator.reconcile.prober import Prober

BEGAN = 1000.0
"""When the prober is made."""
TCP = {"tcpSocket": {"port": 1}}
GOOD, BAD = ProbeResult(True, "answered"), ProbeResult(False, "did not answer")
DEADLINE_SECONDS = 20.0


def pod(service: str = "a", pid: int = 1, started_at: float = BEGAN + 1, running: bool = True) -> ObservedPod:
    return ObservedPod(
        name=f"default.{service}",
        namespace="default",
        service=service,
        uid=f"uid-{service}",
        hash="h",
        running=running,
        pid=pid,
        started_at=started_at,
    )


@dataclass
class Setting:
    """A prober with a back end that answers `result`, or raises it."""

    now: float = BEGAN
    services: dict[str, XnaiService] = field(default_factory=dict)
    result: ProbeResult | Exception = GOOD
    probed: list[tuple[str, ProbeRequest]] = field(default_factory=list)
    changes: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    """Set at the first probe."""
    hold: dict[str, asyncio.Event] = field(default_factory=dict)
    """Pod name -> what its probes wait for."""
    on_change: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.begin()

    def begin(self) -> None:
        self.prober = Prober(
            services=lambda namespace, name: self.services.get(f"{namespace}.{name}"),
            probe=self.probe,
            clock=lambda: self.now,
            changed=self.changed,
        )

    def changed(self) -> None:
        self.changes += 1
        self.on_change()

    async def probe(self, pod: ObservedPod, request: ProbeRequest) -> ProbeResult:
        self.probed.append((pod.name, request))
        self.asked.set()
        if pod.name in self.hold:
            await self.hold[pod.name].wait()
        if isinstance(self.result, Exception):
            raise self.result
        return self.result

    def declare(self, name: str = "a", **health: Any) -> None:
        self.services[f"default.{name}"] = make_service(name, health=health)

    async def after(self, seconds: float, result: ProbeResult | Exception) -> tuple[bool, bool, int]:
        """Ready, started and the number of changes so far."""
        self.now += seconds
        self.result = result
        await self.prober.probe_due()
        state = self.prober.states()["default.a"]
        return state.ready, state.started, self.changes


@pytest.fixture
def setting() -> Setting:
    return Setting()


async def test_a_service_without_probes_is_ready_as_soon_as_it_runs(setting: Setting) -> None:
    setting.declare()
    setting.prober.observe([pod()])
    assert await setting.after(0, GOOD) == (True, True, 1)
    assert await setting.after(1, GOOD) == (True, True, 1)
    assert setting.probed == []


async def test_the_first_answer_makes_ready(setting: Setting) -> None:
    setting.declare(readiness=TCP)
    setting.prober.observe([pod()])
    assert setting.prober.states() == {}
    assert await setting.after(0, GOOD) == (True, True, 1)
    assert setting.probed == [("default.a", ProbeRequest(2.0, tcp=1, reached=True))]


async def test_startup_comes_before_readiness(setting: Setting) -> None:
    setting.declare(startup={"tcpSocket": {"port": 2}}, readiness=TCP)
    setting.prober.observe([pod()])
    assert await setting.after(0, GOOD) == (False, True, 1)
    assert await setting.after(0, GOOD) == (True, True, 2)
    assert [request.tcp for _, request in setting.probed] == [2, 1]


async def test_a_probe_is_repeated_after_its_period(setting: Setting) -> None:
    setting.declare(readiness={**TCP, "periodSeconds": 10})
    setting.prober.observe([pod()])
    for seconds, probes in ((0, 1), (9, 1), (1, 2)):
        await setting.after(seconds, GOOD)
        assert len(setting.probed) == probes


async def test_a_change_is_told_at_the_first_failure_and_at_the_threshold(setting: Setting) -> None:
    setting.declare(readiness={**TCP, "periodSeconds": 1, "failureThreshold": 3})
    setting.prober.observe([pod()])
    assert await setting.after(0, GOOD) == (True, True, 1)
    seen = [await setting.after(1, BAD) for _ in range(4)]
    assert seen == [(True, True, 1), (True, True, 1), (False, True, 2), (False, True, 2)]


async def test_a_start_that_does_not_answer_is_told_once(setting: Setting) -> None:
    setting.declare(readiness=TCP)
    setting.prober.observe([pod()])
    assert [await setting.after(1, BAD) for _ in range(3)] == [(False, True, 1)] * 3


async def test_a_new_cause_is_told_at_once_and_the_same_one_once(setting: Setting) -> None:
    setting.declare(readiness={**TCP, "periodSeconds": 1, "failureThreshold": 1})
    setting.prober.observe([pod()])
    seen = []
    for message in ("HTTP 503", "HTTP 503", "nothing listens on port 1", "nothing listens on port 1", "HTTP 503"):
        await setting.after(1, ProbeResult(False, message))
        seen.append((setting.changes, setting.prober.states()["default.a"].message))
    assert seen == [
        (1, "HTTP 503"),
        (1, "HTTP 503"),
        (2, "nothing listens on port 1"),
        (2, "nothing listens on port 1"),
        (3, "HTTP 503"),
    ]


async def test_an_answer_of_a_ready_service_that_reads_otherwise_asks_for_no_pass(setting: Setting) -> None:
    setting.declare(readiness={**TCP, "periodSeconds": 1})
    setting.prober.observe([pod()])
    for message in ("HTTP 200", "HTTP 204"):
        await setting.after(1, ProbeResult(True, message))
    assert setting.changes == 1


async def test_a_back_end_that_cannot_probe_is_a_failure_with_its_message(setting: Setting) -> None:
    setting.declare(readiness=TCP)
    setting.prober.observe([pod()])
    await setting.after(0, BackendError(Reason.HELPER_FAILED, "the helper ended"))
    state = setting.prober.states()["default.a"]
    assert (state.ready, state.failures, state.message) == (False, 1, "the helper ended")


async def test_a_fault_of_ours_ends_no_other_probe(setting: Setting) -> None:
    setting.declare(readiness=TCP)
    setting.prober.observe([pod()])
    setting.result = ValueError("a fault")
    await setting.prober.probe_due()
    assert await setting.after(1, GOOD) == (True, True, 2)


async def test_a_fault_of_ours_is_a_failure(setting: Setting) -> None:
    setting.declare(readiness={**TCP, "periodSeconds": 1, "failureThreshold": 2})
    setting.prober.observe([pod()])
    await setting.after(0, GOOD)
    seen = [await setting.after(1, ValueError("a fault")) for _ in range(2)]
    assert [ready for ready, _, _ in seen] == [True, False]
    assert setting.prober.states()["default.a"].message == "the operator could not probe; its log says why"


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(pod(pid=2), id="another process"),
        pytest.param(pod(started_at=BEGAN + 2), id="another start"),
        pytest.param(pod(running=False), id="not running"),
        pytest.param(None, id="gone"),
    ],
)
async def test_a_run_that_is_over_is_forgotten(other: ObservedPod | None, setting: Setting) -> None:
    setting.declare(readiness=TCP)
    setting.prober.observe([pod()])
    await setting.prober.probe_due()
    setting.prober.observe([other] if other is not None else [])
    assert setting.prober.states() == {}


async def test_a_result_for_a_run_that_is_over_is_dropped(setting: Setting) -> None:
    setting.declare(readiness=TCP)
    setting.prober.observe([pod()])
    setting.hold["default.a"] = asyncio.Event()
    probing = asyncio.create_task(setting.prober.probe_due())
    await asyncio.wait_for(setting.asked.wait(), DEADLINE_SECONDS)
    setting.prober.observe([])
    setting.hold["default.a"].set()
    await probing
    assert (setting.prober.states(), setting.changes) == ({}, 0)


async def test_a_pod_of_no_service_is_not_probed(setting: Setting) -> None:
    setting.prober.observe([pod()])
    await setting.prober.probe_due()
    assert (setting.probed, setting.prober.states()) == ([], {})


@pytest.mark.parametrize(
    ("started_at", "kept"),
    [pytest.param(BEGAN - 1, True, id="before this process"), pytest.param(BEGAN + 1, False, id="after it")],
)
async def test_a_container_that_was_ready_before_this_process_needs_no_second_startup(
    started_at: float, kept: bool, setting: Setting
) -> None:
    setting.declare(startup={"tcpSocket": {"port": 2}}, readiness=TCP)
    stored = {
        "type": "Ready",
        "status": "True",
        "reason": "ProbeSucceeded",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
        "observedGeneration": 1,
    }
    status = XnaiServiceStatus.model_validate({"conditions": [stored]})
    setting.services["default.a"] = replace(setting.services["default.a"], status=status)
    setting.prober.observe([pod(started_at=started_at)])
    assert await setting.after(0, BAD) == (kept, kept, 0 if kept else 1)
    assert [request.tcp for _, request in setting.probed] == [1 if kept else 2]


async def test_it_probes_until_it_is_cancelled_and_a_slow_probe_holds_up_no_other_pod(setting: Setting) -> None:
    ready = asyncio.Event()
    setting.on_change = ready.set
    for name in ("slow", "quick"):
        setting.declare(name, readiness=TCP)
    setting.hold["default.slow"] = asyncio.Event()
    setting.prober.observe([pod("slow", 1), pod("quick", 2)])
    running = asyncio.create_task(setting.prober.run())
    await asyncio.wait_for(ready.wait(), DEADLINE_SECONDS)
    assert list(setting.prober.states()) == ["default.quick"]
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert [task for task in asyncio.all_tasks() if task is not asyncio.current_task()] == []


async def test_a_run_has_one_probe_at_a_time(setting: Setting) -> None:
    setting.declare(readiness=TCP)
    setting.hold["default.a"] = asyncio.Event()
    setting.prober.observe([pod()])
    both = [asyncio.create_task(setting.prober.probe_due()) for _ in range(2)]
    await asyncio.wait_for(setting.asked.wait(), DEADLINE_SECONDS)
    setting.hold["default.a"].set()
    await asyncio.gather(*both)
    assert len(setting.probed) == 1
