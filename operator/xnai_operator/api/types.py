"""What the resources have in common: the base models of spec and status, names, and what the CRD says beyond types."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Final

from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler, WithJsonSchema
from pydantic.alias_generators import to_camel
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

GROUP = "xnai.dev"
VERSION = "v1alpha1"

Name = Annotated[str, Field(pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$", max_length=63)]
"""A DNS label."""

DNS_LABEL: Final = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
"""RFC 1123: what a host name may consist of between two dots."""

AbsolutePath = Annotated[str, Field(pattern=r"^/([^/:\\]+/?)*$", max_length=4096)]
"""An absolute path without `:` (Podman splits mount options there)."""

Mode = Annotated[str, Field(pattern=r"^[0-7]{3,4}$")]
"""A file mode in octal digits."""

Int64 = Annotated[int, WithJsonSchema({"type": "integer", "format": "int64"})]
"""A number in a status: bytes, seconds, counts."""

Time = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""A time as RFC 3339 text, in UTC."""


@dataclass(frozen=True)
class Rule:
    """A CEL rule of the API server (`x-kubernetes-validations`)."""

    rule: str
    message: str

    def schema(self) -> dict[str, str]:
        """As it stands in the CRD."""
        return {"rule": self.rule, "message": self.message}


@dataclass(frozen=True)
class ListMap:
    """Marks a list whose entries are told apart by the field `key`, in JSON's spelling: server-side apply merges it
    entry by entry, and the API server refuses two entries with one key. Without it a list is replaced as a whole."""

    key: str

    def __get_pydantic_json_schema__(self, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core_schema)
        return {**schema, "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [self.key]}


class Spec(BaseModel):
    """Base of everything under `spec`: camelCase in JSON, unknown keys refused."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        extra="forbid",
        frozen=True,
        use_attribute_docstrings=True,
        defer_build=True,  # a command that reads no resource must not pay for the validators of all
    )
    rules: ClassVar[tuple[Rule, ...]] = ()

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        schema = handler(core_schema)
        if cls.rules:
            handler.resolve_ref_schema(schema)["x-kubernetes-validations"] = [rule.schema() for rule in cls.rules]
        return schema

    def to_json(self) -> dict[str, Any]:
        """As written in YAML: neither defaults nor nulls."""
        return self.model_dump(by_alias=True, exclude_unset=True, exclude_none=True, mode="json")


class Status(BaseModel):
    """Base of everything under `status`: camelCase in JSON, unknown keys ignored, since another version may have
    written them."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="ignore", frozen=True, use_attribute_docstrings=True
    )

    def to_json(self) -> dict[str, Any]:
        """As stored: neither what was not set nor nulls."""
        return self.model_dump(by_alias=True, exclude_unset=True, exclude_none=True, mode="json")
