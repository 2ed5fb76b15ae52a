"""A probe as a request: which ports others reach."""

from typing import Any

import pytest

from tests.unit.conftest import make_service
from xnai_operator.health.probe import request

ALONE = {"mode": "Alone"}


@pytest.mark.parametrize("kind", ["httpGet", "tcpSocket"])
@pytest.mark.parametrize(
    ("network", "port", "reached"),
    [
        pytest.param({"mode": "Namespace"}, 80, True, id="on the bridge"),
        pytest.param(ALONE, 80, False, id="alone, not published"),
        pytest.param(ALONE, 81, True, id="alone, published"),
    ],
)
def test_a_port_is_one_that_others_reach_or_not(network: dict[str, str], port: int, reached: bool, kind: str) -> None:
    ports: list[dict[str, Any]] = [
        {"name": "http", "containerPort": 80},
        {"name": "users", "containerPort": 81, "hostPort": 8081},
    ]
    service = make_service("a", network=network, ports=ports, health={"readiness": {kind: {"port": port}}})
    assert service.spec.health.readiness is not None
    assert request(service.spec, service.spec.health.readiness).reached is reached
