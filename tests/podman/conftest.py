"""Services of the tests, rendered and started."""

import subprocess
from typing import Any

from xnai_operator.api import resources
from xnai_operator.api.contents import Contents
from xnai_operator.backends.podman.backend import PodmanBackend
from xnai_operator.plan.observed import ObservedPod
from xnai_operator.render import podman
from xnai_operator.render.installation import Installation
from xnai_operator.render.intent import PodIntent
from xnai_operator.render.pod import RenderedPod
from xnai_operator.render.variant import Variant
from xnai_operator.tmpfs.mounts import merged

USER_NAMESPACES = ["Shared", "KeepId", "Auto"]


def rendered(
    name: str,
    installation: Installation,
    contents: Contents | None = None,
    namespace: str = "test",
    on_disk: frozenset[str] = frozenset(),
    **spec: Any,
) -> RenderedPod:
    service = resources.service(
        {
            "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}"},
            "spec": {
                "image": "localhost/xnai-test:1",
                "command": ["sleep", "1000"],
                "terminationGracePeriodSeconds": 0,
                **spec,
            },
        }
    )
    intent = PodIntent(
        service=service, tmpfs=merged(service, ()), contents=contents or {}, variant=Variant(on_disk=on_disk)
    )
    return podman.renderer(installation, cores=2)(intent)


async def started(backend: PodmanBackend, pod: RenderedPod) -> ObservedPod:
    await backend.runtime.start(pod)
    found = (await backend.runtime.observe()).pods[pod.name]
    assert found.running
    return found


def inside(pod: str, *command: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["podman", "exec", f"{pod}-main", *command], capture_output=True, text=True, check=False)
