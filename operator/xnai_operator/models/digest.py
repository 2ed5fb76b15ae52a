"""The SHA-256 of model files. It is computed once a file, in the background, and kept beside the file.

A restart of the operator must not read gigabytes again, so the digest is stored in a hidden file of the models folder
with the identity of the file it belongs to.
"""

import hashlib
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import structlog

log = structlog.get_logger()


class Identity(NamedTuple):
    """What changes when a file is replaced or written. `mtime` and `ctime` in nanoseconds, `size` in bytes."""

    mtime: int
    ctime: int
    size: int
    inode: int


def identity(path: Path) -> Identity:
    """The identity of the file now. Raises OSError."""
    status = path.stat()
    return Identity(status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name}.sha256")


def _without_ctime(found: Identity) -> str:
    # A change of mode changes ctime and no content, and a copy of the folder keeps mtime and size.
    return f"{found.mtime} {found.size} {found.inode}"


def stored(path: Path, found: Identity) -> str | None:
    """The stored digest, if it belongs to this very file. Blocking."""
    try:
        digest, _, of = _beside(path).read_text().strip().partition(" ")
    except (OSError, UnicodeDecodeError):
        return None
    return digest if of == _without_ctime(found) else None


def store(path: Path, found: Identity, digest: str) -> None:
    """Keep the digest for later starts. In a folder that cannot be written, the next start computes it again.
    Blocking."""
    try:
        _beside(path).write_text(f"{digest} {_without_ctime(found)}\n")
    except OSError as error:
        log.warning("digest of a model not stored", file=path.name, message=str(error))


class Digests:
    """The digests of the files of a folder. One file is read at a time; `changed` is called when a digest is known."""

    def __init__(self, changed: Callable[[], None]) -> None:
        self._changed = changed
        self._known: dict[Path, tuple[Identity, str]] = {}
        self._wanted: dict[Path, Identity] = {}
        self._lock = threading.Lock()
        self._worker: threading.Thread | None = None

    def of(self, path: Path, found: Identity) -> str | None:
        """The digest of this very file; None while it is not known. Blocking, but not for the length of the file."""
        known = self._known.get(path)
        if known is not None and known[0] == found:
            return known[1]
        digest = stored(path, found)
        if digest is not None:
            self._known[path] = (found, digest)
        return digest

    def want(self, paths: Iterable[Path]) -> None:
        """Compute the digests of these files that are not known. Returns at once. The thread is a daemon: it never
        delays the end of the process."""
        with self._lock:
            for path in paths:
                try:
                    found = identity(path)
                except OSError:
                    continue
                if (self._known.get(path) or (None,))[0] != found:
                    self._wanted[path] = found
            if self._wanted and self._worker is None:
                self._worker = threading.Thread(target=self._work, name="model digests", daemon=True)
                self._worker.start()

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._wanted:
                    self._worker = None
                    return
                path = next(iter(self._wanted))
                found = self._wanted.pop(path)
            if self._compute(path, found):
                self._changed()

    def _compute(self, path: Path, found: Identity) -> bool:
        try:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            if identity(path) != found:  # written meanwhile: the next pass asks again
                return True
        except OSError as error:
            log.warning("digest of a model not computed", file=path.name, message=str(error))
            return False
        self._known[path] = (found, digest)
        store(path, found, digest)
        return True
