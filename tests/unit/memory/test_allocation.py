"""What a pod's label has of its allocation."""

import pytest

from xnai_operator.memory.allocation import Allocation


@pytest.mark.parametrize(
    ("allocation", "label"),
    [
        pytest.param(Allocation(5), '[5, 0, "", "", false]', id="memory"),
        pytest.param(
            Allocation(5, 7, "m.gguf", "/dev/dri/renderD128", includes_tmpfs=True),
            '[5, 7, "m.gguf", "/dev/dri/renderD128", true]',
            id="model on a GPU",
        ),
        pytest.param(Allocation(5, model_file='a "b".gguf'), r'[5, 0, "a \"b\".gguf", "", false]', id="quotes"),
    ],
)
def test_the_label_keeps_its_form_and_is_read_back(allocation: Allocation, label: str) -> None:
    assert (allocation.to_text(), Allocation.from_text(label)) == (label, allocation)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("5", id="a number"),
        pytest.param("[]", id="an empty list"),
        pytest.param("[1,2]", id="too few fields"),
        pytest.param('[1,2,"","",false,6]', id="too many fields"),
        pytest.param('["x",0,"","",false]', id="no number of bytes"),
        pytest.param('[null,0,"","",false]', id="null bytes"),
    ],
)
def test_any_other_label_is_refused(text: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        Allocation.from_text(text)
