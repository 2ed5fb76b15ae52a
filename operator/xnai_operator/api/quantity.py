"""Kubernetes quantities: `512Mi`, `1.5G`, `250m`, as the API server parses them.

Source: k8s.io/apimachinery/pkg/api/resource (suffixes and rounding up to the next whole unit).
"""

import re
from decimal import ROUND_CEILING, Decimal
from typing import Annotated, Any, Final

from pydantic import AfterValidator, WithJsonSchema

from xnai_operator.api.types import Rule

MI: Final = 1 << 20
"""Bytes of one mebibyte."""

SHARE: Final = r"(100|[1-9][0-9]?)%"
PATTERN: Final = r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|P|E|Ki|Mi|Gi|Ti|Pi|Ei)?$"

_FACTORS: Final[dict[str, Decimal]] = {
    "": Decimal(1),
    "m": Decimal("0.001"),
    **{suffix: Decimal(1000) ** (i + 1) for i, suffix in enumerate(["k", "M", "G", "T", "P", "E"])},
    **{suffix: Decimal(1024) ** (i + 1) for i, suffix in enumerate(["Ki", "Mi", "Gi", "Ti", "Pi", "Ei"])},
}


def _parse(text: str) -> Decimal:
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([a-zA-Z]*)", text)
    if match is None or match[2] not in _FACTORS:
        raise ValueError(f"{text!r} is not a quantity; write a number with an optional suffix, such as 512Mi or 1.5G")
    return Decimal(match[1]) * _FACTORS[match[2]]


def to_bytes(text: str) -> int:
    """A quantity of memory in bytes, rounded up. Raises ValueError when it is not a quantity."""
    return int(_parse(text).to_integral_value(rounding=ROUND_CEILING))


def to_cores(text: str) -> int:
    """A quantity of CPU in whole cores, rounded up. Raises ValueError when it is not a quantity."""
    return int(_parse(text).to_integral_value(rounding=ROUND_CEILING))


def share_to_bytes(text: str, whole: int) -> int:
    """A quantity of memory, or a share of `whole` such as `25%`, in bytes. Raises ValueError when it is neither."""
    return whole * int(text[:-1]) // 100 if re.fullmatch(SHARE, text) else to_bytes(text)


def _checked(text: str) -> str:
    _parse(text)
    return text


def _checked_memory(text: str) -> str:
    _parse(text)
    if text.endswith("m"):
        number = text[:-1]
        raise ValueError(f"{text}: m is thousandths of a byte; write {number}M or {number}Mi")
    return text


def _checked_size(text: str) -> str:
    if to_bytes(_checked_memory(text)) == 0:
        raise ValueError(f"{text}: a size of 0 is no limit; write at least one page, 4Ki")
    return text


def _checked_share(text: str) -> str:
    return text if re.fullmatch(SHARE, text) else _checked_size(text)


def _schema(pattern: str, *rules: Rule) -> WithJsonSchema:
    schema: dict[str, Any] = {"type": "string", "pattern": pattern, "maxLength": 32}
    if rules:
        schema["x-kubernetes-validations"] = [rule.schema() for rule in rules]
    return WithJsonSchema(schema)


# The API server reports a pattern as it stands; a rule says in words what is wrong.
_NOT_THOUSANDTHS: Final = Rule("!self.endsWith('m')", "m is thousandths of a byte; write M (10^6) or Mi (2^20)")
_NOT_ZERO: Final = Rule("self.matches('[1-9]')", "a size of 0 is no limit; write at least one page, 4Ki")

Quantity = Annotated[str, AfterValidator(_checked), _schema(PATTERN)]
"""A quantity as written by the user; parsed where it is used, so that what is shown is what was written."""

MemoryQuantity = Annotated[str, AfterValidator(_checked_memory), _schema(PATTERN, _NOT_THOUSANDTHS)]
"""A quantity of memory."""

SizeQuantity = Annotated[str, AfterValidator(_checked_size), _schema(PATTERN, _NOT_THOUSANDTHS, _NOT_ZERO)]
"""A quantity of memory that is more than nothing."""

SizeOrShare = Annotated[
    str, AfterValidator(_checked_share), _schema(f"{PATTERN}|^{SHARE}$", _NOT_THOUSANDTHS, _NOT_ZERO)
]
"""A quantity of memory that is more than nothing, or a share of the machine's memory in percent."""
