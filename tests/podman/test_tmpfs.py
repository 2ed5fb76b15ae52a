"""tmpfs on real Podman: the size, the owner and the flags hold, at the first start and after every other."""

import subprocess
from typing import Any

import pytest

from xnai_operator.api import resources
from xnai_operator.backends.podman import PodmanBackend
from xnai_operator.plan.observed import ObservedPod
from xnai_operator.plan.verify import differences
from xnai_operator.render.environment import Environment
from xnai_operator.render.pod import RenderedPod
from xnai_operator.render.podman import FileContents, render
from xnai_operator.tmpfs.mounts import merged

MI = 1 << 20


def rendered(name: str, environment: Environment, contents: FileContents | None = None, **spec: Any) -> RenderedPod:
    service = resources.service(
        {
            "metadata": {"name": name, "namespace": "test", "uid": f"uid-{name}"},
            "spec": {
                "image": "localhost/xnai-test:1",
                "command": ["sleep", "1000"],
                "terminationGracePeriodSeconds": 0,
                **spec,
            },
        }
    )
    return render(service, merged(service, ()), contents or {}, environment)


async def started(backend: PodmanBackend, pod: RenderedPod) -> ObservedPod:
    await backend.start(pod)
    found = (await backend.observe()).pods[pod.name]
    assert found.running
    return found


def inside(pod: str, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["podman", "exec", f"{pod}-main", *command], capture_output=True, text=True, check=False)


MOUNTS = [
    {"mountPath": "/tmp", "size": "2Mi"},
    {"mountPath": "/run", "size": "1Mi", "mode": "0755"},
    {"mountPath": "/app/.cache", "size": "4Mi", "mode": "0700"},
]


async def test_every_mount_is_as_wanted_in_the_running_container(
    podman_backend: PodmanBackend, environment: Environment
) -> None:
    pod = rendered("mounts", environment, storage={"tmpfs": MOUNTS})
    found = await started(podman_backend, pod)
    assert differences(pod.tmpfs, await podman_backend.mounts(found, pod.tmpfs)) == []


@pytest.mark.parametrize("again", [["pod", "restart", "test.again"], ["restart", "test.again-main"]])
async def test_mode_and_owner_stay_after_a_restart(
    again: list[str], podman_backend: PodmanBackend, environment: Environment
) -> None:
    pod = rendered("again", environment, storage={"tmpfs": MOUNTS})
    await started(podman_backend, pod)
    subprocess.run(["podman", *again], check=True, capture_output=True)
    found = (await podman_backend.observe()).pods[pod.name]
    assert differences(pod.tmpfs, await podman_backend.mounts(found, pod.tmpfs)) == []


async def test_a_write_past_the_size_is_refused(podman_backend: PodmanBackend, environment: Environment) -> None:
    pod = rendered("full", environment, storage={"tmpfs": MOUNTS})
    await started(podman_backend, pod)
    write = inside(pod.name, "dd", "if=/dev/zero", "of=/tmp/big", "bs=1M", "count=8")
    assert (write.returncode, "No space left" in write.stderr) == (1, True)


async def test_a_program_on_a_noexec_mount_does_not_run(
    podman_backend: PodmanBackend, environment: Environment
) -> None:
    pod = rendered("noexec", environment, storage={"tmpfs": MOUNTS})
    await started(podman_backend, pod)
    run = inside(pod.name, "sh", "-c", "cp /bin/busybox /app/.cache/b && chmod 755 /app/.cache/b && /app/.cache/b true")
    assert (run.returncode, "Permission denied" in run.stderr) == (126, True)


async def test_the_next_start_finds_the_mount_empty(podman_backend: PodmanBackend, environment: Environment) -> None:
    pod = rendered("empty", environment, storage={"tmpfs": MOUNTS})
    await started(podman_backend, pod)
    assert inside(pod.name, "sh", "-c", "echo x >/tmp/left").returncode == 0
    await started(podman_backend, pod)
    assert inside(pod.name, "ls", "/tmp").stdout == ""
