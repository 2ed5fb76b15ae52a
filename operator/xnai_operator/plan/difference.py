"""Why a pod is started again: in what the running pod differs from the one that would be rendered now."""

from xnai_operator.plan.observed import ObservedPod
from xnai_operator.render.digest import first_difference
from xnai_operator.render.pod import RenderedPod
from xnai_operator.render.variant import variant_change


def difference(pod: ObservedPod, rendered: RenderedPod) -> str:
    """The first section that differs, and how the variant does: `mounts changed (tmpfs on disk: /cache instead of
    none)`."""
    sections, variant = first_difference(pod.sections, rendered), variant_change(pod.variant, rendered.variant)
    return f"{sections} ({variant})" if variant else sections
