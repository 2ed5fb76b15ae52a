"""Carrying out the actions of a plan, each in a task of its own."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from xnai_operator.backends.base import Backend
from xnai_operator.errors import BackendError
from xnai_operator.plan.types import Action, Resize, Start, Stop
from xnai_operator.reconcile.reporter import Reporter

log = structlog.get_logger()


class Executor:
    """Runs actions beside the passes: a stop takes as long as its grace. `ended` is called with each action that ended
    and whether it succeeded, when its pod is free for the next one."""

    def __init__(
        self,
        backend: Backend,
        reporter: Reporter,
        connected: Callable[[], Awaitable[None]],
        ended: Callable[[Action, bool], None],
    ) -> None:
        """`connected`: see Runtime.start."""
        self._backend = backend
        self._reporter = reporter
        self._connected = connected
        self._ended = ended
        self._acting: dict[str, asyncio.Task[None]] = {}
        self._initialising: set[str] = set()
        """Pods whose start has come to their init containers, which may take for ever."""

    @property
    def busy(self) -> frozenset[str]:
        """Names of the pods with an action under way."""
        return frozenset(self._acting)

    async def begin(self, actions: tuple[Action, ...], reported: asyncio.Task[None]) -> None:
        """Begin the actions; a pod has one at a time, and a start whose init containers run gives way to the next.
        `reported`: the write of the planned statuses, which the result is written over."""
        for action in actions:
            if action.name in self._initialising:
                self._acting[action.name].cancel()
                await asyncio.gather(self._acting[action.name], return_exceptions=True)
            if action.name not in self._acting:
                self._acting[action.name] = asyncio.create_task(self._run(action, reported))
                await self._reporter.begun(action)

    async def finished(self) -> None:
        """Until no action is under way."""
        while self._acting:
            await asyncio.gather(*self._acting.values())

    async def close(self) -> None:
        """Cancel the actions under way."""
        acting = list(self._acting.values())
        for task in acting:
            task.cancel()
        await asyncio.gather(*acting, return_exceptions=True)

    async def _run(self, action: Action, reported: asyncio.Task[None]) -> None:
        done = False
        try:
            done = await self._carry_out(action, reported)
        except Exception:
            log.exception("action failed", action=action.verb, pod=action.name)
        finally:
            self._initialising.discard(action.name)
            del self._acting[action.name]
            self._ended(action, done)

    async def _carry_out(self, action: Action, reported: asyncio.Task[None]) -> bool:
        failure: BackendError | None = None
        try:
            await self._act(action)
        except BackendError as error:
            failure = error
        await reported
        await self._reporter.ended(action, failure)
        return failure is None

    async def _act(self, action: Action) -> None:
        match action:
            case Start():
                await self._start(action)
            case Stop():
                await self._backend.runtime.stop(action.name, action.grace_seconds)
            case Resize():
                await self._backend.node_agent.resize(action.pod)

    async def _start(self, action: Start) -> None:
        async def connected() -> None:
            await self._connected()
            if action.pod.init_images:
                self._initialising.add(action.name)

        await self._backend.runtime.start(action.pod, connected)
