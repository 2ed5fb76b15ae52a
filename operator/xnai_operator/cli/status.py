"""`xnai status`: every service with what it asked for and what it uses now, read where it runs."""

from collections.abc import Mapping
from typing import Any

import typer

from xnai_operator import wiring
from xnai_operator.api import resources
from xnai_operator.api.host_ports import HostPort
from xnai_operator.api.kinds import XNAI_SERVICE
from xnai_operator.api.resources import InvalidResourceError
from xnai_operator.api.status import XnaiServiceStatus
from xnai_operator.backends.base import NodeAgent, ObservedPod
from xnai_operator.cli.client import with_api
from xnai_operator.cli.output import Exit, Format, mebibytes, out, show
from xnai_operator.cli.readiness import readiness, suspended
from xnai_operator.config import Config
from xnai_operator.errors import BackendError
from xnai_operator.host.ladder_file import stored_ladder
from xnai_operator.host.memory_reader import MemoryReader
from xnai_operator.kube.client import KubeClient

COLUMNS = ("service", "ready", "memory_used", "memory_asked", "tmpfs_used", "tmpfs_size", "url", "message")


def run(output: Format, namespace: str = "", *, all_namespaces: bool = False) -> None:
    """Print the rows, of one namespace when it is named; exit code 1 when a service is neither Ready nor suspended."""
    config = Config.read()
    found = with_api(config, lambda api: rows(config, api, namespace))
    if output is Format.TABLE:
        show(found, columns(found, all_namespaces=all_namespaces), output)
        out.print(f"\n{memory(config)}")
    else:
        show(for_scripts(found), (), output)
    if not all(row["ready"] or row["suspended"] for row in found):
        raise typer.Exit(Exit.CONDITION_FALSE)


def columns(rows: list[dict[str, Any]], *, all_namespaces: bool = False) -> tuple[str, ...]:
    """The columns of the table; the namespace is one when the rows are of several, or when it is asked for."""
    several = len({row["namespace"] for row in rows}) > 1
    return ("namespace", *COLUMNS) if several or all_namespaces else COLUMNS


async def rows(config: Config, api: KubeClient, namespace: str = "") -> list[dict[str, Any]]:
    """One row a service, of every namespace unless one is named. Sizes in bytes under `…Bytes`, and as text for the
    table."""
    listed = await api.get(XNAI_SERVICE.path(namespace))
    backend = wiring.backend(config)
    pods: dict[str, ObservedPod] = {}
    failure = ""
    try:
        try:
            pods = (await backend.runtime.observe()).pods
        except BackendError as error:
            failure = error.message
        return [await _row(backend.node_agent, pods, failure, body) for body in (listed or {}).get("items", [])]
    finally:
        await backend.runtime.close()


async def _row(
    node_agent: NodeAgent, pods: Mapping[str, ObservedPod], failure: str, body: dict[str, Any]
) -> dict[str, Any]:
    metadata = body["metadata"]
    ready, text = readiness(body)
    used = tmpfs_used = tmpfs_size = None
    text = failure or text
    pod = pods.get(f"{metadata['namespace']}.{metadata['name']}")
    if pod is not None and pod.running:
        try:
            usage = await node_agent.usage(pod)
            used, tmpfs_used, tmpfs_size = usage.memory, usage.tmpfs_used, usage.tmpfs_size
        except BackendError as error:  # it ended a moment ago
            text = error.message
    asked = XnaiServiceStatus.parse(body.get("status")).memory_request_bytes
    return {
        "namespace": metadata["namespace"],
        "service": metadata["name"],
        "ready": ready,
        "suspended": suspended(body),
        "memoryUsedBytes": used,
        "memoryAskedBytes": asked,
        "tmpfsUsedBytes": tmpfs_used,
        "tmpfsSizeBytes": tmpfs_size,
        "memory_used": mebibytes(used),
        "memory_asked": mebibytes(asked),
        "tmpfs_used": mebibytes(tmpfs_used),
        "tmpfs_size": mebibytes(tmpfs_size),
        "url": url(body),
        "message": "" if ready else text,
    }


def url(body: dict[str, Any]) -> str:
    """Where the first published port answers; empty when none is published."""
    try:
        service = resources.service(body)
    except InvalidResourceError:
        return ""
    for port in service.spec.ports:
        if port.host_port is not None and port.protocol == "TCP":
            local = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - compared, not bound
            host = local.get(port.host_ip, port.host_ip)
            return f"http://{HostPort(host, port.host_port, port.protocol).text}/"
    return ""


def memory(config: Config) -> str:
    """A line on the memory of the machine."""
    reading, step = MemoryReader().read(), stored_ladder(config.pressure).step
    return (
        f"{mebibytes(reading.available)} of {mebibytes(reading.total)} of the machine's memory are available; "
        f"pressure: {step.word}"
    )


def for_scripts(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows without the texts made for the table."""
    texts = {"memory_used", "memory_asked", "tmpfs_used", "tmpfs_size"}
    return [{key: value for key, value in row.items() if key not in texts} for row in rows]
