"""The resources as objects of the API: metadata, spec, status, parsed from what the API server stores."""

import re
from dataclasses import dataclass, field
from typing import Any, Final, Generic, TypeVar

from pydantic import ValidationError

from xnai_operator.api.conditions import StoredCondition, Type
from xnai_operator.api.status import ResourceStatus, TmpfsPolicyStatus, XnaiServiceStatus
from xnai_operator.api.tmpfspolicy import TmpfsPolicySpec
from xnai_operator.api.types import DNS_LABEL, Rule, Spec
from xnai_operator.api.xnaiservice import XnaiServiceSpec

S = TypeVar("S", bound=Spec)
T = TypeVar("T", bound=ResourceStatus)


def key_of(namespace: str, name: str) -> str:
    """`namespace.name`: identifies a resource of one kind, and names a service's pod. Neither part can hold a dot."""
    return f"{namespace}.{name}"


@dataclass(frozen=True)
class Resource(Generic[S, T]):
    """One object. `created` orders by age (RFC 3339 text sorts as time)."""

    namespace: str
    name: str
    spec: S
    status: T
    uid: str = ""
    generation: int = 0
    created: str = ""
    deleting: bool = False
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """`namespace.name`, which is also the name of a service's pod."""
        return key_of(self.namespace, self.name)

    def condition(self, kind: Type) -> StoredCondition | None:
        """The stored condition of this type, or None."""
        return self.status.condition(kind)

    def stored_reason(self, kind: Type) -> str:
        """The reason of the stored condition of this type; empty when there is none."""
        stored = self.condition(kind)
        return stored.reason if stored is not None else ""

    def stored_ready(self) -> bool:
        """Whether the stored status says that it is Ready."""
        ready = self.condition(Type.READY)
        return ready is not None and ready.status == "True"


XnaiService = Resource[XnaiServiceSpec, XnaiServiceStatus]
TmpfsPolicy = Resource[TmpfsPolicySpec, TmpfsPolicyStatus]


class InvalidResourceError(ValueError):
    """The object does not fit the model. The message has one `field.path: what is wrong` for each fault."""


def _path(location: tuple[int | str, ...]) -> str:
    text = "spec"
    for part in location:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text


def _parse(body: dict[str, Any], spec: type[S], status: type[T]) -> Resource[S, T]:
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
        status=status.parse(body.get("status")),
        uid=metadata.get("uid", ""),
        generation=metadata.get("generation", 0),
        created=metadata.get("creationTimestamp", ""),
        deleting="deletionTimestamp" in metadata,
        labels=dict(metadata.get("labels") or {}),
    )


NAME_RULE: Final = Rule(
    f"self.metadata.name.matches('^{DNS_LABEL}$')",
    "metadata.name must be a DNS label: lower-case letters, digits and hyphens, at most 63 characters, no dot. "
    "Other services find the service by this name",
)


def service(body: dict[str, Any]) -> XnaiService:
    """Parse an XnaiService. Raises InvalidResourceError with the paths of what is wrong."""
    if not re.fullmatch(DNS_LABEL, body["metadata"]["name"]):
        raise InvalidResourceError(NAME_RULE.message)
    return _parse(body, XnaiServiceSpec, XnaiServiceStatus)


def policy(body: dict[str, Any]) -> TmpfsPolicy:
    """Parse a TmpfsPolicy. Raises InvalidResourceError with the paths of what is wrong."""
    return _parse(body, TmpfsPolicySpec, TmpfsPolicyStatus)
