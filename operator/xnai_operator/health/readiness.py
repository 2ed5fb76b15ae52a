"""Counts results of probes: when a container is started, ready and unready."""

from dataclasses import dataclass, replace

from xnai_operator.api.xnaiservice import Health, Probe


@dataclass(frozen=True)
class ProbeState:
    """The results of one running container. Times in seconds of the caller's clock. A new pod has a new state."""

    started: bool = False
    ready: bool = False
    failures: int = 0
    next_at: float = 0.0
    message: str = "no probe has answered yet"


def due(health: Health, state: ProbeState, now: float) -> Probe | None:
    """The probe to run now: startup until it has succeeded once, then readiness. None when none is due."""
    probe = health.readiness if state.started or health.startup is None else health.startup
    return probe if probe is not None and now >= state.next_at else None


def initial(health: Health) -> ProbeState:
    """The state of a new container. Without a probe it is ready at once."""
    if health.startup is None and health.readiness is None:
        return ProbeState(started=True, ready=True, message="running; no probe is declared")
    return ProbeState(started=health.startup is None)


def after(health: Health, state: ProbeState, probe: Probe, now: float, *, success: bool, message: str) -> ProbeState:
    """The state after a result. `message`: see ProbeResult.

    One success makes ready; `failureThreshold` failures in a row make unready.

    While it is not ready, the next probe runs within a second, so that a long period does not delay a start.
    """
    starting = not state.started
    if success:
        ready = True if not starting else health.readiness is None
        return replace(
            state,
            started=True,
            ready=ready,
            failures=0,
            message=message,
            next_at=now + (probe.period_seconds if ready else 0.0),
        )
    failures = state.failures + 1
    ready = state.ready and failures < probe.failure_threshold
    wait = float(probe.period_seconds) if ready else min(1.0, float(probe.period_seconds))
    return replace(state, ready=ready, failures=failures, message=message, next_at=now + wait)
