"""The kinds of the Kubernetes API that the operator uses: one row a kind. A new custom resource is one row here.

What is derived from it: the CustomResourceDefinitions, the paths of the API, the watches, the order of `xnai up`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from xnai_operator.api import resources
from xnai_operator.api.resources import Resource
from xnai_operator.api.status import ResourceStatus, TmpfsPolicyStatus, XnaiServiceStatus
from xnai_operator.api.tmpfspolicy import TmpfsPolicySpec
from xnai_operator.api.types import GROUP, VERSION, Rule, Spec
from xnai_operator.api.xnaiservice import XnaiServiceSpec


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of the API server. `watched`: the operator reads every object of it."""

    name: str
    plural: str
    group: str = ""
    version: str = "v1"
    namespaced: bool = True
    watched: bool = False

    @property
    def api_version(self) -> str:
        """As it stands in `apiVersion`."""
        return f"{self.group}/{self.version}" if self.group else self.version

    def path(self, namespace: str = "", name: str = "") -> str:
        """The path on the API server: of one object, of the objects of a namespace, or, without a namespace, of all."""
        parts = ["apis" if self.group else "api", self.api_version]
        if namespace and self.namespaced:
            parts += ["namespaces", namespace]
        return "/" + "/".join([*parts, self.plural, *([name] if name else [])])


@dataclass(frozen=True)
class Column:
    """A column of `kubectl get`; one of priority 1 is shown with `-o wide`."""

    name: str
    path: str
    type: str = "string"
    priority: int = 0


@dataclass(frozen=True, kw_only=True)
class CustomKind(Kind):
    """A kind of our own. `summary` opens `kubectl explain`. `parse` raises InvalidResourceError. `columns` stand beside
    those of every kind (crd.py). `rules` are about the whole object; a rule sees no metadata but the name."""

    group: str = GROUP
    version: str = VERSION
    watched: bool = True
    short_name: str
    summary: str
    spec: type[Spec]
    status: type[ResourceStatus]
    parse: Callable[[dict[str, Any]], Resource[Any, Any]]
    columns: tuple[Column, ...] = ()
    rules: tuple[Rule, ...] = ()

    @property
    def definition_name(self) -> str:
        """The name of its CustomResourceDefinition."""
        return f"{self.plural}.{self.group}"


XNAI_SERVICE: Final = CustomKind(
    name="XnaiService",
    plural="xnaiservices",
    short_name="xs",
    summary="XnaiService runs one service as one pod on this machine. The operator starts the pod when its memory, "
    "image, files and dependencies are there, probes it, and starts it again when it ends.",
    spec=XnaiServiceSpec,
    status=XnaiServiceStatus,
    parse=resources.service,
    columns=(Column("Restarts", ".status.restarts", "integer", 1), Column("Image", ".spec.image", priority=1)),
    rules=(resources.NAME_RULE,),
)
TMPFS_POLICY: Final = CustomKind(
    name="TmpfsPolicy",
    plural="tmpfspolicies",
    short_name="tp",
    summary="TmpfsPolicy declares tmpfs mounts for the services of its namespace that its selector matches. "
    "It sets their sizes, a common budget, and what happens when memory does not suffice.",
    spec=TmpfsPolicySpec,
    status=TmpfsPolicyStatus,
    parse=resources.policy,
    columns=(Column("Services", ".status.services", "integer"),),
)
CUSTOM: Final = (XNAI_SERVICE, TMPFS_POLICY)
"""Our own kinds, in the order of the documentation."""

CUSTOM_RESOURCE_DEFINITION: Final = Kind(
    name="CustomResourceDefinition", plural="customresourcedefinitions", group="apiextensions.k8s.io", namespaced=False
)
NAMESPACE: Final = Kind(name="Namespace", plural="namespaces", namespaced=False)
SECRET: Final = Kind(name="Secret", plural="secrets", watched=True)
CONFIG_MAP: Final = Kind(name="ConfigMap", plural="configmaps", watched=True)

# A policy comes before the services it selects, so that these start with its mounts.
ALL: Final[tuple[Kind, ...]] = (CUSTOM_RESOURCE_DEFINITION, NAMESPACE, SECRET, CONFIG_MAP, *reversed(CUSTOM))
"""Every kind the operator applies, in the order in which they are applied."""
WATCHED: Final = tuple(kind for kind in ALL if kind.watched)
"""Every kind the operator reads."""
BY_NAME: Final = {kind.name: kind for kind in ALL}
