"""Rootless Podman over its REST API."""

from xnai_operator.backends.podman.backend import PodmanBackend

__all__ = ["PodmanBackend"]
