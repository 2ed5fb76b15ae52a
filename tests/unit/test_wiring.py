"""The parts of the operator from its settings."""

from pathlib import Path

import pytest

from xnai_operator.errors import StateError
from xnai_operator.wiring import installation_key


def test_the_key_of_an_installation_is_made_once_and_is_the_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "installation.key"
    key = installation_key(path)
    assert (len(key), installation_key(path), path.stat().st_mode & 0o777) == (32, key, 0o600)


def test_a_damaged_key_is_named_and_not_made_anew(tmp_path: Path) -> None:
    key = tmp_path / "installation.key"
    key.touch()
    with pytest.raises(StateError, match=f"{key} has 0 bytes"):
        installation_key(key)
    assert key.read_bytes() == b""
