"""What the real API server accepts and refuses, with the field's path."""

import json

import pytest

from tests.cluster.conftest import Kubectl


def manifest(spec: dict[str, object], kind: str = "XnaiService", name: str = "x") -> str:
    return json.dumps({"apiVersion": "xnai.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec})


def test_the_server_says_its_version(kubectl: Kubectl) -> None:
    assert json.loads(kubectl("version", "-o", "json").stdout)["serverVersion"]["gitVersion"] == "v1.37.2"


def test_a_small_service_is_accepted_and_defaulted(kubectl: Kubectl) -> None:
    done = kubectl("apply", "--dry-run=server", "-o", "json", "-f", "-", stdin=manifest({"image": "a"}))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["spec"]["security"]["readOnlyRootFilesystem"] is True


@pytest.mark.parametrize("address", ["", "127.0.0.1", "0.0.0.0", "::1"])
def test_an_address_of_a_port_is_accepted(address: str, kubectl: Kubectl) -> None:
    port = {"name": "http", "containerPort": 80, "hostPort": 8000, "hostIP": address}
    done = kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifest({"image": "a", "ports": [port]}))
    assert done.returncode == 0, done.stderr


PROBE = {"httpGet": {"port": 80}, "tcpSocket": {"port": 80}}


@pytest.mark.parametrize(
    ("spec", "text"),
    [
        *[
            pytest.param(
                {"image": "a", "ports": [{"name": "http", "containerPort": 80, "hostPort": 8000, "hostIP": address}]},
                "hostIP must be an IP address of this machine",
                id=f"hostIP {address}",
            )
            for address in ("localhost", "192.168.1.999")
        ],
        pytest.param({"image": "localhost/app:1 "}, "spec.image", id="blank after the image"),
        ({"imag": "a"}, 'unknown field "spec.imag"'),
        ({}, "spec.image"),
        ({"image": "a", "ports": [{"name": "http", "containerPort": 70000}]}, "spec.ports[0].containerPort"),
        ({"image": "a", "security": {"runAsUser": 0}}, "spec.security.runAsUser"),
        ({"image": "a", "health": {"readiness": PROBE}}, "exactly one of httpGet, tcpSocket and exec"),
        ({"image": "a", "network": {"mode": "Alone"}, "dependsOn": ["b"]}, "alone on its network"),
        ({"image": "a", "inference": {"model": {"file": "m.gguf", "url": "https://h/m"}}}, "needs its sha256"),
        ({"image": "a", "inference": {"model": {"file": "m.gguf"}, "parallel": 2}}, "parallel must be 1"),
        ({"image": "a", "storage": {"tmpfs": [{"mountPath": "/t", "size": "1MB"}]}}, "spec.storage.tmpfs[0].size"),
        ({"image": "a", "storage": {"tmpfs": [{"mountPath": "/t", "size": "0"}]}}, "a size of 0 is no limit"),
        ({"image": "a", "storage": {"tmpfs": [{"mountPath": "/t", "size": "0.0G"}]}}, "a size of 0 is no limit"),
        ({"image": "a", "storage": {"tmpfs": [{"mountPath": "/t", "size": "64m"}]}}, "m is thousandths of a byte"),
        ({"image": "a", "resources": {"requests": {"memory": "512m"}}}, "m is thousandths of a byte"),
        ({"image": "a", "resources": {"limits": {"memory": "512m"}}}, "m is thousandths of a byte"),
        (
            {
                "image": "a",
                "storage": {"tmpfs": [{"mountPath": "/t", "size": "1Mi"}, {"mountPath": "/t", "size": "2Mi"}]},
            },
            "spec.storage.tmpfs[1]",
        ),
    ],
)
def test_a_wrong_resource_is_refused_with_the_path(spec: dict[str, object], text: str, kubectl: Kubectl) -> None:
    done = kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifest(spec))
    assert done.returncode == 1
    assert text in done.stderr


@pytest.mark.parametrize("name", ["qwen2.5", "a." + "b" * 60])
def test_a_name_that_is_no_host_name_is_refused_in_words(name: str, kubectl: Kubectl) -> None:
    done = kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifest({"image": "a"}, name=name))
    assert (done.returncode, "metadata.name must be a DNS label" in done.stderr) == (1, True)


@pytest.mark.parametrize("name", ["08", "1e3", "a" * 63])
def test_any_dns_label_is_a_name(name: str, kubectl: Kubectl) -> None:
    done = kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifest({"image": "a"}, name=name))
    assert done.returncode == 0, done.stderr


def test_cpu_may_be_in_thousandths(kubectl: Kubectl) -> None:
    spec: dict[str, object] = {"image": "a", "resources": {"limits": {"cpu": "250m"}}}
    assert kubectl("apply", "--dry-run=server", "-f", "-", stdin=manifest(spec)).returncode == 0


def test_the_documentation_reaches_kubectl_explain(kubectl: Kubectl) -> None:
    assert "hard limit (ENOSPC)" in kubectl("explain", "xnaiservice.spec.storage.tmpfs").stdout


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("xs", "XnaiService runs one service as one pod", id="XnaiService"),
        pytest.param("tp", "TmpfsPolicy declares tmpfs mounts", id="TmpfsPolicy"),
    ],
)
def test_a_kind_is_explained_by_what_it_is(name: str, text: str, kubectl: Kubectl) -> None:
    assert text in " ".join(kubectl("explain", name).stdout.split())


def test_the_short_names_and_the_category_work(kubectl: Kubectl) -> None:
    assert [kubectl("get", name).returncode for name in ("xs,tp", "xnai")] == [0, 0]


def test_a_deleted_namespace_goes(kubectl: Kubectl) -> None:
    kubectl("create", "namespace", "short-lived")
    assert kubectl("delete", "namespace", "short-lived", "--timeout=30s").returncode == 0
