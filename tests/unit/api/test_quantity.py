import pytest

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
