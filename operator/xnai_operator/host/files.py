"""Writing files so that a crash leaves the old one or the new one."""

import os
from pathlib import Path


def write_atomically(path: Path, content: str | bytes, mode: int = 0o600) -> None:
    """The file with this content (text as UTF-8) and mode, or as it was: never half of it. Nobody but the user can read
    it before it has its mode. Makes the directory when it is missing. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two processes may write the same file; the last one wins.
    temporary = path.with_name(f"{path.name}.{os.getpid()}.new")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content.encode() if isinstance(content, str) else content)
        os.fchmod(descriptor, mode)
    temporary.replace(path)
