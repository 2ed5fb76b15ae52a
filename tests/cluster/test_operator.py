"""kopf and the engine on the real API server; the runtime is in memory (the real one: tests/podman and tests/stack)."""

import asyncio
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.cluster.conftest import Kubectl
from tests.nodes import make_node
from tests.unit.world import FakeMemoryReader
from xnai_controlplane import ControlPlane
from xnai_operator import driver
from xnai_operator.backends.fake import FakeBackend
from xnai_operator.metrics.prometheus import Metrics
from xnai_operator.reconcile.memory_watch import MemoryWatch
from xnai_operator.render.installation import Installation

SECONDS = 20.0
Waits = Callable[[str, str, str], str]


@pytest.fixture(scope="module")
def backend(
    control_plane: ControlPlane, kubectl: Kubectl, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[FakeBackend]:
    """The operator in a thread of its own, against the session's API server."""
    backend = FakeBackend({"localhost/app:1": "sha256:1"})
    machine = make_node(Installation("/run/xnai", "/models", b"k" * 32), allocatable=1 << 30)
    signals = FakeMemoryReader()  # the machine of the tests must not decide what they see
    passed = threading.Event()
    ended: list[BaseException] = []
    handle: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[None]]] = []

    async def operate() -> None:
        watch = MemoryWatch(signals, tmp_path_factory.mktemp("pressure") / "pressure.json", time.time)
        task = asyncio.ensure_future(driver.run(backend, machine, watch, Metrics(), passed=passed.set))
        handle.append((asyncio.get_running_loop(), task))
        try:
            await task
        except asyncio.CancelledError:
            return
        except BaseException as error:
            ended.append(error)
            passed.set()

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KUBECONFIG", str(control_plane.operator_kubeconfig))
        thread = threading.Thread(target=lambda: asyncio.run(operate()))
        thread.start()
        try:
            assert passed.wait(SECONDS), "the operator made no pass"
            assert [str(error) for error in ended] == []
            yield backend
        finally:
            loop, task = handle[0]
            with contextlib.suppress(RuntimeError):  # it ended by itself
                loop.call_soon_threadsafe(task.cancel)
            thread.join(SECONDS)
            assert not thread.is_alive()


@pytest.fixture
def namespace(kubectl: Kubectl, request: pytest.FixtureRequest) -> Iterator[str]:
    name = f"t{abs(hash(request.node.name)) % 10**8}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def apply(kubectl: Kubectl, namespace: str, name: str, kind: str = "XnaiService", **spec: object) -> None:
    body = {"apiVersion": "xnai.dev/v1alpha1", "kind": kind, "metadata": {"name": name, "namespace": namespace}}
    done = kubectl("apply", "-f", "-", stdin=json.dumps({**body, "spec": spec}))
    assert done.returncode == 0, done.stderr


def wait(kubectl: Kubectl, namespace: str, target: str, condition: str) -> None:
    done = kubectl("-n", namespace, "wait", f"--for={condition}", target, f"--timeout={SECONDS}s")
    assert done.returncode == 0, done.stderr + kubectl("-n", namespace, "get", target, "-o", "yaml").stdout


def reason(name: str) -> str:
    return f'jsonpath={{.status.conditions[?(@.type=="Ready")].reason}}={name}'


def test_an_applied_service_becomes_ready(kubectl: Kubectl, backend: FakeBackend, namespace: str) -> None:
    apply(kubectl, namespace, "a", image="localhost/app:1")
    wait(kubectl, namespace, "xs/a", "condition=Ready")


def test_a_start_is_told_as_an_event(kubectl: Kubectl, backend: FakeBackend, namespace: str) -> None:
    apply(kubectl, namespace, "a", image="localhost/app:1")
    wait(kubectl, namespace, "xs/a", "condition=Ready")
    events = kubectl("-n", namespace, "get", "events", "-o", "jsonpath={.items[*].reason}").stdout
    assert "PodMissing" in events


def test_a_deleted_service_is_stopped(kubectl: Kubectl, backend: FakeBackend, namespace: str) -> None:
    apply(kubectl, namespace, "a", image="localhost/app:1")
    wait(kubectl, namespace, "xs/a", "condition=Ready")
    assert kubectl("-n", namespace, "delete", "xs", "a", "--timeout=10s").returncode == 0

    deadline = time.monotonic() + SECONDS
    while f"{namespace}.a" in asyncio.run(backend.observe()).pods:
        assert time.monotonic() < deadline, "the pod is still there"
        time.sleep(0.05)


def test_an_edit_replaces_the_pod(kubectl: Kubectl, backend: FakeBackend, namespace: str) -> None:
    apply(kubectl, namespace, "a", image="localhost/app:1")
    wait(kubectl, namespace, "xs/a", "condition=Ready")
    apply(kubectl, namespace, "a", image="localhost/app:1", env=[{"name": "X", "value": "1"}])
    wait(kubectl, namespace, "xs/a", "jsonpath={.status.observedGeneration}=2")
    wait(kubectl, namespace, "xs/a", "condition=Ready")
    assert backend.starts.count(f"{namespace}.a") == 2


TMPFS = [{"mountPath": "/data/cache", "size": "1Mi"}]


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"image": "localhost/missing:1"}, "ImageMissing"),
        ({"storage": {"secrets": [{"name": "none", "mountPath": "/s"}]}}, "SecretMissing"),
        ({"storage": {"config": [{"name": "none", "mountPath": "/s"}]}}, "ConfigMapMissing"),
        ({"dependsOn": ["nobody"]}, "DependencyMissing"),
        ({"dependsOn": ["a"]}, "DependencyCycle"),
        ({"storage": {"volumes": [{"name": "d", "mountPath": "/data"}], "tmpfs": TMPFS}}, "MountPathNested"),
        ({"storage": {"volumes": [{"name": "d", "mountPath": "/data/cache"}], "tmpfs": TMPFS}}, "MountPathDuplicate"),
        ({"inference": {"model": {"file": "none.gguf"}}}, "ModelMissing"),
        ({"resources": {"requests": {"memory": "2Gi"}}}, "InsufficientMemory"),
    ],
)
def test_what_cannot_run_says_why(
    spec: dict[str, Any], why: str, kubectl: Kubectl, backend: FakeBackend, namespace: str
) -> None:
    apply(kubectl, namespace, "a", **({"image": "localhost/app:1"} | spec))
    wait(kubectl, namespace, "xs/a", reason(why))
    assert f"{namespace}.a" not in backend.starts


def test_two_services_on_one_host_port(kubectl: Kubectl, backend: FakeBackend, namespace: str) -> None:
    ports = [{"name": "http", "containerPort": 80, "hostPort": 18080}]
    apply(kubectl, namespace, "a", image="localhost/app:1", ports=ports)
    wait(kubectl, namespace, "xs/a", "condition=Ready")
    apply(kubectl, namespace, "b", image="localhost/app:1", ports=ports)
    wait(kubectl, namespace, "xs/b", reason("HostPortConflict"))
    wait(kubectl, namespace, "xs/a", "condition=Ready")


def test_a_policy_that_selects_nothing_says_so(kubectl: Kubectl, backend: FakeBackend, namespace: str) -> None:
    mounts = [{"mountPath": "/tmp", "size": "1Mi"}]
    apply(kubectl, namespace, "p", "TmpfsPolicy", selector={"matchLabels": {"app": "none"}}, mounts=mounts)
    wait(kubectl, namespace, "tp/p", reason("NoServiceSelected"))


def test_a_secret_made_later_lets_the_service_start(kubectl: Kubectl, backend: FakeBackend, namespace: str) -> None:
    apply(kubectl, namespace, "a", image="localhost/app:1", storage={"secrets": [{"name": "s", "mountPath": "/s"}]})
    wait(kubectl, namespace, "xs/a", reason("SecretMissing"))
    kubectl("-n", namespace, "create", "secret", "generic", "s", "--from-literal=k=v")
    wait(kubectl, namespace, "xs/a", "condition=Ready")
