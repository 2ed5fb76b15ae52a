"""The metadata of a pod: its name, the labels by which the operator knows it again, Podman's annotations."""

from typing import Any

from xnai_operator.render import names
from xnai_operator.render.digest import Digests
from xnai_operator.render.installation import Installation
from xnai_operator.render.intent import PodIntent


def metadata(
    intent: PodIntent, installation: Installation, digests: Digests, annotations: dict[str, str]
) -> dict[str, Any]:
    """The pod's `metadata`."""
    service = intent.service
    return {
        "name": names.pod(service.namespace, service.name),
        "labels": _labels(intent, installation, digests),
        **({"annotations": annotations} if annotations else {}),
    }


def _labels(intent: PodIntent, installation: Installation, digests: Digests) -> dict[str, str]:
    """The pod's labels.

    Podman takes label values of any length and character, and its list of pods has no annotations. Kubernetes takes 63
    characters of few kinds.
    """
    service, variant = intent.service, intent.variant.to_text()
    return {
        "app.kubernetes.io/name": service.name,
        "app.kubernetes.io/part-of": "xnai",
        names.LABEL_MANAGED: names.MANAGER,
        names.LABEL_INSTALLATION: installation.installation,
        names.LABEL_NAMESPACE: service.namespace,
        names.LABEL_SERVICE: service.name,
        names.LABEL_UID: service.uid,
        names.LABEL_HASH: digests.whole,
        names.LABEL_SECTIONS: digests.to_text(),
        **({names.LABEL_VARIANT: variant} if variant else {}),
        **({names.LABEL_ALLOCATION: intent.allocation.to_text()} if intent.allocation is not None else {}),
    }
