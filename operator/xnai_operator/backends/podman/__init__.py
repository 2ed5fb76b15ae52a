"""Rootless Podman over its REST API. No import here: the helper program imports this package and must stay small."""
