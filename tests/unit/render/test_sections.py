"""Which section of a pod a change of the resource changes."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.unit.conftest import make_service, render
from xnai_operator.api.contents import Contents
from xnai_operator.render.digest import first_difference
from xnai_operator.render.installation import Installation
from xnai_operator.render.intent import PodIntent
from xnai_operator.render.pod import NetworkAttachment, RenderedPod
from xnai_operator.render.sections import sections
from xnai_operator.render.storage import storage
from xnai_operator.render.variant import Variant

CONTENTS: Contents = {
    ("ConfigMap", "c"): {"k": b"one"}, ("ConfigMap", "d"): {"k": b"one"},
    ("Secret", "s"): {"k": b"one", "l": b"two"}, ("Secret", "t"): {"k": b"one"},
}  # fmt: skip
CONFIG = {"name": "c", "mountPath": "/c"}
SECRET = {"name": "s", "mountPath": "/s", "keys": ["k"]}
VOLUME = {"name": "v", "mountPath": "/v"}
TMPFS = {"mountPath": "/cache", "size": "1Mi"}
STORAGE: dict[str, Any] = {"config": [CONFIG], "secrets": [SECRET], "volumes": [VOLUME], "tmpfs": [TMPFS]}
INIT = {"name": "first", "command": ["true"]}
BASE: dict[str, Any] = {"storage": STORAGE, "initContainers": [INIT], "inference": {"model": {"file": "m.gguf"}}}


def pod(installation: Installation, contents: Contents = CONTENTS, **spec: Any) -> RenderedPod:
    return render(make_service(**(BASE | spec)), installation, contents)


def stored(**change: Any) -> dict[str, Any]:
    return {"storage": STORAGE | change}


@pytest.mark.parametrize(
    ("spec", "section"),
    [
        pytest.param({"image": "localhost/app:2"}, "image", id="image"),
        pytest.param({"initContainers": [INIT | {"image": "localhost/init:1"}]}, "image", id="image of an init container"),
        pytest.param({"initContainers": [INIT | {"args": ["x"]}]}, "init containers", id="arguments of an init container"),
        pytest.param({"initContainers": [INIT, {"name": "second"}]}, "init containers", id="another init container"),
        pytest.param({"command": ["x"]}, "command", id="command"),
        pytest.param({"args": ["x"]}, "command", id="arguments"),
        pytest.param({"env": [{"name": "A", "value": "1"}]}, "env", id="variable"),
        pytest.param({"inference": {"model": {"file": "m.gguf"}, "contextSize": 1024}}, "env", id="context size"),
        pytest.param(stored(config=[CONFIG | {"mountPath": "/d"}]), "config", id="path of a config"),
        pytest.param(stored(config=[CONFIG, {"name": "d", "mountPath": "/d"}]), "config", id="another config"),
        pytest.param(stored(config=[]), "config", id="no config"),
        pytest.param(stored(secrets=[SECRET | {"keys": ["k", "l"]}]), "secrets", id="keys of a secret"),
        pytest.param(stored(secrets=[SECRET, {"name": "t", "mountPath": "/t"}]), "secrets", id="another secret"),
        pytest.param(stored(volumes=[VOLUME | {"readOnly": True}]), "mounts", id="read-only volume"),
        pytest.param(stored(tmpfs=[TMPFS | {"mode": "0700"}]), "mounts", id="mode of a tmpfs"),
        pytest.param(stored(tmpfs=[TMPFS | {"owner": 7}]), "mounts", id="owner of a tmpfs"),
        pytest.param(stored(tmpfs=[TMPFS, {"mountPath": "/more", "size": "1Mi"}]), "mounts", id="another tmpfs"),
        pytest.param(stored(hostPaths=[{"path": "/h", "mountPath": "/h"}]), "mounts", id="host path"),
        pytest.param({"ports": [{"name": "p", "containerPort": 1}]}, "network", id="port"),
        pytest.param({"network": {"mode": "Alone"}}, "network", id="network"),
        pytest.param({"security": {"runAsUser": 5}}, "security", id="user"),
        pytest.param({"security": {"readOnlyRootFilesystem": True, "addCapabilities": ["NET_BIND_SERVICE"]}}, "security", id="capability"),
        pytest.param({"security": {"userNamespace": "KeepId"}}, "security", id="user namespace"),
        pytest.param({"resources": {"limits": {"memory": "1Gi"}}}, "resources", id="memory limit"),
        pytest.param({"resources": {"cpuSet": "0,1"}}, "resources", id="CPU set"),
        pytest.param({"terminationGracePeriodSeconds": 3}, "pod", id="grace period"),
    ],
)  # fmt: skip
def test_one_change_of_the_resource_changes_one_section(
    spec: dict[str, Any], section: str, installation: Installation
) -> None:
    before, after = pod(installation), pod(installation, **spec)
    assert [name for name in after.sections if after.sections[name] != before.sections[name]] == [section]
    assert first_difference(before.sections, after) == f"{section} changed"
    assert before.hash != after.hash


@pytest.mark.parametrize(
    ("key", "section"),
    [
        pytest.param(("Secret", "s"), "secrets", id="secret"),
        pytest.param(("ConfigMap", "c"), "config", id="config map"),
    ],
)
def test_another_content_changes_one_section(key: tuple[str, str], section: str, installation: Installation) -> None:
    before, after = pod(installation), pod(installation, {**CONTENTS, key: {"k": b"another"}})
    assert [name for name in after.sections if after.sections[name] != before.sections[name]] == [section]


def test_a_tmpfs_on_disk_changes_the_mounts(installation: Installation) -> None:
    service = make_service(**BASE)
    before = render(service, installation, CONTENTS)
    after = render(service, installation, CONTENTS, Variant(on_disk=frozenset({"/cache"})))
    assert first_difference(before.sections, after) == "mounts changed"


@pytest.mark.parametrize(
    ("where", "section"),
    [
        pytest.param(lambda body: body, "pod", id="the pod"),
        pytest.param(lambda body: body["containers"][0], "pod", id="the service's container"),
        pytest.param(lambda body: body["initContainers"][0], "init containers", id="an init container"),
    ],
)
def test_a_field_that_is_new_to_the_document_is_in_a_section(
    where: Callable[[dict[str, Any]], dict[str, Any]], section: str, installation: Installation
) -> None:
    service = make_service(**BASE)
    mounted = storage(PodIntent(service=service, tmpfs=[], contents=CONTENTS), installation)
    body = pod(installation).document["spec"]
    changed = copy.deepcopy(body)
    where(changed)["new"] = True
    before, after = (sections(service.spec, each, mounted, NetworkAttachment(None), {}) for each in (body, changed))
    assert [name for name in after if after[name] != before[name]] == [section]
