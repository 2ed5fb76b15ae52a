"""The containers of a pod."""

from typing import Any

import pytest

from tests.unit.conftest import make_service
from xnai_operator.render import containers

MOUNTS = [{"name": "v0", "mountPath": "/tmp"}]


def test_a_field_without_content_is_left_out() -> None:
    assert containers.main(make_service(), [], cores=1).keys() == {
        "name",
        "image",
        "imagePullPolicy",
        "securityContext",
    }


def test_the_inference_contract_holds_over_declared_variables() -> None:
    env = [{"name": "A", "value": "1"}, {"name": "XNAI_MODEL", "value": "mine"}]
    service = make_service(env=env, inference={"model": {"file": "m.gguf"}})
    rendered = {e["name"]: e["value"] for e in containers.main(service, [], cores=1)["env"]}
    assert (rendered["A"], rendered["XNAI_MODEL"]) == ("1", "/models/m.gguf")


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        pytest.param({"resources": {"limits": {"memory": "1Gi"}}}, {"limits": {"memory": "1Gi"}}, id="limit"),
        pytest.param({"resources": {"requests": {"memory": "1Gi"}}}, {"requests": {"memory": "1Gi"}}, id="request"),
        pytest.param(
            {"inference": {"model": {"file": "m.gguf"}, "device": "vulkan"}},
            {"limits": {"podman.io/device=/dev/dri/renderD128": 1}},
            id="GPU",
        ),
    ],
)
def test_resources(spec: dict[str, Any], expected: dict[str, Any]) -> None:
    assert containers.main(make_service(**spec), [], cores=1)["resources"] == expected


@pytest.mark.parametrize(
    ("declared", "image"),
    [pytest.param({}, "localhost/app:1", id="the service's"), pytest.param({"image": "b:1"}, "b:1", id="its own")],
)
def test_an_init_container_has_the_service_s_mounts_and_rights(declared: dict[str, str], image: str) -> None:
    service = make_service(initContainers=[{"name": "main", "command": ["x"], **declared}])
    (init,) = containers.init(service, MOUNTS)
    assert (init["name"], init["image"], init["volumeMounts"]) == ("initmain", image, MOUNTS)
    assert init["securityContext"] == containers.main(service, MOUNTS, cores=1)["securityContext"]
