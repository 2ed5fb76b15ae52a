"""Labels and annotations of a pod."""

import pytest

from tests.unit.conftest import make_service, render
from xnai_operator.memory.allocation import Allocation
from xnai_operator.render import names, podman
from xnai_operator.render.digest import sections_from_text
from xnai_operator.render.installation import Installation
from xnai_operator.render.intent import PodIntent
from xnai_operator.render.variant import AS_DECLARED, Variant


def test_the_digests_are_labels(installation: Installation) -> None:
    pod = render(make_service(), installation)
    labels = pod.document["metadata"]["labels"]
    assert (labels[names.LABEL_HASH], sections_from_text(labels[names.LABEL_SECTIONS])) == (pod.hash, pod.sections)


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        pytest.param(AS_DECLARED, None, id="as declared"),
        pytest.param(Variant(reduced=True), '{"reduced":true}', id="reduced"),
    ],
)
def test_the_variant_is_a_label(variant: Variant, expected: str | None, installation: Installation) -> None:
    labels = render(make_service(), installation, variant=variant).document["metadata"]["labels"]
    assert labels.get(names.LABEL_VARIANT) == expected


@pytest.mark.parametrize(
    "allocation", [pytest.param(None, id="not admitted"), pytest.param(Allocation(5, 7, "m.gguf"), id="admitted")]
)
def test_the_allocation_is_a_label(allocation: Allocation | None, installation: Installation) -> None:
    intent = PodIntent(service=make_service(), tmpfs=[], contents={}, allocation=allocation)
    label = podman.renderer(installation, cores=1)(intent).document["metadata"]["labels"].get(names.LABEL_ALLOCATION)
    assert (Allocation.from_text(label) if label else None) == allocation


@pytest.mark.parametrize(
    ("user_namespace", "expected"),
    [
        pytest.param("Shared", None, id="shared needs none"),
        pytest.param("KeepId", {"io.podman.annotations.userns": "keep-id:uid=1001,gid=1001"}, id="keep-id"),
        pytest.param("Auto", {"io.podman.annotations.userns": "auto"}, id="auto"),
    ],
)
def test_annotations(user_namespace: str, expected: dict[str, str] | None, installation: Installation) -> None:
    pod = render(make_service(security={"userNamespace": user_namespace}), installation)
    assert pod.document["metadata"].get("annotations") == expected
