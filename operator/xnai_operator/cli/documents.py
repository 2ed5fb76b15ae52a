"""The documents of `-f`."""

import sys
from pathlib import Path
from typing import Any

from xnai_operator.cli.output import Exit, fail
from xnai_operator.kube import manifests


def read(files: list[str]) -> list[dict[str, Any]]:
    """The objects of files, of folders and of standard input (`-`); a wrong file ends the command with 2."""
    try:
        piped = manifests.parse(sys.stdin.read(), "standard input") if "-" in files else []
        return [*manifests.read(Path(f) for f in files if f != "-"), *piped]
    except manifests.ManifestError as error:
        fail(str(error), Exit.USAGE)
