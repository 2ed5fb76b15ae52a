"""The restricted profile."""

import pytest
from pydantic import ValidationError

from xnai_operator.api.xnaiservice import Security
from xnai_operator.render import security


def test_a_container_is_restricted() -> None:
    assert security.container(Security()) == {
        "runAsUser": 1001,
        "runAsGroup": 1001,
        "runAsNonRoot": True,
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


def test_root_is_refused_by_the_model_because_kube_play_ignores_run_as_non_root() -> None:
    with pytest.raises(ValidationError):
        Security(run_as_user=0)
