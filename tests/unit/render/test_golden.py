"""The pods of the project's own manifests, as files to read. Rewrite them with UPDATE_GOLDEN=1 and look at the diff."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from xnai_operator.api import resources
from xnai_operator.api.contents import ContentKey
from xnai_operator.render import names, podman
from xnai_operator.render.installation import Installation
from xnai_operator.render.intent import PodIntent
from xnai_operator.tmpfs.mounts import merged

ROOT = Path(__file__).resolve().parents[3]
GOLDEN = Path(__file__).with_name("golden")
INSTALLATION = Installation("/run/user/1001/xnai", "/home/user/.local/share/xnai/models", b"k" * 32)


def load(pattern: str) -> list[dict[str, Any]]:
    return [body for file in sorted(ROOT.glob(pattern)) for body in yaml.safe_load_all(file.read_text())]


POLICIES = tuple(resources.policy(body) for body in load("manifests/policies/*.yaml"))
SERVICES = {body["metadata"]["name"]: body for body in load("manifests/*/service.yaml")}


def rendered(name: str) -> str:
    body = SERVICES[name]
    service = resources.service({**body, "metadata": {**body["metadata"], "uid": f"uid-{name}"}})
    storage = service.spec.storage
    contents: dict[ContentKey, dict[str, bytes]] = {
        ("ConfigMap", source.name): {"redis.conf": b"", "users.acl": b""} for source in storage.config
    }
    contents |= {("Secret", source.name): dict.fromkeys(source.keys, b"secret") for source in storage.secrets}
    intent = PodIntent(service=service, tmpfs=merged(service, POLICIES), contents=contents)
    pod = podman.renderer(INSTALLATION, cores=2)(intent)
    beside = {
        "network": {"name": pod.network.name, "aliases": list(pod.network.aliases), "mtu": pod.network.mtu},
        "tmpfs": [
            f"{t.mount_path} {t.size >> 20}Mi {t.mode} {t.uid}:{t.gid}{' exec' if t.exec else ''}" for t in pod.tmpfs
        ],
        "files": [f"{f.mount_path} {', '.join(sorted(f.files))}" for f in pod.files],
        "volumes": [f"{v.name}{'' if v.owned else ' (of another service)'}" for v in pod.volumes],
    }
    # Digests change with the code's input to them, which other tests look at.
    pod.document["metadata"]["labels"] |= {names.LABEL_HASH: "HASH", names.LABEL_SECTIONS: "SECTIONS"}
    text = yaml.safe_dump_all([pod.document, beside], sort_keys=False, width=120)
    return text.replace(INSTALLATION.installation, "INSTALLATION")


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_the_pod_is_the_golden_one(name: str) -> None:
    file = GOLDEN / f"{name}.yaml"
    if os.environ.get("UPDATE_GOLDEN"):
        file.write_text(rendered(name))
    assert rendered(name) == file.read_text()


def test_no_golden_file_is_left_over() -> None:
    assert sorted(file.stem for file in GOLDEN.iterdir()) == sorted(SERVICES)
