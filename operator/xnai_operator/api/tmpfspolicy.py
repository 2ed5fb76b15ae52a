"""TmpfsPolicy: the tmpfs mounts of the services it selects. Source of `crds/xnai.dev_tmpfspolicies.yaml`."""

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from xnai_operator.api.quantity import SizeOrShare, SizeQuantity
from xnai_operator.api.types import ListMap, Rule, Spec
from xnai_operator.api.xnaiservice import TmpfsMount

LabelText = Annotated[str, Field(max_length=317)]


class Selector(Spec):
    """Selects the services that have all labels of `matchLabels`. An empty selector selects every service of the
    namespace."""

    match_labels: dict[LabelText, LabelText] = {}
    """The labels that a service must have."""


class Sizing(Spec):
    """How the size of a mount follows its highest use."""

    mode: Literal["Off", "Recommend", "Apply"] = "Off"
    """Off: no size is computed. Recommend: a size is written into the status of the service. Apply: the mount also gets
    that size, without a restart."""
    min: SizeQuantity = "1Mi"
    """The smallest size."""
    max: SizeQuantity = "256Mi"
    """The largest size."""


class FillThresholds(Spec):
    """When to warn that a mount is filling up. The operator uses the higher of its byte and inode usage."""

    rules: ClassVar = (
        Rule("self.alertPercent <= self.fullPercent", "alertPercent must not be greater than fullPercent"),
    )
    # Fives: the fill of mounts is looked at in twentieths.
    alert_percent: Annotated[int, Field(ge=5, le=100, multiple_of=5)] = 80
    """From this usage on, the condition TmpfsFull is False with the reason MountFilling, and an event is posted."""
    full_percent: Annotated[int, Field(ge=5, le=100, multiple_of=5)] = 95
    """From this usage on, TmpfsFull is True with the reason MountFull, and an event is posted."""


class TmpfsPolicySpec(Spec):
    """The mounts and the services that get them. If two policies declare a mount at one path of a service, the policy
    of higher `precedence` decides. A mount in the service itself replaces both."""

    selector: Selector = Selector()
    """The services that get the mounts."""
    precedence: Annotated[int, Field(ge=0, le=1000000)] = 0
    """If two policies declare a mount at one path, the policy of higher precedence decides."""
    budget: SizeOrShare | None = None
    """The most memory that the mounts of this policy may take in all services together: a quantity, or a share of the
    memory of the machine (25%). Without it the policy has no budget."""
    fallback: Literal["Deny", "Volume"] = "Deny"
    """What happens when memory or budget does not suffice. Deny: the service waits. Volume: its mounts of this policy
    are on disk until the next start that finds room."""
    sizing: Sizing = Sizing()
    """How the size of a mount follows its highest use."""
    thresholds: FillThresholds = FillThresholds()
    """When to warn that a mount is filling up."""
    mounts: Annotated[list[TmpfsMount], Field(min_length=1, max_length=32), ListMap("mountPath")]
    """The tmpfs mounts."""
