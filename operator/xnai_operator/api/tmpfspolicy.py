"""TmpfsPolicy: the tmpfs mounts of the services it selects. Source of `crds/xnai.dev_tmpfspolicies.yaml`."""

from typing import Annotated, Literal

from pydantic import Field

from xnai_operator.api.quantity import Quantity
from xnai_operator.api.types import Spec
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


class TmpfsPolicySpec(Spec):
    """The specification. Of two policies that name one path for one service the higher `precedence` holds;
    a mount in the service itself holds over both."""

    selector: Selector = Selector()
    """The services it holds for."""
    precedence: Annotated[int, Field(ge=0, le=1000000)] = 0
    """The higher of two policies holds where both name a path."""
    budget: Quantity | None = None
    """The most that the mounts of this policy may take over all services it holds for; not set, no bound of its own."""
    fallback: Literal["Deny", "Volume"] = "Deny"
    """When memory or budget does not suffice: `Deny`, the service waits; `Volume`, its mounts of this policy are on
    disk until the next start that finds room."""
    sizing: Sizing = Sizing()
    """Sizes by use."""
    mounts: Annotated[list[TmpfsMount], Field(min_length=1, max_length=32)]
    """The mounts."""
