"""What the operator did or saw, as one record for every sink: log, event, metric."""

from dataclasses import dataclass
from enum import StrEnum

from xnai_operator.api.conditions import Reason


class Outcome(StrEnum):
    """How far an action came."""

    BEGUN = "begun"
    DONE = "done"
    FAILED = "failed"
    OBSERVED = "observed"
    """No action: a state that people should know."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """`at`: seconds since the epoch. `kind`, `namespace`, `name`: the object it is about. `action`: a verb. `warning`:
    people should look at it."""

    at: float
    kind: str
    namespace: str
    name: str
    action: str
    reason: Reason
    message: str
    outcome: Outcome
    warning: bool = False
