"""Reading what is to be applied, and making the Secrets it names."""

import base64
from pathlib import Path
from typing import Any

import pytest

from xnai_operator.kube import manifests
from xnai_operator.kube.manifests import ManifestError

SERVICE = """
apiVersion: xnai.dev/v1alpha1
kind: XnaiService
metadata: {name: a}
spec:
  image: i
  storage: {secrets: [{name: s, mountPath: /s, keys: [one, two]}, {name: whole, mountPath: /w}]}
"""
CONFIG = "kind: ConfigMap\nmetadata: {name: c}\n"


class Api:
    """One Secret or none."""

    def __init__(self, data: dict[str, str] | None) -> None:
        self.data = data
        self.requests: list[tuple[str, Any]] = []

    async def get(self, path: str) -> Any:
        return None if self.data is None else {"data": self.data}

    async def request(self, method: str, path: str, body: Any, content_type: str = "") -> None:
        self.requests.append((method, body))


def test_files_of_a_folder_are_ordered_by_what_needs_what(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(SERVICE)
    (tmp_path / "b.yaml").write_text(CONFIG + "---\nkind: Namespace\nmetadata: {name: n}\n")
    assert [body["kind"] for body in manifests.read([tmp_path])] == ["Namespace", "ConfigMap", "XnaiService"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("a: [", "not YAML", id="not YAML"),
        pytest.param("- 1", "document 1 is no Kubernetes object", id="no mapping"),
        pytest.param("kind: ConfigMap", "document 1 is no Kubernetes object", id="no metadata"),
        pytest.param("kind: Deployment\nmetadata: {name: d}", "kind Deployment is none of", id="an unknown kind"),
    ],
)
def test_a_wrong_file_is_named(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "wrong.yaml").write_text(text)
    with pytest.raises(ManifestError, match=message):
        manifests.read([tmp_path])


@pytest.mark.parametrize("name", ["none.yaml", "empty"])
def test_a_path_without_manifests_is_an_error(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ManifestError, match=name):
        manifests.read([tmp_path / name])


@pytest.mark.parametrize(
    ("present", "method", "made"),
    [
        pytest.param(None, "POST", {"one", "two"}, id="no Secret"),
        pytest.param({"one": "x"}, "PATCH", {"two"}, id="one key is missing"),
        pytest.param({"one": "x", "two": "y"}, None, set(), id="complete"),
    ],
)
async def test_only_what_is_missing_of_a_secret_is_made(
    present: dict[str, str] | None, method: str | None, made: set[str]
) -> None:
    api = Api(present)
    await manifests.generate_secrets(api, manifests.parse(SERVICE, "test"))  # type: ignore[arg-type]
    assert [(m, set(body["data"])) for m, body in api.requests] == ([(method, made)] if method else [])


async def test_generated_values_are_long_and_differ() -> None:
    api = Api(None)
    await manifests.generate_secrets(api, manifests.parse(SERVICE, "test"))  # type: ignore[arg-type]
    values = [base64.b64decode(value) for value in api.requests[0][1]["data"].values()]
    assert (len(set(values)), min(map(len, values)) >= 32) == (2, True)


async def test_a_secret_that_is_given_is_not_generated() -> None:
    api = Api(None)
    given = manifests.parse(SERVICE + "---\nkind: Secret\nmetadata: {name: s}\n", "test")
    assert await manifests.generate_secrets(api, given) == []  # type: ignore[arg-type]
