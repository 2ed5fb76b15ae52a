"""What is decided for one service, in no runtime's words. A renderer turns it into a pod."""

from collections.abc import Callable
from dataclasses import dataclass

from xnai_operator.api.contents import Contents
from xnai_operator.api.resources import XnaiService
from xnai_operator.api.xnaiservice import TmpfsMount
from xnai_operator.memory.allocation import Allocation
from xnai_operator.render.pod import RenderedPod
from xnai_operator.render.variant import AS_DECLARED, Variant


@dataclass(frozen=True, kw_only=True)
class PodIntent:
    """`service`: as it is to be played, so with a reduced model and without limits where `variant` says so. `tmpfs`:
    its merged mounts; those in `variant.on_disk` become volumes. `contents`: those of the service's namespace.
    `allocation`: the memory the service is admitted with, without its tmpfs; None when there was no admission."""

    service: XnaiService
    tmpfs: list[TmpfsMount]
    contents: Contents
    variant: Variant = AS_DECLARED
    allocation: Allocation | None = None


Renderer = Callable[[PodIntent], RenderedPod]
"""Renders a service in one dialect. The checks ran before: a ConfigMap, Secret or key that is missing is a KeyError."""
