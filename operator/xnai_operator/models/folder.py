"""The models folder: every GGUF file in it with its header."""

from collections.abc import Iterable
from pathlib import Path

from xnai_operator.memory.gguf_header import ModelHeader
from xnai_operator.models.gguf import GgufError, read_file


class ModelFolder:
    """Reads each header once, and again when the file changed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._known: dict[str, tuple[tuple[int, int], ModelHeader | str]] = {}

    def read(self) -> dict[str, ModelHeader | str]:
        """File name -> header, or why it cannot be read. A missing folder is an empty one. Blocking."""
        found: dict[str, tuple[tuple[int, int], ModelHeader | str]] = {}
        for path in sorted(self._directory.glob("*.gguf")):
            try:
                status = path.stat()
                identity = (status.st_mtime_ns, status.st_size)
                known = self._known.get(path.name)
                fresh = known if known is not None and known[0] == identity else (identity, read_file(path))
            except (OSError, GgufError) as error:
                fresh = ((0, 0), str(error))
            found[path.name] = fresh
        self._known = found
        return {name: header for name, (_, header) in found.items()}

    def paths(self, names: Iterable[str]) -> list[Path]:
        """The paths of the files of these names."""
        return [self._directory / name for name in sorted(names)]
