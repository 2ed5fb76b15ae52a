"""Files: written so that a crash leaves the old one or the new one; the last lines of a long one."""

import os
from pathlib import Path
from typing import Final

BLOCK_BYTES: Final = 1 << 16


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
        file.flush()
        os.fsync(descriptor)  # else a power cut after the rename can leave an empty file
    temporary.replace(path)


def last_lines(path: Path, count: int) -> list[str]:
    """The last `count` lines of a text file, read from its end. Raises OSError."""
    with path.open("rb") as file:
        at = file.seek(0, os.SEEK_END)
        blocks: list[bytes] = []
        breaks = 0
        # The break that ends the last line, and the one before the first wanted line.
        while at > 0 and breaks <= count:
            begin = max(0, at - BLOCK_BYTES)
            file.seek(begin)
            blocks.append(file.read(at - begin))
            breaks += blocks[-1].count(b"\n")
            at = begin
    lines = b"".join(reversed(blocks)).decode(errors="replace").splitlines()
    return lines[-count:] if count > 0 else []
