"""The operator's metrics for Prometheus on http://127.0.0.1:9469/metrics. XNAI_METRICS_PORT sets another port."""

from collections.abc import Iterable, Mapping
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, start_http_server

from xnai_operator.api.conditions import Type
from xnai_operator.host.node import NodeInfo
from xnai_operator.memory.ladder import Ladder, Reading
from xnai_operator.plan.observed import ObservedMount, ObservedPod
from xnai_operator.plan.types import Plan

log = structlog.get_logger()

SERVICE: Final = ("namespace", "service")


class Metrics:
    """One operator's metrics, in their own registry. Names follow Prometheus: base units, `_total` for counters."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.labels: dict[str, tuple[str, ...]] = {}
        """The labels of each metric, for the reference page."""
        self._passes = self._counter("xnai_passes", "Passes over the node")
        self._actions = self._counter("xnai_actions", "Actions started, by kind and reason", "action", "reason")
        self._step = self._gauge("xnai_pressure_step", "Step of the pressure ladder: 0 normal to 5 kill")
        self._steps = self._counter("xnai_pressure_changes", "Steps of the ladder entered", "step")
        self._available = self._gauge("xnai_node_memory_available_bytes", "MemAvailable of the machine")
        self._total = self._gauge("xnai_node_memory_total_bytes", "MemTotal of the machine")
        self._stalled = self._gauge(
            "xnai_node_memory_stalled_percent",
            "Percent of the time that some or all (full) tasks wait for memory (PSI avg10)",
            "tasks",
        )
        self._node = self._gauge("xnai_node_info", "Always 1; the labels describe the machine", *_INFO)
        self._swap = self._gauge("xnai_node_swap_total_bytes", "SwapTotal of the machine")
        self._runtime = self._gauge(
            "xnai_runtime_info", "Always 1; the labels name the container runtime", "runtime", "version"
        )
        self._ready = self._gauge("xnai_service_ready", "1 while the service is Ready, else 0", *SERVICE)
        self._request = self._gauge(
            "xnai_service_memory_request_bytes", "Memory that admission counts for the service", *SERVICE
        )
        self._restarts = self._gauge(
            "xnai_service_restarts", "Starts after an exit or a failed start, since the last long run", *SERVICE
        )
        self._used = self._gauge("xnai_tmpfs_used_bytes", "Bytes in use on a tmpfs mount", *SERVICE, "mount_path")
        self._events = self._gauge(
            "xnai_pod_memory_events",
            "Counts in memory.events of the container's cgroup, since the pod started",
            *SERVICE,
            "event",
        )
        self._size = self._gauge("xnai_tmpfs_size_bytes", "Size of a tmpfs mount", *SERVICE, "mount_path")

    def _gauge(self, name: str, text: str, *labels: str) -> Gauge:
        self.labels[name] = labels
        return Gauge(name, text, labels, registry=self.registry)

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        self.labels[name] = labels
        return Counter(name, text, labels, registry=self.registry)

    def node_info(self, node: NodeInfo) -> None:
        """Set the constants of the node."""
        self._node.labels(
            str(node.cgroup_version), ",".join(node.controllers), node.cores, node.cpus, node.zram, ",".join(node.gpus)
        ).set(1)
        self._swap.set(node.swap)

    def memory(self, reading: Reading, ladder: Ladder, *, entered: bool) -> None:
        """Set the metrics of a reading. Counts a change of the step."""
        self._available.set(reading.available)
        self._total.set(reading.total)
        for tasks, value in (("some", reading.some), ("full", reading.full)):
            if value is not None:
                self._stalled.labels(tasks).set(value)
        self._step.set(ladder.step)
        if entered:
            self._steps.labels(ladder.step.word).inc()

    def action_begun(self, verb: str, reason: str) -> None:
        """Count an action that the executor began."""
        self._actions.labels(verb, reason).inc()

    def pass_done(self, plan: Plan, runtime: str) -> None:
        """Set the metrics of a pass. Series of deleted services are removed. `runtime`: as in Observed."""
        self._passes.inc()
        for gauge in (self._runtime, self._ready, self._request, self._restarts):
            gauge.clear()
        kind, _, version = runtime.partition(" ")
        self._runtime.labels(kind, version).set(1)
        for key, report in plan.services.items():
            labels = key.split(".", 1)
            self._ready.labels(*labels).set(any(c.type is Type.READY and c.status for c in report.conditions))
            for gauge, field in ((self._request, "memoryRequestBytes"), (self._restarts, "restarts")):
                if field in report.fields:
                    gauge.labels(*labels).set(report.fields[field])

    def memory_events(self, found: Iterable[tuple[ObservedPod, Mapping[str, int]]]) -> None:
        """Set how often pods met their memory limits since their start."""
        self._events.clear()
        for pod, events in found:
            for event, count in events.items():
                self._events.labels(pod.namespace, pod.service, event).set(count)

    def mounts(self, found: Iterable[tuple[ObservedPod, tuple[ObservedMount, ...]]]) -> None:
        """Set size and use of every tmpfs."""
        for gauge in (self._used, self._size):
            gauge.clear()
        for pod, mounts in found:
            for mount in mounts:
                labels = (pod.namespace, pod.service, mount.mount_path)
                self._used.labels(*labels).set(mount.used)
                self._size.labels(*labels).set(mount.size)

    def serve(self, port: int) -> None:
        """Serve /metrics on 127.0.0.1; port 0 turns it off. When the port is in use, log a warning and go on."""
        if port == 0:
            return
        try:
            start_http_server(port, addr="127.0.0.1", registry=self.registry)
        except OSError as error:
            log.warning("no metrics: set XNAI_METRICS_PORT to a free port", port=port, error=str(error))


_INFO: Final = ("cgroup_version", "controllers", "cores", "cpus", "zram", "gpus")
