"""Startup and readiness probes. kube play ignores readiness, and without systemd its health checks never run."""
