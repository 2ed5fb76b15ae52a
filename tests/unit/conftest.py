"""Builders for the pure core: state in, state out."""

from typing import Any

import pytest

from xnai_operator.api import resources
from xnai_operator.api.resources import XnaiService
from xnai_operator.render.environment import Environment


@pytest.fixture
def environment() -> Environment:
    return Environment("/run/user/1001/xnai", "/home/xnai/models", b"k" * 32, cores=2)


def make_service(name: str = "redis", created: str = "2026-01-01T00:00:00Z", **spec: Any) -> XnaiService:
    body = {
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": f"uid-{name}",
            "generation": 1,
            "creationTimestamp": created,
            "labels": {"app": name},
        },
        "spec": {"image": "localhost/app:1", **spec},
    }
    return resources.service(body)
