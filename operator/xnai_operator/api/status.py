"""The status of the resources, as the operator writes it and reads it back. The source of the CRD's status schema."""

from typing import Annotated, Any, Self

from pydantic import Field, ValidationError, ValidationInfo, ValidatorFunctionWrapHandler, field_validator

from xnai_operator.api.conditions import StoredCondition, Type
from xnai_operator.api.types import Int64, ListMap, Status


class ResourceStatus(Status):
    """What every resource has. A field that is None, or an empty list, has not been written yet."""

    observed_generation: Int64 | None = None
    """The generation of the resource that the operator last saw."""
    conditions: Annotated[list[StoredCondition], ListMap("type")] = Field(default_factory=list)
    """The state of the resource; Ready is always among them."""

    @field_validator("*", mode="wrap")
    @classmethod
    def _readable_part(cls, value: Any, validate: ValidatorFunctionWrapHandler, info: ValidationInfo) -> Any:
        """Drop what does not fit: another version may have written it, and a status must never make a resource
        invalid. A list loses the entries that do not fit, any other field its value."""
        try:
            return validate(value)
        except ValidationError as error:
            strange = {fault["loc"][0] for fault in error.errors() if fault["loc"]}
            if isinstance(value, list) and strange:
                return validate([entry for index, entry in enumerate(value) if index not in strange])
            assert info.field_name is not None
            return cls.model_fields[info.field_name].get_default(call_default_factory=True, validated_data={})

    @classmethod
    def parse(cls, stored: Any) -> Self:
        """The status as far as this version understands it. `stored` is the object's `status`, or None."""
        return cls.model_validate(stored if isinstance(stored, dict) else {})

    def condition(self, kind: Type) -> StoredCondition | None:
        """The condition of this type, or None."""
        return next((condition for condition in self.conditions if condition.type == kind.value), None)


class TmpfsMountStatus(Status):
    """One tmpfs mount as observed."""

    mount_path: str
    """The path in the container."""
    size_bytes: Int64
    """The size of the mount in the running container."""
    high_water_bytes: Int64
    """The most bytes that were ever in use, rounded up by at most an eighth."""
    recommended_bytes: Int64 | None = None
    """The size that the policy's sizing recommends."""
    recommendation: str | None = None
    """How the recommended size was computed."""


class XnaiServiceStatus(ResourceStatus):
    """What the operator observed. The operator overwrites every edit."""

    restarts: Int64 | None = None
    """Starts after an exit or a failed start, since the spec last changed or the container last ran for long."""
    retry_at_seconds: Int64 | None = None
    """The operator does not start the pod before this time (Unix seconds)."""
    last_start_failure: str | None = None
    """Why the last start failed. Absent once the pod runs or the spec changed."""
    tmpfs: Annotated[list[TmpfsMountStatus], ListMap("mountPath")] = Field(default_factory=list)
    """The tmpfs mounts of the service as observed in the running container."""
    memory_request_bytes: Int64 | None = None
    """The memory that admission counts for the service."""
    memory_high_water_bytes: Int64 | None = None
    """The most memory that the processes of the service ever used."""


class TmpfsPolicyStatus(ResourceStatus):
    """What the operator observed. The operator overwrites every edit."""

    services: Int64 | None = None
    """The number of services that the selector matches."""
