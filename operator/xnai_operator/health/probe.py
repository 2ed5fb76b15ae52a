"""One probe as asked of a back end, and its result."""

from dataclasses import dataclass

from xnai_operator.api.xnaiservice import Probe


@dataclass(frozen=True)
class ProbeRequest:
    """What to ask: exactly one of `http` (port, path), `tcp` (port) and `command`. The timeout in seconds."""

    timeout: float
    http: tuple[int, str] | None = None
    tcp: int | None = None
    command: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ProbeResult:
    """`message` says what was seen: `HTTP 503`, `connection refused`."""

    success: bool
    message: str


def request(probe: Probe) -> ProbeRequest:
    """The probe as a request."""
    timeout = float(probe.timeout_seconds)
    if probe.http_get is not None:
        return ProbeRequest(timeout, http=(probe.http_get.port, probe.http_get.path))
    if probe.tcp_socket is not None:
        return ProbeRequest(timeout, tcp=probe.tcp_socket.port)
    assert probe.exec is not None
    return ProbeRequest(timeout, command=tuple(probe.exec.command))
