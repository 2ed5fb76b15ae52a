"""Telling: statuses to the API, records to the log, the events and the metrics."""

from collections.abc import Callable
from typing import Any, Protocol

import structlog

from xnai_operator.api.conditions import Reason
from xnai_operator.api.kinds import TMPFS_POLICY, XNAI_SERVICE
from xnai_operator.api.status import XnaiServiceStatus
from xnai_operator.errors import ApiError, BackendError
from xnai_operator.kube.cache import ObjectCache
from xnai_operator.metrics.prometheus import Metrics
from xnai_operator.plan.start import start_failed
from xnai_operator.plan.types import Action, Plan, Report, Start
from xnai_operator.reconcile.events import event_for
from xnai_operator.reconcile.record import Outcome, Record
from xnai_operator.reconcile.status import status_for

log = structlog.get_logger()


class Api(Protocol):
    """The writes to the API."""

    async def patch_status(self, kind: str, namespace: str, name: str, status: dict[str, Any]) -> dict[str, Any] | None:
        """Merge into the object's status; the object as stored, or None when it is gone. Raises ApiError."""

    async def create_event(self, namespace: str, event: dict[str, Any]) -> None:
        """Post an event (events.k8s.io/v1). Raises ApiError."""


class Reporter:
    """Writes the statuses of a plan and fans records out to the log, the metrics and the events. `clock` gives seconds
    since the epoch."""

    def __init__(self, api: Api, cache: ObjectCache, metrics: Metrics, clock: Callable[[], float]) -> None:
        self._api = api
        self._cache = cache
        self._metrics = metrics
        self._clock = clock

    async def write(self, plan: Plan) -> None:
        """Every status of the plan that says something new, and the events of what is announced."""
        for kind, reports in ((XNAI_SERVICE.name, plan.services), (TMPFS_POLICY.name, plan.policies)):
            for key, report in reports.items():
                namespace, name = key.split(".", 1)
                body = self._cache.get(kind, namespace, name)
                if body is not None:
                    await self._write(kind, body, report)

    async def _write(self, kind: str, body: dict[str, Any], report: Report) -> None:
        status = status_for(body, report, self._clock())
        if status is None:
            return
        namespace, name = body["metadata"]["namespace"], body["metadata"]["name"]
        try:
            stored = await self._api.patch_status(kind, namespace, name, status)
        except ApiError as error:  # one refused status must not keep the others from being written
            log.warning("status not written", kind=kind, reason=error.reason.value, message=error.message)
            return
        if stored is None:
            return
        self._cache.observe(stored)
        for condition in report.announced:
            await self.record(
                Record(
                    at=self._clock(),
                    kind=kind,
                    namespace=namespace,
                    name=name,
                    action="watch",
                    reason=condition.reason,
                    message=condition.message,
                    outcome=Outcome.OBSERVED,
                    warning=True,
                )
            )

    async def begun(self, action: Action) -> None:
        """An action that begins."""
        await self.record(self._of(action, Outcome.BEGUN, action.reason, action.message))

    async def ended(self, action: Action, failure: BackendError | None) -> None:
        """An action that ended. A failed start is written into the status, with the time of the next one."""
        if failure is None:
            warning = action.mitigates and action.reason is not Reason.MODEL_RESTORED
            await self.record(self._of(action, Outcome.DONE, action.reason, action.message, warning=warning))
            return
        await self.record(self._of(action, Outcome.FAILED, failure.reason, failure.message, warning=True))
        namespace, name = action.name.split(".", 1)
        body = self._cache.get(XNAI_SERVICE.name, namespace, name)
        if isinstance(action, Start) and body is not None:
            report = start_failed(
                XnaiServiceStatus.parse(body.get("status")), failure.reason, failure.message, self._clock()
            )
            await self._write(XNAI_SERVICE.name, body, report)

    def _of(self, action: Action, outcome: Outcome, reason: Reason, message: str, *, warning: bool = False) -> Record:
        namespace, name = action.name.split(".", 1)
        return Record(
            at=self._clock(),
            kind=XNAI_SERVICE.name,
            namespace=namespace,
            name=name,
            action=action.verb,
            reason=reason,
            message=message,
            outcome=outcome,
            warning=warning,
        )

    async def record(self, record: Record) -> None:
        """One record to every sink that takes it."""
        _to_log(record)
        if record.outcome is Outcome.BEGUN:
            self._metrics.action_begun(record.action, record.reason.value)
            return
        regarding = self._regarding(record)
        if regarding is None:  # deleted: an event would hang on nothing
            return
        try:
            event = event_for(record, regarding)
            await self._api.create_event(event["metadata"]["namespace"], event)
        except ApiError as error:  # nothing depends on an event
            log.warning("event not recorded", reason=error.reason.value, message=error.message)

    def _regarding(self, record: Record) -> dict[str, Any] | None:
        if record.kind == "Node":
            metadata = {"name": record.name, "namespace": record.namespace}
            return {"apiVersion": "v1", "kind": "Node", "metadata": metadata}
        return self._cache.get(record.kind, record.namespace, record.name)


def _to_log(record: Record) -> None:
    fields = {"reason": record.reason.value, "message": record.message}
    if record.kind != "Node":
        fields["pod"] = f"{record.namespace}.{record.name}"
    if record.outcome is Outcome.FAILED:
        log.warning("action failed", action=record.action, **fields)
    elif record.outcome is not Outcome.DONE:
        log.info(record.action, **fields)
