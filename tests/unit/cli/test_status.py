"""Which services count as well, how a table tells them apart, and where a service answers."""

from typing import Any

import pytest

from xnai_operator.api.conditions import Reason
from xnai_operator.cli import status, up
from xnai_operator.cli.readiness import readiness, settled
from xnai_operator.cli.status import url


def published(**port: Any) -> dict[str, Any]:
    return {"name": "http", "containerPort": 80, "hostPort": 8000, **port}


@pytest.mark.parametrize(
    ("ports", "expected"),
    [
        pytest.param([published()], "http://127.0.0.1:8000/", id="default"),
        pytest.param([published(hostIP="")], "http://127.0.0.1:8000/", id="empty means the default"),
        pytest.param([published(hostIP="0.0.0.0")], "http://127.0.0.1:8000/", id="all addresses"),
        pytest.param([published(hostIP="::1")], "http://[::1]:8000/", id="brackets around IPv6"),
        pytest.param([published(hostIP="::")], "http://[::1]:8000/", id="all IPv6 addresses"),
        pytest.param([published(protocol="UDP")], "", id="UDP has no page"),
        pytest.param([{"name": "http", "containerPort": 80}], "", id="not published"),
    ],
)
def test_the_url_can_be_opened(ports: list[dict[str, Any]], expected: str) -> None:
    assert url({"metadata": {"name": "x"}, "spec": {"image": "a", "ports": ports}}) == expected


def body(*, ready: bool = False, suspend: bool = False) -> dict[str, Any]:
    condition = {
        "type": "Ready",
        "status": str(ready),
        "reason": Reason.SUSPENDED.value if suspend else "X",
        "message": "m",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    return {
        "metadata": {"name": "a", "generation": 1},
        "spec": {"suspend": suspend},
        "status": {"observedGeneration": 1, "conditions": [condition]},
    }


@pytest.mark.parametrize(
    ("found", "waited_for"),
    [
        pytest.param(body(ready=True), False, id="Ready"),
        pytest.param(body(suspend=True), False, id="suspended"),
        pytest.param({"metadata": {"name": "a"}, "spec": {"suspend": True}}, False, id="suspended and never seen"),
        pytest.param(body(), True, id="not Ready"),
    ],
)
def test_which_services_are_waited_for(found: dict[str, Any], waited_for: bool) -> None:
    assert settled(found) is not waited_for


def test_a_suspended_service_is_called_so() -> None:
    assert readiness(body(suspend=True)) == (False, "Suspended")


@pytest.mark.parametrize(
    ("namespaces", "asked", "column"),
    [
        pytest.param(["default", "default"], False, False, id="one namespace"),
        pytest.param(["default", "other"], False, True, id="several namespaces"),
        pytest.param(["default"], True, True, id="asked for"),
        pytest.param([], False, False, id="no service"),
    ],
)
def test_when_the_namespace_is_a_column(namespaces: list[str], asked: bool, column: bool) -> None:
    rows = [{"namespace": namespace} for namespace in namespaces]
    assert ("namespace" in status.columns(rows, all_namespaces=asked)) is column


def test_what_stays_as_the_user_has_it_is_said_with_the_way_back() -> None:
    lines = up.kept_lines(up.Outcome({"XnaiService/default/a": [".spec.image"]}, ["XnaiService/default/b"]))
    assert lines[1:3] == [
        "XnaiService/default/a: your changes stay: .spec.image",
        "XnaiService/default/b: you deleted it, and it stays deleted",
    ]
    assert "xnai up --reset" in lines[3]


def test_nothing_is_said_when_all_is_as_shipped() -> None:
    assert up.kept_lines(up.Outcome({}, [])) == []
