"""TmpfsPolicy: the tmpfs mounts of the services it selects. Source of `crds/xnai.dev_tmpfspolicies.yaml`."""

from typing import Annotated

from pydantic import Field

from xnai_operator.api.types import Spec
from xnai_operator.api.xnaiservice import TmpfsMount

LabelText = Annotated[str, Field(max_length=317)]


class Selector(Spec):
    """Services whose labels hold all of `matchLabels`. Empty selects every service of the namespace."""

    match_labels: dict[LabelText, LabelText] = {}
    """Labels a service must have."""


class TmpfsPolicySpec(Spec):
    """The specification. Of two policies that name one path for one service the higher `precedence` holds;
    a mount in the service itself holds over both."""

    selector: Selector = Selector()
    """The services it holds for."""
    precedence: Annotated[int, Field(ge=0, le=1000000)] = 0
    """The higher of two policies holds where both name a path."""
    mounts: Annotated[list[TmpfsMount], Field(min_length=1, max_length=32)]
    """The mounts."""
