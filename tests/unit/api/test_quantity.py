from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from xnai_operator.api import quantity


@pytest.mark.parametrize(
    ("text", "expected"),
    [("0", 0), ("1", 1), ("1500m", 2), ("1k", 1000), ("1Ki", 1024), ("1.5Mi", 1572864), ("2G", 2_000_000_000)],
)
def test_memory_in_bytes_is_rounded_up(text: str, expected: int) -> None:
    assert quantity.to_bytes(text) == expected


@pytest.mark.parametrize(("text", "expected"), [("2", 2), ("0.5", 1), ("250m", 1), ("1500m", 2), ("0", 0)])
def test_cpu_in_cores_is_rounded_up(text: str, expected: int) -> None:
    assert quantity.to_cores(text) == expected


@pytest.mark.parametrize("text", ["", "Mi", "1MB", "-1", "1e3x", "1 Mi"])
def test_what_is_no_quantity_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="512Mi"):
        quantity.to_bytes(text)


@pytest.mark.parametrize(
    ("kind", "text", "fault"),
    [
        pytest.param(quantity.MemoryQuantity, "64m", "write 64M or 64Mi", id="thousandths of a byte"),
        pytest.param(quantity.MemoryQuantity, "0", None, id="a request of nothing"),
        pytest.param(quantity.SizeQuantity, "0", "a size of 0 is no limit", id="a size of nothing"),
        pytest.param(quantity.SizeQuantity, "0.0G", "a size of 0 is no limit", id="a size of nothing, in G"),
        pytest.param(quantity.SizeQuantity, "64m", "write 64M or 64Mi", id="a size in thousandths"),
        pytest.param(quantity.SizeQuantity, "0.5Ki", None, id="a small size"),
        pytest.param(quantity.SizeOrShare, "25%", None, id="a share"),
        pytest.param(quantity.SizeOrShare, "0%", "is not a quantity", id="a share of nothing"),
        pytest.param(quantity.Quantity, "250m", None, id="CPU in thousandths"),
    ],
)
def test_memory_is_whole_bytes_and_a_size_is_more_than_nothing(kind: Any, text: str, fault: str | None) -> None:
    adapter = TypeAdapter(kind)
    if fault is None:
        assert adapter.validate_python(text) == text
    else:
        with pytest.raises(ValidationError, match=fault):
            adapter.validate_python(text)
