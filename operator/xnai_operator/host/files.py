"""Writing files so that a crash leaves the old one or the new one."""

from pathlib import Path


def write_atomically(path: Path, text: str, mode: int = 0o600) -> None:
    """The file with this text and mode, or as it was: never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.new")
    temporary.write_text(text)
    temporary.chmod(mode)
    temporary.replace(path)
