"""The pressure ladder on real pods. The readings are injected: nothing here may bring the machine to its limits."""

from pathlib import Path
from typing import Any

from tests.podman.conftest import inside
from tests.unit.models.gguf_files import whole_file
from tests.unit.world import World
from xnai_operator.backends.podman.backend import PodmanBackend
from xnai_operator.render.installation import Installation

RUN: dict[str, Any] = {
    "image": "localhost/xnai-test:1",
    "command": ["sleep", "1000"],
    "terminationGracePeriodSeconds": 0,
}


def context() -> str:
    return inside("default.model", "sh", "-c", "echo $XNAI_CTX $XNAI_KV_TYPE").stdout.strip()


def told() -> str:
    return inside("default.model", "sh", "-c", "cat $XNAI_PRESSURE").stdout.strip()


async def test_the_ladder_is_climbed_and_left_again(
    podman_backend: PodmanBackend, installation: Installation, tmp_path: Path
) -> None:
    folder = Path(installation.models_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "m.gguf").write_bytes(whole_file())
    world = World(installation, tmp_path)
    world.backend = podman_backend
    world.begin()
    world.apply("high", priority=10, **RUN)
    own = {"userNamespace": "Auto"}  # another user's file and directory to it
    world.apply("model", priority=5, inference={"model": {"file": "m.gguf"}}, security=own, **RUN)
    world.apply("low", **RUN)

    async def passes(available: float, seconds: float) -> set[str]:
        await world.read_memory(available, seconds)
        pods = (await podman_backend.runtime.observe()).pods
        world.signals.resting = {pod.pid for pod in pods.values()}
        await world.read_memory(available, 0)
        return {pod.service for pod in (await podman_backend.runtime.observe()).pods.values() if pod.running}

    assert await passes(0.6, 1) == {"high", "model", "low"}
    assert (context(), told()) == ("2048 f16", "0")
    assert inside("default.model", "sh", "-c", "cat $XNAI_MODEL >/dev/null").returncode == 0
    await passes(0.14, 1)
    assert await passes(0.14, 30) == {"high", "model", "low"}
    assert (context(), world.condition("model", "MemoryPressure")) == ("512 q8_0", ("True", "ModelReduced"))
    assert await passes(0.04, 30) == {"high", "model"}
    assert told() == "5"
    assert await passes(0.04, 10) == {"high"}
    running: set[str] = set()
    for _ in range(16):
        running = await passes(0.6, 30)
    assert (running, context(), told()) == ({"high", "model", "low"}, "2048 f16", "0")
