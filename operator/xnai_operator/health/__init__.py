"""Probes the operator runs itself: kube play ignores readiness, and without systemd its health checks never run."""
