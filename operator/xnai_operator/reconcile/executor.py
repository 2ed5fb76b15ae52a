"""Carrying out the actions of a plan, each in a task of its own."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import structlog

from xnai_operator.backends.base import Backend
from xnai_operator.errors import BackendError
from xnai_operator.plan.types import Action, Resize, Start, Stop
from xnai_operator.reconcile.reporter import Reporter

log = structlog.get_logger()


async def _start(backend: Backend, action: Start) -> None:
    await backend.runtime.start(action.pod)


async def _stop(backend: Backend, action: Stop) -> None:
    await backend.runtime.stop(action.name, action.grace_seconds)


async def _resize(backend: Backend, action: Resize) -> None:
    await backend.node_agent.resize(action.pod)


EXECUTORS: Final[Mapping[type[Action], Callable[[Backend, Any], Awaitable[None]]]] = {
    Start: _start,
    Stop: _stop,
    Resize: _resize,
}


class Executor:
    """Runs actions beside the passes: a stop takes as long as its grace. `ended` is called with each action that ended
    and whether it succeeded, when its pod is free for the next one."""

    def __init__(self, backend: Backend, reporter: Reporter, ended: Callable[[Action, bool], None]) -> None:
        self._backend = backend
        self._reporter = reporter
        self._ended = ended
        self._acting: dict[str, asyncio.Task[None]] = {}

    @property
    def busy(self) -> frozenset[str]:
        """Names of the pods with an action under way."""
        return frozenset(self._acting)

    async def begin(self, actions: tuple[Action, ...], reported: asyncio.Task[None]) -> None:
        """Begin the actions; a pod has one at a time. `reported`: the write of the planned statuses, which the result
        is written over."""
        for action in actions:
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
            del self._acting[action.name]
            self._ended(action, done)

    async def _carry_out(self, action: Action, reported: asyncio.Task[None]) -> bool:
        failure: BackendError | None = None
        try:
            await EXECUTORS[type(action)](self._backend, action)
        except BackendError as error:
            failure = error
        await reported
        await self._reporter.ended(action, failure)
        return failure is None
