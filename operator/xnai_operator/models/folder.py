"""The models folder: every GGUF file in it with its header."""

import stat
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path

from xnai_operator.memory.gguf_header import ModelFile, ModelHeader
from xnai_operator.models.digest import Digests, Identity, identity
from xnai_operator.models.gguf import GgufError, read_file


class ModelFolder:
    """Reads each header once, and again when the file changed. `changed` is called when a digest that `verify` asked
    for is known."""

    def __init__(self, directory: Path, changed: Callable[[], None] = lambda: None) -> None:
        self._directory = directory
        self._digests = Digests(changed)
        self._known: dict[str, tuple[Identity, ModelHeader | str]] = {}

    def read(self) -> dict[str, ModelHeader | str]:
        """File name -> header, or why it cannot be used. A missing folder is an empty one. Blocking."""
        found: dict[str, ModelHeader | str] = {}
        known: dict[str, tuple[Identity, ModelHeader | str]] = {}
        for path in sorted(self._directory.glob("*.gguf")):
            try:
                now = identity(path)
                before = self._known.get(path.name)
                known[path.name] = before if before is not None and before[0] == now else (now, _header(path))
                found[path.name] = self._with_digest(path, *known[path.name])
            except OSError as error:
                found[path.name] = str(error)
        self._known = known
        return found

    def verify(self, names: Iterable[str]) -> None:
        """Compute the digests of these files in the background, as far as they are not known. Returns at once."""
        self._digests.want(self.paths(names))

    def paths(self, names: Iterable[str]) -> list[Path]:
        """The paths of the files of these names."""
        return [self._directory / name for name in sorted(names)]

    def _with_digest(self, path: Path, now: Identity, header: ModelHeader | str) -> ModelHeader | str:
        if isinstance(header, str) or header.file is None:
            return header
        return replace(header, file=replace(header.file, sha256=self._digests.of(path, now)))


def _header(path: Path) -> ModelHeader | str:
    """Raises OSError."""
    try:
        header = read_file(path)
    except GgufError as error:
        return str(error)
    return replace(header, file=ModelFile(for_all_users=bool(path.stat().st_mode & stat.S_IROTH)))
