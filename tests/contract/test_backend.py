"""What every back end keeps to: the real one and the one in memory."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.conftest import on_podman
from xnai_operator.api import resources
from xnai_operator.api.conditions import Reason
from xnai_operator.backends.base import Backend
from xnai_operator.backends.fake import FakeBackend
from xnai_operator.errors import BackendError
from xnai_operator.plan.mount_check import differences
from xnai_operator.plan.observed import ObservedPod
from xnai_operator.render import podman
from xnai_operator.render.installation import Installation
from xnai_operator.render.intent import PodIntent
from xnai_operator.render.pod import RenderedPod
from xnai_operator.render.variant import AS_DECLARED, Variant
from xnai_operator.tmpfs.mounts import merged

IMAGE = "localhost/xnai-test:1"


@pytest_asyncio.fixture(params=["fake", pytest.param("podman", marks=pytest.mark.podman)])
async def backend(request: pytest.FixtureRequest, installation: Installation) -> AsyncIterator[Backend]:
    if request.param == "fake":
        yield FakeBackend({IMAGE: "sha256:1"})
        return
    request.getfixturevalue("image")
    async with on_podman(request.getfixturevalue("podman_socket"), installation) as backend:
        yield backend


def pod(installation: Installation, name: str = "contract", variant: Variant = AS_DECLARED, **spec: Any) -> RenderedPod:
    body = {
        "metadata": {"name": name, "namespace": "test", "uid": f"uid-{name}"},
        "spec": {"image": IMAGE, "command": ["sleep", "1000"], "terminationGracePeriodSeconds": 0, **spec},
    }
    service = resources.service(body)
    intent = PodIntent(service=service, tmpfs=merged(service, ()), contents={}, variant=variant)
    return podman.renderer(installation, cores=2)(intent)


async def found(backend: Backend, name: str = "test.contract") -> ObservedPod | None:
    return (await backend.runtime.observe()).pods.get(name)


async def test_a_started_pod_is_observed_with_its_labels(backend: Backend, installation: Installation) -> None:
    wanted = pod(installation)
    await backend.runtime.start(wanted)
    seen = await found(backend)
    assert seen is not None
    assert (seen.namespace, seen.service, seen.uid, seen.hash, seen.running) == (
        "test", "contract", "uid-contract", wanted.hash, True,
    )  # fmt: skip
    assert (seen.pid > 0, seen.started_at > 0, seen.image_id != "") == (True, True, True)


@pytest.mark.parametrize(
    "variant",
    [
        pytest.param(AS_DECLARED, id="as declared"),
        pytest.param(Variant(reduced=True, on_disk=frozenset({"/tmp"}), without_limits=frozenset({"cpu"})), id="all"),
    ],
)
async def test_a_started_pod_is_observed_with_its_sections_and_variant(
    variant: Variant, backend: Backend, installation: Installation
) -> None:
    wanted = pod(installation, variant=variant)
    await backend.runtime.start(wanted)
    seen = await found(backend)
    assert seen is not None
    assert (seen.sections, seen.variant) == (wanted.sections, variant)


async def test_the_runtime_says_what_it_is(backend: Backend) -> None:
    kind, version = (await backend.runtime.observe()).runtime.split()
    assert (kind in {"podman", "fake"}, version[0].isdigit()) == (True, True)


async def test_starting_again_replaces_the_pod(backend: Backend, installation: Installation) -> None:
    await backend.runtime.start(pod(installation))
    first = await found(backend)
    await backend.runtime.start(pod(installation, env=[{"name": "A", "value": "1"}]))
    second = await found(backend)
    assert first is not None
    assert second is not None
    assert (first.pid != second.pid, first.hash != second.hash) == (True, True)


async def test_what_cannot_be_started_takes_nothing_down(backend: Backend, installation: Installation) -> None:
    await backend.runtime.start(pod(installation))
    before = await found(backend)
    with pytest.raises(BackendError) as refused:
        await backend.runtime.start(pod(installation, image="localhost/no-such-image:1"))
    assert refused.value.reason is Reason.IMAGE_MISSING
    assert await found(backend) == before


async def test_a_volume_of_another_service_must_be_there(backend: Backend, installation: Installation) -> None:
    storage = {"volumes": [{"name": "data", "service": "nobody", "mountPath": "/data"}]}
    with pytest.raises(BackendError) as refused:
        await backend.runtime.start(pod(installation, storage=storage))
    assert refused.value.reason is Reason.VOLUME_MISSING


async def test_a_stopped_pod_is_gone_and_its_volume_stays(backend: Backend, installation: Installation) -> None:
    await backend.runtime.start(pod(installation, storage={"volumes": [{"name": "data", "mountPath": "/data"}]}))
    await backend.runtime.stop("test.contract", 0)
    observed = await backend.runtime.observe()
    assert ("test.contract" in observed.pods, "test.contract.data" in observed.volumes) == (False, True)


async def test_stopping_what_is_gone_is_no_error(backend: Backend) -> None:
    await backend.runtime.stop("test.nobody", 0)


async def test_the_mounts_are_as_wanted(backend: Backend, installation: Installation) -> None:
    wanted = pod(installation, storage={"tmpfs": [{"mountPath": "/scratch", "size": "2Mi", "mode": "0700"}]})
    await backend.runtime.start(wanted)
    seen = await found(backend)
    assert seen is not None
    assert differences(wanted.tmpfs, await backend.node_agent.mounts(seen)) == []


async def test_usage_counts_every_tmpfs(backend: Backend, installation: Installation) -> None:
    wanted = pod(installation, storage={"tmpfs": [{"mountPath": "/scratch", "size": "2Mi"}]})
    await backend.runtime.start(wanted)
    seen = await found(backend)
    assert seen is not None
    assert (await backend.node_agent.usage(seen)).tmpfs_size == sum(tmpfs.size for tmpfs in wanted.tmpfs)


async def test_changes_tells_of_a_start(backend: Backend, installation: Installation) -> None:
    changes = backend.runtime.changes()
    await anext(changes)
    told = asyncio.ensure_future(anext(changes))
    await asyncio.sleep(0)
    await backend.runtime.start(pod(installation))
    await asyncio.wait_for(told, 20)
    await changes.aclose()  # type: ignore[attr-defined]


async def test_logs_of_what_is_not_there_are_an_error(backend: Backend) -> None:
    with pytest.raises(BackendError):
        await backend.runtime.logs("test.nobody", 10)


async def test_a_command_ends_with_its_code(backend: Backend, installation: Installation) -> None:
    await backend.runtime.start(pod(installation))
    seen = await found(backend)
    assert seen is not None
    assert (await backend.runtime.exec(seen, ("true",), 20)).exit_code == 0


async def test_a_command_in_what_is_not_there_is_an_error(backend: Backend) -> None:
    gone = ObservedPod(name="test.nobody", namespace="test", service="nobody", uid="u", hash="h", running=True)
    with pytest.raises(BackendError):
        await backend.runtime.exec(gone, ("true",), 20)


@pytest.mark.parametrize("inference", [True, False])
async def test_a_model_can_be_told_the_step_of_the_ladder_and_others_need_not(
    inference: bool, backend: Backend, installation: Installation
) -> None:
    folder = Path(installation.models_dir)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "m.gguf").touch()
    spec: dict[str, Any] = {"inference": {"model": {"file": "m.gguf"}}} if inference else {}
    wanted = pod(installation, **spec)
    await backend.runtime.start(wanted)
    await backend.node_agent.signal_pressure(wanted.name, 4)
    seen = await found(backend)
    assert seen is not None
    assert seen.running
    assert (await backend.node_agent.usage(seen)).tmpfs_size == sum(
        tmpfs.size for tmpfs in wanted.tmpfs
    )  # the signal is none
