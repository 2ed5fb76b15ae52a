"""Reads and orders the manifests that `xnai up` applies. Generates missing Secrets that they name."""

import base64
import secrets
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import yaml

from xnai_operator.api import kinds, resources
from xnai_operator.kube.client import KubeClient

PACKAGE: Final = Path(__file__).resolve().parents[1]
ORDER: Final = tuple(kind.name for kind in kinds.ALL)
GENERATED_BYTES: Final = 24
"""Of randomness in a generated value: 32 characters of the URL-safe alphabet, 192 bits."""


class ManifestError(ValueError):
    """A manifest is wrong. The message names the file and the fault."""


def shipped(name: str) -> Path:
    """A folder of the operator (`crds`, `manifests`), from the installed package or from the checkout."""
    inside = PACKAGE / name
    return inside if inside.exists() else PACKAGE.parents[1] / name


def parse(text: str, source: str) -> list[dict[str, Any]]:
    """The objects of a YAML text. Raises ManifestError."""
    try:
        documents = [document for document in yaml.safe_load_all(text) if document is not None]
    except yaml.YAMLError as error:
        raise ManifestError(f"{source}: not YAML: {error}") from error
    for index, document in enumerate(documents):
        if not isinstance(document, dict) or not document.get("kind") or not document.get("metadata", {}).get("name"):
            raise ManifestError(
                f"{source}: document {index + 1} is no Kubernetes object: it needs kind and metadata.name"
            )
    return documents


def read(paths: Iterable[Path]) -> list[dict[str, Any]]:
    """The objects of files and of folders (every *.yaml below), in the order in which they are applied."""
    found: list[dict[str, Any]] = []
    for path in paths:
        files = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
        if not files:
            raise ManifestError(f"{path}: no *.yaml file in it")
        for file in files:
            try:
                found += parse(file.read_text(), str(file))
            except OSError as error:
                raise ManifestError(f"{file}: {error.strerror}") from error
    unknown = [body["kind"] for body in found if body["kind"] not in ORDER]
    if unknown:
        raise ManifestError(f"kind {unknown[0]} is none of {', '.join(ORDER)}; apply it with kubectl")
    return sorted(found, key=lambda body: ORDER.index(body["kind"]))


def secrets_wanted(bodies: Iterable[dict[str, Any]]) -> dict[tuple[str, str], set[str]]:
    """The keys of Secrets that services name: (namespace, Secret) -> keys."""
    wanted: dict[tuple[str, str], set[str]] = {}
    for body in bodies:
        if body["kind"] != kinds.XNAI_SERVICE.name:
            continue
        try:
            service = resources.service(body)
        except resources.InvalidResourceError:
            continue  # the API server refuses it with more words
        for source in service.spec.storage.secrets:
            wanted.setdefault((service.namespace, source.name), set()).update(source.keys)
    return {key: keys for key, keys in wanted.items() if keys}


async def generate_secrets(api: KubeClient, bodies: list[dict[str, Any]]) -> list[str]:
    """Create the missing Secrets and the missing keys that the services name. Existing keys never change. Returns
    `namespace/name` of each created or extended Secret."""
    given = {
        (b["metadata"].get("namespace", "default"), b["metadata"]["name"])
        for b in bodies
        if b["kind"] == kinds.SECRET.name
    }
    made = []
    for (namespace, name), keys in sorted(secrets_wanted(bodies).items()):
        if (namespace, name) in given:
            continue
        collection = kinds.SECRET.path(namespace)
        found = await api.get(f"{collection}/{name}")
        missing = sorted(keys - set((found or {}).get("data") or {}))
        if not missing:
            continue
        values = {key: base64.b64encode(secrets.token_urlsafe(GENERATED_BYTES).encode()).decode() for key in missing}
        if found is None:
            labels = {"app.kubernetes.io/managed-by": "xnai"}
            body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name, "labels": labels}, "data": values}
            await api.request("POST", collection, body)
        else:
            await api.request("PATCH", f"{collection}/{name}", {"data": values}, "application/merge-patch+json")
        made.append(f"{namespace}/{name}")
    return made
