"""A service waits for the services it depends on."""

from tests.unit.conftest import make_service
from tests.unit.plan.states import NOW, READY, facts, ready, running
from xnai_operator.api.conditions import Reason
from xnai_operator.plan.decide import decide
from xnai_operator.render.installation import Installation


def test_a_dependant_waits_until_its_dependency_is_ready(installation: Installation) -> None:
    redis = make_service(health={"readiness": {"tcpSocket": {"port": 6379}}})
    api = make_service("api", dependsOn=["redis"])
    first = decide(facts(redis, api, installation=installation), NOW)
    assert [a.name for a in first.actions] == ["default.redis"]
    pods = running(redis, installation=installation)
    waiting = decide(facts(redis, api, installation=installation, pods=pods), NOW)
    assert ready(waiting, "api") == (False, Reason.DEPENDENCY_NOT_READY)
    probes = {"default.redis": READY}
    plan = decide(facts(redis, api, installation=installation, pods=pods, probes=probes), NOW)
    assert [a.name for a in plan.actions] == ["default.api"]
