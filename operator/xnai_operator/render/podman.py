"""The Podman dialect: a pod document for `podman kube play`, and what the back end prepares before it is played."""

from typing import Any

from xnai_operator.render import containers, names, network, security
from xnai_operator.render.digest import digests
from xnai_operator.render.installation import Installation
from xnai_operator.render.intent import PodIntent, Renderer
from xnai_operator.render.metadata import metadata
from xnai_operator.render.pod import RenderedPod
from xnai_operator.render.sections import sections
from xnai_operator.render.storage import Storage, storage


def renderer(installation: Installation, cores: int) -> Renderer:
    """The renderer of an installation. `cores`: physical cores that the threads of inference may use."""

    def render(intent: PodIntent) -> RenderedPod:
        service, spec = intent.service, intent.service.spec
        mounted = storage(intent, installation)
        body = _body(intent, mounted, cores)
        attached = network.attachment(service)
        annotations = security.annotations(spec.security)
        digested = digests(installation.key, sections(spec, body, mounted, attached, annotations))
        head = metadata(intent, installation, digested, annotations)
        return RenderedPod(
            namespace=service.namespace,
            service=service.name,
            uid=service.uid,
            document={"apiVersion": "v1", "kind": "Pod", "metadata": head, "spec": body},
            hash=digested.whole,
            sections=digested.sections,
            variant=intent.variant,
            image=spec.image,
            tmpfs=mounted.tmpfs,
            files=mounted.files,
            volumes=mounted.volumes,
            network=attached,
            security=spec.security,
            model_file=mounted.model_file,
            signal=mounted.signal,
            cpus=spec.resources.cpus,
            init_images=tuple(container["image"] for container in body.get("initContainers", [])),
        )

    return render


def _body(intent: PodIntent, mounted: Storage, cores: int) -> dict[str, Any]:
    """The pod document's `spec`."""
    service, mounts = intent.service, mounted.document_mounts()
    init, host_name = containers.init(service, mounts), names.host_name(service.namespace, service.name)
    return {
        **({"hostname": host_name} if host_name is not None else {}),
        # The operator restarts the container. Podman would do so without a back-off (19 restarts in 1.2 s).
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": service.spec.termination_grace_period_seconds,
        **({"initContainers": init} if init else {}),
        "containers": [containers.main(service, mounts, cores)],
        "volumes": mounted.document_volumes(),
    }
