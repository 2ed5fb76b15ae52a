"""Which mounts may be on disk, and the budgets of policies."""

from dataclasses import replace

import pytest

from tests.unit.conftest import make_service
from tests.unit.tmpfs.policies import policy
from xnai_operator.api.quantity import MI
from xnai_operator.api.resources import TmpfsPolicy, XnaiService
from xnai_operator.tmpfs.fallback import Budgets, may_be_on_disk
from xnai_operator.tmpfs.mounts import merged

OWN = make_service(storage={"tmpfs": [{"mountPath": "/cache", "size": "1Mi"}]})
NOWHERE = frozenset[str]()


def take(budgets: Budgets, service: XnaiService, *policies: TmpfsPolicy, on_disk: frozenset[str] = NOWHERE) -> str:
    """The message of the budget that does not suffice; empty when all do."""
    exceeded = budgets.take(service, merged(service, policies), policies, on_disk)
    return "" if exceeded is None else exceeded.message


@pytest.mark.parametrize(
    ("service", "policies", "paths"),
    [
        pytest.param(make_service(), [policy(fallback="Volume")], {"/cache"}, id="Volume"),
        pytest.param(make_service(), [policy(fallback="Deny")], set(), id="Deny"),
        pytest.param(make_service(), [policy()], set(), id="the default"),
        pytest.param(
            make_service(),
            [policy("a", fallback="Volume"), policy("b", path="/b")],
            {"/cache"},
            id="each mount by its own policy",
        ),
        pytest.param(
            make_service(),
            [policy("a", fallback="Volume"), policy("b", precedence=1)],
            set(),
            id="the higher precedence decides",
        ),
        pytest.param(OWN, [policy(fallback="Volume")], set(), id="a mount of the service itself"),
    ],
)
def test_only_a_policy_lets_a_mount_be_on_disk(
    service: XnaiService, policies: list[TmpfsPolicy], paths: set[str]
) -> None:
    assert may_be_on_disk(service, merged(service, policies), tuple(policies)) == paths


def test_services_use_up_a_budget_one_after_the_other() -> None:
    budgets, given = Budgets(0), policy(budget="8Mi")
    assert [take(budgets, make_service(name), given) for name in "abc"] == [
        "",
        "",
        "TmpfsPolicy p: the service's mounts need 4 MiB, and other services use 8 MiB of the budget of 8Mi; "
        "raise spec.budget, or set fallback: Volume",
    ]


def test_a_service_that_exceeds_one_budget_uses_up_none() -> None:
    roomy, tight = policy("roomy", path="/roomy", budget="4Mi"), policy("tight", budget="1Mi")
    budgets = Budgets(0)
    assert "TmpfsPolicy tight" in take(budgets, make_service("a"), roomy, tight)
    assert take(budgets, make_service("b"), roomy) == ""
    assert take(budgets, make_service("c"), roomy) != ""


def test_a_service_that_exceeds_a_budget_leaves_it_to_others() -> None:
    mounts = [{"mountPath": "/a", "size": "4Mi"}, {"mountPath": "/b", "size": "4Mi"}]
    budgets, given = Budgets(0), policy(mounts=mounts, budget="6Mi")
    assert "need 8 MiB" in take(budgets, make_service("a"), given)
    assert take(budgets, make_service("b"), given, on_disk=frozenset({"/b"})) == ""


@pytest.mark.parametrize(
    ("service", "on_disk"),
    [
        pytest.param(make_service(), frozenset({"/cache"}), id="mounts on disk"),
        pytest.param(OWN, NOWHERE, id="mounts of the service itself"),
    ],
)
def test_no_budget_counts(service: XnaiService, on_disk: frozenset[str]) -> None:
    assert take(Budgets(0), service, policy(budget="1"), on_disk=on_disk) == ""


def test_without_a_budget_there_is_no_bound() -> None:
    assert take(Budgets(0), make_service(), policy(size="1Ti")) == ""


def test_each_mount_of_a_service_counts() -> None:
    mounts = [{"mountPath": "/a", "size": "3Mi"}, {"mountPath": "/b", "size": "2Mi"}]
    assert "need 5 MiB" in take(Budgets(0), make_service(), policy(mounts=mounts, budget="4Mi"))


@pytest.mark.parametrize(
    ("memory", "message"),
    [
        pytest.param(40 * MI, "", id="suffices"),
        pytest.param(
            30 * MI,
            "TmpfsPolicy p: the service's mounts need 4 MiB, and other services use 0 MiB of the budget of 10% of the "
            "node's memory, 3 MiB; raise spec.budget, or set fallback: Volume",
            id="does not suffice",
        ),
    ],
)
def test_a_budget_may_be_a_share_of_the_nodes_memory(memory: int, message: str) -> None:
    assert take(Budgets(memory), make_service(), policy(budget="10%")) == message


def test_policies_of_one_name_in_two_namespaces_have_two_budgets() -> None:
    budgets = Budgets(0)
    for namespace in ("default", "other"):
        service = replace(make_service(), namespace=namespace)
        assert take(budgets, service, policy(budget="4Mi", namespace=namespace)) == ""
