"""The resources as objects of the API: metadata, spec, status, parsed from what the API server stores."""

from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from xnai_operator.api.conditions import Type
from xnai_operator.api.tmpfspolicy import TmpfsPolicySpec
from xnai_operator.api.types import GROUP, VERSION, Spec
from xnai_operator.api.xnaiservice import XnaiServiceSpec

S = TypeVar("S", bound=Spec)


def key_of(namespace: str, name: str) -> str:
    """`namespace.name`: identifies a resource of one kind, and names a service's pod. Neither part can hold a dot."""
    return f"{namespace}.{name}"


@dataclass(frozen=True)
class Resource(Generic[S]):
    """One object. `created` orders by age (RFC 3339 text sorts as time)."""

    namespace: str
    name: str
    spec: S
    uid: str = ""
    generation: int = 0
    created: str = ""
    deleting: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    status: dict[str, Any] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """`namespace.name`, which is also the name of a service's pod."""
        return key_of(self.namespace, self.name)

    def condition(self, kind: Type) -> dict[str, Any]:
        """The stored condition of this type; empty when there is none."""
        return next((c for c in self.status.get("conditions") or [] if c["type"] == kind.value), {})

    def stored_reason(self, kind: Type) -> str:
        """The reason of the stored condition of this type; empty when there is none."""
        return str(self.condition(kind).get("reason", ""))

    def stored_ready(self) -> bool:
        """Whether the stored status says that it is Ready."""
        return self.condition(Type.READY).get("status") == "True"


XnaiService = Resource[XnaiServiceSpec]
TmpfsPolicy = Resource[TmpfsPolicySpec]


class InvalidResourceError(ValueError):
    """The object does not fit the model. The message has one `field.path: what is wrong` for each fault."""


def _path(location: tuple[int | str, ...]) -> str:
    text = "spec"
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text


def _parse(body: dict[str, Any], spec: type[S]) -> Resource[S]:
    metadata = body.get("metadata", {})
    try:
        parsed = spec.model_validate(body.get("spec", {}))
    except ValidationError as error:
        faults = [f"{_path(e['loc'])}: {e['msg']}" for e in error.errors()]
        raise InvalidResourceError("; ".join(faults)) from error
    return Resource(
        namespace=metadata.get("namespace", "default"),
        name=metadata.get("name", ""),
        spec=parsed,
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 0),
        created=metadata.get("creationTimestamp", ""),
        deleting="deletionTimestamp" in metadata,
        labels=dict(metadata.get("labels") or {}),
        status=dict(body.get("status") or {}),
    )


def service(body: dict[str, Any]) -> XnaiService:
    """Parse an XnaiService. Raises InvalidResourceError with the paths of what is wrong."""
    return _parse(body, XnaiServiceSpec)


def policy(body: dict[str, Any]) -> TmpfsPolicy:
    """Parse a TmpfsPolicy. Raises InvalidResourceError with the paths of what is wrong."""
    return _parse(body, TmpfsPolicySpec)


API_VERSION = f"{GROUP}/{VERSION}"
KINDS = {"XnaiService": service, "TmpfsPolicy": policy}
