"""The parts of the operator from its settings."""

from pathlib import Path

from xnai_operator.wiring import installation_key


def test_the_key_of_an_installation_is_made_once_and_is_the_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "installation.key"
    key = installation_key(path)
    assert (len(key), installation_key(path), path.stat().st_mode & 0o777) == (32, key, 0o600)
