"""`xnai render`: the pod of each service, offline."""

from typing import Any

import yaml

from xnai_operator import wiring
from xnai_operator.api import resources
from xnai_operator.api.contents import ContentKey
from xnai_operator.api.kinds import CONFIG_MAP, SECRET, TMPFS_POLICY, XNAI_SERVICE
from xnai_operator.cli import documents
from xnai_operator.cli.output import Exit, fail
from xnai_operator.config import Config
from xnai_operator.errors import XnaiError
from xnai_operator.kube import manifests
from xnai_operator.render.intent import PodIntent
from xnai_operator.tmpfs.mounts import merged


def run(files: list[str]) -> None:
    """Print the pods as YAML."""
    try:
        pods = rendered(Config.read(), documents.read(files))
    except (manifests.ManifestError, XnaiError) as error:
        fail(str(error), Exit.USAGE)
    print(yaml.safe_dump_all(pods, sort_keys=False), end="")  # noqa: T201


def rendered(config: Config, bodies: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The pod of each XnaiService among `bodies`, with the policies among them; offline. Files of ConfigMaps and
    Secrets not among them are shown empty. Raises ManifestError, SpecError."""
    contents: dict[str, dict[ContentKey, dict[str, bytes]]] = {}
    services, policies = [], []
    for body in bodies:
        where = f"{body['kind']} {body['metadata']['name']}"
        try:
            if body["kind"] == XNAI_SERVICE.name:
                services.append(resources.service(body))
            elif body["kind"] == TMPFS_POLICY.name:
                policies.append(resources.policy(body))
        except resources.InvalidResourceError as error:
            raise manifests.ManifestError(f"{where}: {error}") from error
    for service in services:
        known = contents.setdefault(service.namespace, {})
        storage = service.spec.storage
        for kind, sources in ((CONFIG_MAP.name, storage.config), (SECRET.name, storage.secrets)):
            for source in sources:
                known.setdefault((kind, source.name), {}).update(dict.fromkeys(source.keys, b""))
    render = wiring.renderer(config)
    return [
        render(PodIntent(service=s, tmpfs=merged(s, policies), contents=contents[s.namespace])).document
        for s in services
    ]
