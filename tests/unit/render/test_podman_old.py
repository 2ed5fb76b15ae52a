"""What a change of a resource changes in the pod."""

from typing import Any

import pytest

from tests.unit.conftest import make_service, render
from xnai_operator.api.contents import Contents
from xnai_operator.render.installation import Installation
from xnai_operator.render.pod import RenderedPod

SECRET: Contents = {("Secret", "s"): {"k": b"one"}}


def pod(installation: Installation, contents: Contents | None = None, **spec: Any) -> RenderedPod:
    service = make_service(**spec)
    return render(service, installation, contents)


def test_the_hash_is_a_label_and_no_plain_digest(installation: Installation) -> None:
    one = pod(installation)
    other = pod(Installation(installation.runtime_dir, installation.models_dir, b"x" * 32))
    assert one.document["metadata"]["labels"]["xnai.dev/spec-hash"] == one.hash
    assert one.hash != other.hash


@pytest.mark.parametrize(
    ("spec", "changes"),
    [
        ({}, False),
        ({"priority": 5}, False),
        ({"suspend": True}, False),
        ({"dependsOn": ["b"]}, False),
        ({"health": {"readiness": {"tcpSocket": {"port": 1}}}}, False),
        ({"args": ["x"]}, True),
        ({"env": [{"name": "A", "value": "1"}]}, True),
        ({"ports": [{"name": "p", "containerPort": 1}]}, True),
        ({"resources": {"limits": {"memory": "1Gi"}}}, True),
        ({"security": {"runAsUser": 5}}, True),
        ({"security": {"userNamespace": "Auto"}}, True),
        ({"network": {"mode": "Alone"}}, True),
        ({"storage": {"tmpfs": [{"mountPath": "/new", "size": "1Mi"}]}}, True),
        ({"storage": {"tmpfs": [{"mountPath": "/tmp", "size": "99Mi"}]}}, False),
        ({"storage": {"tmpfs": [{"mountPath": "/tmp", "size": "16Mi", "mode": "0700"}]}}, True),
    ],
)
def test_what_makes_another_pod(spec: dict[str, Any], changes: bool, installation: Installation) -> None:
    assert (pod(installation, **spec).hash != pod(installation).hash) == changes


def test_another_content_of_a_secret_makes_another_pod_and_directory(installation: Installation) -> None:
    storage = {"secrets": [{"name": "s", "mountPath": "/s"}]}
    one = pod(installation, SECRET, storage=storage)
    two = pod(installation, {("Secret", "s"): {"k": b"two"}}, storage=storage)
    assert (one.hash != two.hash, one.files[0].source != two.files[0].source) == (True, True)


def test_a_secret_is_not_in_the_document_nor_in_the_representation(installation: Installation) -> None:
    one = pod(
        installation, {("Secret", "s"): {"k": b"hunter2"}}, storage={"secrets": [{"name": "s", "mountPath": "/s"}]}
    )
    assert "hunter2" not in f"{one.document}{one!r}"


@pytest.mark.parametrize(
    ("limit", "asked", "threads"),
    [(None, None, "2"), ("1", None, "1"), ("1500m", None, "2"), ("8", None, "2"), ("2", 1, "1")],
)
def test_threads_follow_the_limit(
    limit: str | None, asked: int | None, threads: str, installation: Installation
) -> None:
    inference: dict[str, Any] = {"model": {"file": "m.gguf"}} | ({"threads": asked} if asked else {})
    resources = {"limits": {"cpu": limit}} if limit else {}
    document = pod(installation, inference=inference, resources=resources).document
    env = {entry["name"]: entry["value"] for entry in document["spec"]["containers"][0]["env"]}
    assert env["XNAI_THREADS"] == threads


def test_ports_are_on_loopback_unless_asked(installation: Installation) -> None:
    ports = [
        {"name": "a", "containerPort": 1, "hostPort": 1001},
        {"name": "b", "containerPort": 2, "hostPort": 1002, "hostIP": "0.0.0.0"},
        {"name": "c", "containerPort": 3},
    ]
    rendered = pod(installation, ports=ports).document["spec"]["containers"][0]["ports"]
    assert [(p.get("hostIP"), p.get("hostPort")) for p in rendered] == [
        ("127.0.0.1", 1001), ("0.0.0.0", 1002), (None, None),
    ]  # fmt: skip


def test_a_size_is_rounded_up_to_a_page(installation: Installation) -> None:
    rendered = pod(installation, storage={"tmpfs": [{"mountPath": "/odd", "size": "5000"}]})
    assert next(t.size for t in rendered.tmpfs if t.mount_path == "/odd") == 8192
