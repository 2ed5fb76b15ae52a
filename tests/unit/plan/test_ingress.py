"""Who may connect to whom."""

from tests.unit.conftest import make_service
from xnai_operator.plan.ingress import ingress


def test_who_names_a_service_reaches_it_and_nobody_else() -> None:
    services = [
        make_service("redis"),
        make_service("api", dependsOn=["redis"]),
        make_service("ui", dependsOn=["api"], network={"peers": ["docs", "gone"]}),
        make_service("docs"),
        make_service("alone", network={"mode": "Alone"}),
    ]
    assert ingress({service.key: service for service in services}) == {
        "default.redis": {"default.api"},
        "default.api": {"default.ui"},
        "default.docs": {"default.ui"},
        "default.ui": frozenset(),
    }
