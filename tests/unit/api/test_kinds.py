"""One row a kind: what is derived from it."""

from collections import Counter
from pathlib import Path

import pytest

from xnai_operator.api import crd, kinds
from xnai_operator.api.kinds import CustomKind, Kind
from xnai_operator.api.resources import InvalidResourceError
from xnai_operator.api.types import Spec

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize(
    ("kind", "namespace", "name", "path"),
    [
        pytest.param(kinds.XNAI_SERVICE, "", "", "/apis/xnai.dev/v1alpha1/xnaiservices", id="all of a custom kind"),
        pytest.param(
            kinds.TMPFS_POLICY,
            "default",
            "",
            "/apis/xnai.dev/v1alpha1/namespaces/default/tmpfspolicies",
            id="of a namespace",
        ),
        pytest.param(
            kinds.XNAI_SERVICE,
            "default",
            "redis",
            "/apis/xnai.dev/v1alpha1/namespaces/default/xnaiservices/redis",
            id="one custom object",
        ),
        pytest.param(kinds.SECRET, "default", "a", "/api/v1/namespaces/default/secrets/a", id="one of the core group"),
        pytest.param(kinds.NAMESPACE, "", "default", "/api/v1/namespaces/default", id="one without a namespace"),
        pytest.param(
            kinds.CUSTOM_RESOURCE_DEFINITION,
            "ignored",
            kinds.XNAI_SERVICE.definition_name,
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/xnaiservices.xnai.dev",
            id="a definition",
        ),
    ],
)
def test_a_kind_knows_its_paths(kind: Kind, namespace: str, name: str, path: str) -> None:
    assert kind.path(namespace, name) == path


def test_definitions_come_first_and_policies_before_the_services_they_select() -> None:
    assert [kind.name for kind in kinds.ALL] == [
        "CustomResourceDefinition",
        "Namespace",
        "Secret",
        "ConfigMap",
        "TmpfsPolicy",
        "XnaiService",
    ]


def test_the_operator_watches_its_own_kinds_and_what_they_mount() -> None:
    assert {kind.name for kind in kinds.WATCHED} == {"XnaiService", "TmpfsPolicy", "Secret", "ConfigMap"}


def test_no_two_kinds_share_a_name() -> None:
    used = Counter(
        word for kind in kinds.CUSTOM for word in (kind.name, kind.plural, kind.name.lower(), kind.short_name)
    )
    assert [word for word, times in used.items() if times > 1] == []


def test_every_kind_of_the_group_has_a_definition_and_every_definition_a_kind() -> None:
    files = {path.name for path in (ROOT / "crds").glob("*.yaml")}
    assert files == set(crd.definitions()) == {f"xnai.dev_{kind.plural}.yaml" for kind in kinds.CUSTOM}


@pytest.mark.parametrize("kind", kinds.CUSTOM, ids=lambda kind: kind.name)
def test_a_kind_is_explained_and_parsed_by_its_own_models(kind: CustomKind) -> None:
    definition = crd.definitions()[f"xnai.dev_{kind.plural}.yaml"]
    schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert schema["description"].startswith(f"{kind.name} ")
    with pytest.raises(InvalidResourceError, match=r"spec\.odd"):
        kind.parse({"metadata": {"name": "a"}, "spec": {"odd": 1}})


@pytest.mark.parametrize(
    ("kind", "spec"),
    [
        pytest.param(kinds.XNAI_SERVICE, {"image": "x"}, id="XnaiService"),
        pytest.param(kinds.TMPFS_POLICY, {"mounts": [{"mountPath": "/c", "size": "1Mi"}]}, id="TmpfsPolicy"),
    ],
)
def test_an_object_has_the_models_of_its_row(kind: CustomKind, spec: dict[str, object]) -> None:
    parsed = kind.parse({"metadata": {"name": "a"}, "spec": spec, "status": {"conditions": []}})
    assert (type(parsed.spec), type(parsed.status)) == (kind.spec, kind.status)


def _models(base: type[Spec]) -> list[type[Spec]]:
    return [model for found in base.__subclasses__() for model in (found, *_models(found))]


@pytest.mark.parametrize("model", _models(Spec), ids=lambda model: model.__name__)
def test_every_field_is_described(model: type[Spec]) -> None:
    assert [name for name, field in model.model_fields.items() if not (field.description or "").endswith(".")] == []
