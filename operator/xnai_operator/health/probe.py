"""A probe for a back end, and its result."""

from dataclasses import dataclass

from xnai_operator.api.xnaiservice import Probe, XnaiServiceSpec


@dataclass(frozen=True)
class ProbeRequest:
    """Exactly one of `http` (port, path), `tcp` (port) and `command`. The timeout in seconds.

    `reached`: the port is one that others reach, so the probe connects to the pod's own address, as the kubelet does.
    """

    timeout: float
    http: tuple[int, str] | None = None
    tcp: int | None = None
    command: tuple[str, ...] | None = None
    reached: bool = False


@dataclass(frozen=True)
class ProbeResult:
    """`message`: the answer or the error, as in `HTTP 503` and `connection refused`."""

    success: bool
    message: str


def request(spec: XnaiServiceSpec, probe: Probe) -> ProbeRequest:
    """A probe of a service as a request."""
    timeout = float(probe.timeout_seconds)
    if probe.http_get is not None:
        port = probe.http_get.port
        return ProbeRequest(timeout, http=(port, probe.http_get.path), reached=_reached(spec, port))
    if probe.tcp_socket is not None:
        port = probe.tcp_socket.port
        return ProbeRequest(timeout, tcp=port, reached=_reached(spec, port))
    assert probe.exec is not None
    return ProbeRequest(timeout, command=tuple(probe.exec.command))


def _reached(spec: XnaiServiceSpec, port: int) -> bool:
    """Whether services or users connect to the port: on the bridge of the namespace, or where it is published."""
    published = any(p.container_port == port and p.host_port for p in spec.ports)
    return spec.network.mode == "Namespace" or published
