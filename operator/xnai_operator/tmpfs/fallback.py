"""Mounts that may be on disk when memory does not suffice, and the budgets of policies. Pure; bytes."""

from collections.abc import Iterable

from xnai_operator.api.quantity import share_to_bytes
from xnai_operator.api.resources import TmpfsPolicy, XnaiService
from xnai_operator.api.xnaiservice import TmpfsMount
from xnai_operator.tmpfs.mounts import policy_of, size_of


def may_be_on_disk(
    service: XnaiService, mounts: Iterable[TmpfsMount], policies: tuple[TmpfsPolicy, ...]
) -> frozenset[str]:
    """The paths whose policy says `fallback: Volume`."""
    found = {mount.mount_path: policy_of(service, mount.mount_path, policies) for mount in mounts}
    return frozenset(path for path, policy in found.items() if policy is not None and policy.spec.fallback == "Volume")


class Budgets:
    """What is left of each policy's budget, taken by one service after the other. `memory`: the machine's, in bytes."""

    def __init__(self, memory: int) -> None:
        self._memory = memory
        self._used: dict[str, int] = {}

    def exceeded(
        self,
        service: XnaiService,
        mounts: Iterable[TmpfsMount],
        policies: tuple[TmpfsPolicy, ...],
        on_disk: frozenset[str],
    ) -> tuple[TmpfsPolicy, str] | None:
        """Take the sizes of the service's mounts that are in memory. When one policy's budget does not hold them,
        nothing is taken: the policy, and the sum as a sentence."""
        asked: dict[str, tuple[TmpfsPolicy, int]] = {}
        for mount in mounts:
            policy = policy_of(service, mount.mount_path, policies)
            if policy is not None and mount.mount_path not in on_disk:
                before = asked.get(policy.key, (policy, 0))[1]
                asked[policy.key] = (policy, before + size_of(mount))
        for key, (policy, size) in asked.items():
            used = self._used.get(key, 0)
            budget = policy.spec.budget
            if budget is None or used + size <= (most := share_to_bytes(budget, self._memory)):
                continue
            told = budget if not budget.endswith("%") else f"{budget} of the machine's memory, {most >> 20} MiB"
            return policy, (
                f"TmpfsPolicy {policy.name}: the service's mounts take {size >> 20} MiB, others {used >> 20} MiB "
                f"of the budget of {told}; raise it, or set fallback: Volume"
            )
        for key, (_, size) in asked.items():
            self._used[key] = self._used.get(key, 0) + size
        return None
