from typing import Any

import pytest

from xnai_operator.api import resources


def body(**spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": "redis", "namespace": "default"}, "spec": {"image": "x", **spec}}


def test_a_service_is_restricted_by_default() -> None:
    security = resources.service(body()).spec.security
    assert (security.run_as_user, security.read_only_root_filesystem, security.add_capabilities) == (1001, True, [])


def test_a_port_is_published_on_loopback_by_default() -> None:
    port = resources.service(body(ports=[{"name": "http", "containerPort": 80, "hostPort": 8080}])).spec.ports[0]
    assert port.host_ip == "127.0.0.1"


@pytest.mark.parametrize(
    ("spec", "path"),
    [
        pytest.param({"imagee": "y"}, "spec.imagee", id="unknown field"),
        pytest.param(
            {"ports": [{"name": "http", "containerPort": 0}]}, "spec.ports[0].containerPort", id="a port of 0"
        ),
        pytest.param(
            {"storage": {"tmpfs": [{"mountPath": "/tmp", "size": "1MB"}]}},
            "spec.storage.tmpfs[0].size",
            id="a wrong unit",
        ),
        pytest.param(
            {"storage": {"tmpfs": [{"mountPath": "tmp", "size": "1Mi"}]}},
            "spec.storage.tmpfs[0].mountPath",
            id="a relative path",
        ),
        pytest.param({"security": {"runAsUser": 0}}, "spec.security.runAsUser", id="root"),
        pytest.param(
            {"health": {"readiness": {"httpGet": {"port": 80, "path": "/a\r\nX: y"}}}},
            "spec.health.readiness.httpGet.path",
            id="a line break in a path",
        ),
        pytest.param(
            {"health": {"readiness": {"httpGet": {"port": 80, "path": "/a\x7f"}}}},
            "spec.health.readiness.httpGet.path",
            id="a control character in a path",
        ),
        pytest.param({"image": "localhost/app:1 "}, "spec.image", id="a blank after the image"),
        pytest.param(
            {"initContainers": [{"name": "a", "image": " a"}]},
            "spec.initContainers[0].image",
            id="a blank before the image",
        ),
    ],
)
def test_a_fault_names_the_field(spec: dict[str, Any], path: str) -> None:
    with pytest.raises(resources.InvalidResourceError, match=path.replace("[", r"\[")):
        resources.service(body(**spec))


@pytest.mark.parametrize("name", ["qwen2.5", "Redis", "-a", "a" * 64, ""])
def test_a_service_has_the_name_of_a_host(name: str) -> None:
    with pytest.raises(resources.InvalidResourceError, match=r"metadata\.name must be a DNS label"):
        resources.service({"metadata": {"name": name}, "spec": {"image": "a"}})


def test_the_path_of_a_probe_may_hold_blanks_and_letters_of_every_language() -> None:
    health = {"readiness": {"httpGet": {"port": 80, "path": "/a b/ü?q=1"}}}
    readiness = resources.service(body(health=health)).spec.health.readiness
    assert readiness is not None
    assert readiness.http_get is not None
    assert readiness.http_get.path == "/a b/ü?q=1"
