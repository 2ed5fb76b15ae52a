"""Which pods may open connections to which."""

import pytest

from tests.unit.conftest import make_service
from xnai_operator.api.resources import XnaiService
from xnai_operator.plan.ingress import ingress


@pytest.mark.parametrize(
    ("services", "expected"),
    [
        pytest.param([make_service("a")], {"default.a": set()}, id="nobody names it"),
        pytest.param(
            [make_service("a"), make_service("b", dependsOn=["a"]), make_service("c")],
            {"default.a": {"default.b"}, "default.b": set(), "default.c": set()},
            id="a dependant",
        ),
        pytest.param(
            [make_service("a"), make_service("b", network={"peers": ["a"]})],
            {"default.a": {"default.b"}, "default.b": set()},
            id="a peer",
        ),
        pytest.param(
            [make_service("a"), make_service("b", dependsOn=["a"], network={"peers": ["a"]})],
            {"default.a": {"default.b"}, "default.b": set()},
            id="a dependant and peer",
        ),
        pytest.param(
            [make_service("a"), make_service("b", dependsOn=["a"]), make_service("c", dependsOn=["b"])],
            {"default.a": {"default.b"}, "default.b": {"default.c"}, "default.c": set()},
            id="not the dependants of a dependant",
        ),
        pytest.param([make_service("a", network={"peers": ["gone"]})], {"default.a": set()}, id="a missing peer"),
        pytest.param([make_service("a", network={"mode": "Alone"})], {}, id="a pod alone on its network"),
    ],
)
def test_only_a_service_that_names_another_reaches_it(
    services: list[XnaiService], expected: dict[str, set[str]]
) -> None:
    assert ingress({service.key: service for service in services}) == expected
