"""`xnai up` applies to the real API server: what the user changed stays."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.cluster.conftest import Kubectl
from xnai_controlplane import ControlPlane
from xnai_operator.kube.applier import Applier
from xnai_operator.kube.client import KubeClient

NAME = "owned"
OBJECT = f"XnaiService/default/{NAME}"


@pytest.fixture
async def api(control_plane: ControlPlane, kubectl: Kubectl) -> AsyncIterator[KubeClient]:
    client = await KubeClient.connect(control_plane.kubeconfig)
    yield client
    await client.close()
    kubectl("delete", "xs", NAME, "--ignore-not-found")
    kubectl("delete", "configmap", "xnai-applied", "--ignore-not-found")


def shipped(**spec: Any) -> dict[str, Any]:
    limits = {"limits": {"memory": "1Gi", "cpu": "2"}}
    body = {"image": "a:1", "resources": limits, "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]}
    return {
        "apiVersion": "xnai.dev/v1alpha1",
        "kind": "XnaiService",
        "metadata": {"name": NAME},
        "spec": {**body, **spec},
    }


async def apply(api: KubeClient, body: dict[str, Any], *, reset: bool = False, recreate: bool = False) -> Applier:
    applier = Applier(api, reset=reset, recreate=recreate)
    await applier.load()
    await applier.apply(body)
    await applier.save()
    return applier


def patch(kubectl: Kubectl, change: dict[str, Any]) -> None:
    done = kubectl("patch", "xs", NAME, "--type=merge", "-p", json.dumps({"spec": change}))
    assert done.returncode == 0, done.stderr


def spec(kubectl: Kubectl) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(kubectl("get", "xs", NAME, "-o", "json").stdout)["spec"]
    return found


@pytest.mark.parametrize(
    "image", [pytest.param("a:1", id="the same again"), pytest.param("a:2", id="a new version is shipped")]
)
@pytest.mark.parametrize(
    ("change", "path"),
    [
        pytest.param({"resources": {"limits": {"memory": "3Gi"}}}, ".spec.resources.limits.memory", id="changed"),
        pytest.param({"resources": {"limits": {"memory": None}}}, ".spec.resources.limits.memory", id="removed"),
        pytest.param({"env": [{"name": "A", "value": "1"}]}, ".spec.env[B]", id="removed from a list"),
        pytest.param({"suspend": True}, "", id="added"),
    ],
)
async def test_what_the_user_changed_stays(
    change: dict[str, Any], path: str, image: str, api: KubeClient, kubectl: Kubectl
) -> None:
    await apply(api, shipped())
    patch(kubectl, change)
    wanted = spec(kubectl)
    again = await apply(api, shipped(image=image))
    assert spec(kubectl) == {**wanted, "image": image}
    assert again.kept == ({OBJECT: [path]} if path else {})


async def test_a_new_value_is_shipped_for_a_field_the_user_owns(api: KubeClient, kubectl: Kubectl) -> None:
    await apply(api, shipped())
    patch(kubectl, {"image": "mine", "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "mine"}]})
    wanted = spec(kubectl)
    new = shipped(image="a:2", env=[{"name": "A", "value": "1"}, {"name": "B", "value": "3"}])
    again = await apply(api, new)
    assert spec(kubectl) == wanted
    assert again.kept == {OBJECT: ['.spec.env[name="B"].value', ".spec.image"]}


async def test_a_new_value_is_taken_for_what_the_user_left(api: KubeClient, kubectl: Kubectl) -> None:
    await apply(api, shipped())
    await apply(api, shipped(image="a:2", env=[]))
    assert (spec(kubectl)["image"], spec(kubectl).get("env")) == ("a:2", [])


async def test_an_object_of_kubectl_apply_is_not_taken_over(api: KubeClient, kubectl: Kubectl) -> None:
    assert kubectl("apply", "-f", "-", stdin=json.dumps(shipped(image="mine"))).returncode == 0
    again = await apply(api, shipped())
    assert spec(kubectl)["image"] == "mine"
    assert again.kept == {OBJECT: [".spec.image"]}


async def test_nothing_is_written_when_nothing_changed(api: KubeClient, kubectl: Kubectl) -> None:
    def version() -> str:
        return kubectl("get", "xs", NAME, "-o", "jsonpath={.metadata.resourceVersion}").stdout

    await apply(api, shipped())
    before = version()
    await apply(api, shipped())
    assert version() == before


async def test_reset_takes_the_shipped_state(api: KubeClient, kubectl: Kubectl) -> None:
    await apply(api, shipped())
    wanted = spec(kubectl)
    patch(kubectl, {"image": "mine", "env": [{"name": "A", "value": "1"}]})
    await apply(api, shipped(), reset=True)
    assert spec(kubectl) == wanted


@pytest.mark.parametrize(
    ("options", "there"),
    [
        pytest.param({}, False, id="up"),
        pytest.param({"recreate": True}, True, id="up -f"),
        pytest.param({"reset": True}, True, id="up --reset"),
    ],
)
async def test_a_deleted_service(options: dict[str, bool], there: bool, api: KubeClient, kubectl: Kubectl) -> None:
    await apply(api, shipped())
    kubectl("delete", "xs", NAME)
    again = await apply(api, shipped(), **options)
    assert (kubectl("get", "xs", NAME).returncode == 0) is there
    assert again.deleted == ([] if there else [OBJECT])
