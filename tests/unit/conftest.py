"""Builders for the pure core: state in, state out."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.world import World
from xnai_operator.api import resources
from xnai_operator.api.contents import Contents
from xnai_operator.api.resources import XnaiService
from xnai_operator.render import podman
from xnai_operator.render.installation import Installation
from xnai_operator.render.intent import PodIntent
from xnai_operator.render.pod import RenderedPod
from xnai_operator.render.variant import AS_DECLARED, Variant
from xnai_operator.tmpfs.mounts import merged


@pytest.fixture
def installation() -> Installation:
    return Installation("/run/user/1001/xnai", "/home/xnai/models", b"k" * 32)


def render(
    service: XnaiService, installation: Installation, contents: Contents | None = None, variant: Variant = AS_DECLARED
) -> RenderedPod:
    """The service's pod on Podman, without policies."""
    intent = PodIntent(service=service, tmpfs=merged(service, ()), contents=contents or {}, variant=variant)
    return podman.renderer(installation, cores=2)(intent)


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


@pytest.fixture
def world(installation: Installation, tmp_path: Path) -> World:
    return World(installation, tmp_path)
