"""What the resources have in common: the base model, names, CEL rules attached to a model."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "xnai.dev"
VERSION = "v1alpha1"

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
"""A DNS label."""

AbsolutePath = Annotated[str, Field(pattern=r"^/([^/:\\]+/?)*$", max_length=4096)]
"""An absolute path without `:` (Podman splits mount options there)."""

Mode = Annotated[str, Field(pattern=r"^[0-7]{3,4}$")]
"""A file mode in octal digits."""


@dataclass(frozen=True)
class Rule:
    """A CEL rule of the API server (`x-kubernetes-validations`)."""

    rule: str
    message: str

    def schema(self) -> dict[str, str]:
        """As it stands in the CRD."""
        return {"rule": self.rule, "message": self.message}


class Spec(BaseModel):
    """Base of everything under `spec`: camelCase in JSON, unknown keys refused."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, use_attribute_docstrings=True
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    def to_json(self) -> dict[str, Any]:
        """As written in YAML, without what was not set."""
        return self.model_dump(by_alias=True, exclude_none=True, mode="json")
