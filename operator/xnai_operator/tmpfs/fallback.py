"""Mounts that may be on disk when memory is short, and the budgets of policies. Pure; bytes."""

from collections.abc import Iterable
from typing import NamedTuple

from xnai_operator.api.quantity import MI, share_to_bytes
from xnai_operator.api.resources import TmpfsPolicy, XnaiService
from xnai_operator.api.xnaiservice import TmpfsMount
from xnai_operator.tmpfs.mounts import policy_of, size_of


def may_be_on_disk(
    service: XnaiService, mounts: Iterable[TmpfsMount], policies: tuple[TmpfsPolicy, ...]
) -> frozenset[str]:
    """The paths of those mounts whose policy has `fallback: Volume`."""
    found = {mount.mount_path: policy_of(service, mount.mount_path, policies) for mount in mounts}
    return frozenset(path for path, policy in found.items() if policy is not None and policy.spec.fallback == "Volume")


class BudgetExceeded(NamedTuple):
    """The policy whose budget does not suffice for a service, and a message with the sum."""

    policy: TmpfsPolicy
    message: str


class Budgets:
    """The budgets of policies, which services use up one after the other. `memory`: the node's, in bytes."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._used: dict[str, int] = {}

    def take(
        self,
        service: XnaiService,
        mounts: Iterable[TmpfsMount],
        policies: tuple[TmpfsPolicy, ...],
        on_disk: frozenset[str],
    ) -> BudgetExceeded | None:
        """Take the sizes of the service's mounts, except those `on_disk`, from the budgets of their policies.

        When one of the budgets does not suffice, nothing is taken from any, and the first such policy is returned.
        """
        asked: dict[str, tuple[TmpfsPolicy, int]] = {}
        for mount in mounts:
            policy = policy_of(service, mount.mount_path, policies)
            if policy is not None and mount.mount_path not in on_disk:
                before = asked.get(policy.key, (policy, 0))[1]
                asked[policy.key] = (policy, before + size_of(mount))
        for policy, size in asked.values():
            if (message := self._exceeded(policy, size)) is not None:
                return BudgetExceeded(policy, message)
        for key, (_, size) in asked.items():
            self._used[key] = self._used.get(key, 0) + size
        return None

    def _exceeded(self, policy: TmpfsPolicy, size: int) -> str | None:
        """Why the rest of the policy's budget does not suffice for `size`; None when it does."""
        budget, used = policy.spec.budget, self._used.get(policy.key, 0)
        if budget is None or used + size <= (total := share_to_bytes(budget, self._memory)):
            return None
        share = f"{budget} of the node's memory, {total // MI} MiB" if budget.endswith("%") else budget
        return (
            f"TmpfsPolicy {policy.name}: the service's mounts need {size // MI} MiB, and other services use "
            f"{used // MI} MiB of the budget of {share}; raise spec.budget, or set fallback: Volume"
        )
