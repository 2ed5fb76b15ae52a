"""The pod of a service: when it is another one, and what never stands in it."""

from typing import Any

import pytest

from tests.unit.conftest import make_service, render
from xnai_operator.api.contents import Contents
from xnai_operator.render import names
from xnai_operator.render.installation import Installation
from xnai_operator.render.variant import Variant

SECRETS = {"secrets": [{"name": "s", "mountPath": "/s"}]}
ONE: Contents = {("Secret", "s"): {"k": b"one"}}


@pytest.mark.parametrize(
    ("spec", "changes"),
    [
        pytest.param({}, False, id="nothing"),
        pytest.param({"priority": 5}, False, id="priority"),
        pytest.param({"suspend": True}, False, id="suspend"),
        pytest.param({"dependsOn": ["b"]}, False, id="dependency"),
        pytest.param({"health": {"readiness": {"tcpSocket": {"port": 1}}}}, False, id="probe"),
        pytest.param({"network": {"peers": ["b"]}}, False, id="peer"),
        pytest.param({"args": ["x"]}, True, id="arguments"),
        pytest.param({"env": [{"name": "A", "value": "1"}]}, True, id="variable"),
        pytest.param({"ports": [{"name": "p", "containerPort": 1}]}, True, id="port"),
        pytest.param({"resources": {"limits": {"memory": "1Gi"}}}, True, id="limit"),
        pytest.param({"security": {"runAsUser": 5}}, True, id="user"),
        pytest.param({"security": {"userNamespace": "Auto"}}, True, id="user namespace"),
        pytest.param({"network": {"mode": "Alone"}}, True, id="network"),
        pytest.param({"storage": {"tmpfs": [{"mountPath": "/new", "size": "1Mi"}]}}, True, id="new tmpfs"),
        pytest.param({"storage": {"tmpfs": [{"mountPath": "/tmp", "size": "99Mi"}]}}, False, id="size of a tmpfs"),
        pytest.param(
            {"storage": {"tmpfs": [{"mountPath": "/tmp", "size": "16Mi", "mode": "0700"}]}}, True, id="mode of a tmpfs"
        ),
    ],
)
def test_what_makes_another_pod(spec: dict[str, Any], changes: bool, installation: Installation) -> None:
    changed, before = render(make_service(**spec), installation), render(make_service(), installation)
    assert (changed.hash != before.hash, changed.sections != before.sections) == (changes, changes)


def test_another_content_of_a_secret_makes_another_pod_and_directory(installation: Installation) -> None:
    service = make_service(storage=SECRETS)
    one, two = render(service, installation, ONE), render(service, installation, {("Secret", "s"): {"k": b"two"}})
    assert (one.hash != two.hash, one.files[0].source != two.files[0].source) == (True, True)


def test_a_secret_is_not_in_the_document_nor_in_the_representation(installation: Installation) -> None:
    pod = render(make_service(storage=SECRETS), installation, {("Secret", "s"): {"k": b"hunter2"}})
    assert "hunter2" not in f"{pod.document}{pod!r}"


def test_the_variant_alone_makes_no_other_pod(installation: Installation) -> None:
    declared = render(make_service(), installation)
    reduced = render(make_service(), installation, variant=Variant(reduced=True))
    assert (reduced.hash, reduced.variant) == (declared.hash, Variant(reduced=True))


@pytest.mark.parametrize(
    ("namespace", "service", "host_name"),
    [
        pytest.param("n" * 31, "s" * 31, None, id="63 characters: the pod's name"),
        pytest.param("n" * 31, "s" * 32, "s" * 32, id="64 characters: the service's name"),
        pytest.param("n", "s" * 63, "s" * 63, id="the longest label"),
        pytest.param("n", "s" * 62 + "-end", "s" * 62, id="a service's name that is cut ends with no hyphen"),
        pytest.param("n", "s" * 61 + ".-e", "s" * 61, id="a service's name that is cut ends with no dot"),
    ],
)
def test_the_host_name_is_short_enough(namespace: str, service: str, host_name: str | None) -> None:
    assert names.host_name(namespace, service) == host_name


def test_a_pod_of_a_long_name_has_the_host_name(installation: Installation) -> None:
    assert render(make_service("s" * 60), installation).document["spec"]["hostname"] == "s" * 60
    assert "hostname" not in render(make_service(), installation).document["spec"]
