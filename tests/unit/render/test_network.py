"""Ports and bridges."""

from typing import Any

import pytest

from tests.unit.conftest import make_service
from xnai_operator.render import network
from xnai_operator.render.pod import NetworkAttachment


@pytest.mark.parametrize(
    ("port", "expected"),
    [
        pytest.param({"hostPort": 1001}, ("127.0.0.1", 1001), id="on loopback unless asked"),
        pytest.param({"hostPort": 1002, "hostIP": "0.0.0.0"}, ("0.0.0.0", 1002), id="as asked"),
        pytest.param({}, (None, None), id="not published"),
    ],
)
def test_where_a_port_is_published(port: dict[str, Any], expected: tuple[str | None, int | None]) -> None:
    (rendered,) = network.ports(make_service(ports=[{"name": "a", "containerPort": 1, **port}]))
    assert (rendered.get("hostIP"), rendered.get("hostPort")) == expected


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        pytest.param(
            "Namespace",
            NetworkAttachment(
                "xnai-default",
                ("redis", "redis.default", "redis.default.svc", "redis.default.svc.cluster.local"),
                1500,
            ),
            id="the bridge of the namespace, under the names of Kubernetes",
        ),
        pytest.param("Alone", NetworkAttachment(None, (), 1500), id="a network of its own"),
    ],
)
def test_the_network_of_a_pod(mode: str, expected: NetworkAttachment) -> None:
    assert network.attachment(make_service(network={"mode": mode})) == expected
