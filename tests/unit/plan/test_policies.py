"""What the status of a policy and of its services says."""

from tests.unit.conftest import make_service
from tests.unit.plan.states import NOW, facts, policy, ready
from xnai_operator.api.conditions import Reason
from xnai_operator.plan.decide import decide
from xnai_operator.render.installation import Installation


def test_a_policy_that_selects_nothing_says_so(installation: Installation) -> None:
    unused = policy(selector={"matchLabels": {"app": "none"}})
    plan = decide(facts(make_service(), installation=installation, policies=(unused,)), NOW)
    (condition,) = plan.policies["default.p"].conditions
    assert (condition.reason, "app=none" in condition.message) == (Reason.NO_SERVICE_SELECTED, True)


def test_a_conflict_of_policies_is_told_and_disturbs_nobody_else(installation: Installation) -> None:
    policies = tuple(
        policy(name, selector={"matchLabels": {"app": "redis"}}, mounts=[{"mountPath": "/cache", "size": size}])
        for name, size in (("one", "1Mi"), ("two", "2Mi"))
    )
    plan = decide(facts(make_service(), make_service("other"), installation=installation, policies=policies), NOW)
    assert ready(plan, "redis") == (False, Reason.POLICY_CONFLICT)
    assert [a.name for a in plan.actions] == ["default.other"]
