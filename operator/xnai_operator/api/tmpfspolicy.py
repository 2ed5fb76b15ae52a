"""TmpfsPolicy: the tmpfs mounts of the services it selects. Source of `crds/xnai.dev_tmpfspolicies.yaml`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from xnai_operator.api.quantity import Quantity, QuantityOrShare
from xnai_operator.api.types import Rule, Spec
from xnai_operator.api.xnaiservice import TmpfsMount

LabelText = Annotated[str, Field(max_length=317)]


class Selector(Spec):
    """Services whose labels hold all of `matchLabels`. Empty selects every service of the namespace."""

    match_labels: dict[LabelText, LabelText] = {}
    """Labels a service must have."""


class Sizing(Spec):
    """What is done with the most that was ever in use of a mount. `Recommend` writes a size into the service's status,
    `Apply` also gives the mount that size, within `min` and `max`, while it runs."""

    mode: Literal["Off", "Recommend", "Apply"] = "Off"
    """What to do."""
    min: Quantity = "1Mi"
    """Never less."""
    max: Quantity = "256Mi"
    """Never more."""


class FillThresholds(Spec):
    """When a mount that fills is told of; of its bytes or its inodes, whichever are nearer to their end."""

    rules: ClassVar = (Rule("self.alertPercent <= self.fullPercent", "alertPercent must not be more than fullPercent"),)
    # Fives: the fill of mounts is looked at in twentieths.
    alert_percent: Annotated[int, Field(ge=5, le=100, multiple_of=5)] = 80
    """From here on the condition TmpfsFull is False with the reason TmpfsFilling, and an event is posted."""
    full_percent: Annotated[int, Field(ge=5, le=100, multiple_of=5)] = 95
    """From here on TmpfsFull is True, and an event is posted."""


class TmpfsPolicySpec(Spec):
    """The specification. Of two policies that name one path for one service the higher `precedence` holds;
    a mount in the service itself holds over both."""

    selector: Selector = Selector()
    """The services it holds for."""
    precedence: Annotated[int, Field(ge=0, le=1000000)] = 0
    """The higher of two policies holds where both name a path."""
    budget: QuantityOrShare | None = None
    """The most that the mounts of this policy may take over all services it holds for, as a quantity or as a share of
    the machine's memory (25%); not set, no bound of its own."""
    fallback: Literal["Deny", "Volume"] = "Deny"
    """When memory or budget does not suffice: `Deny`, the service waits; `Volume`, its mounts of this policy are on
    disk until the next start that finds room."""
    sizing: Sizing = Sizing()
    """Sizes by use."""
    thresholds: FillThresholds = FillThresholds()
    """When a mount that fills is told of."""
    mounts: Annotated[list[TmpfsMount], Field(min_length=1, max_length=32)]
    """The mounts."""
