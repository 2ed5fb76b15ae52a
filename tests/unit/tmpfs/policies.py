"""Policies for the tests."""

from typing import Any

from xnai_operator.api import resources
from xnai_operator.api.resources import TmpfsPolicy


def policy(
    name: str = "p", *, namespace: str = "default", size: str = "4Mi", path: str = "/cache", **spec: Any
) -> TmpfsPolicy:
    """A policy with one mount unless `mounts` says otherwise; it selects every service."""
    spec = {"mounts": [{"mountPath": path, "size": size}], **spec}
    return resources.policy({"metadata": {"name": name, "namespace": namespace}, "spec": spec})
