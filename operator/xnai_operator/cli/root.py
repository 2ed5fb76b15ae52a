"""Root in a checkout: the commands run as the unprivileged user of the private environment (`hack/env`)."""

import os
from pathlib import Path
from typing import Final

ENVIRONMENT: Final = Path(__file__).resolve().parents[3] / "hack" / "env"


def exec_as_user(arguments: list[str]) -> None:
    """Replace this process when it is root's and the environment is there; otherwise return.

    Files named with -f may lie where the environment does not see them: they go in through standard input.
    """
    if (
        os.getuid() != 0
        or "XNAI_ENVIRONMENT" in os.environ
        or "_XNAI_COMPLETE" in os.environ
        or not ENVIRONMENT.exists()
    ):
        return
    if not arguments or arguments[0] in {"--help", "--install-completion", "--show-completion"}:
        return
    passed, files = _without_files(arguments)
    if files:
        text = "\n---\n".join(_texts(files))
        reader, writer = os.pipe()
        if os.fork() == 0:
            os.close(reader)
            with os.fdopen(writer, "w") as pipe:
                pipe.write(text)
            os._exit(0)
        os.close(writer)
        os.dup2(reader, 0)
    os.execv(ENVIRONMENT, [str(ENVIRONMENT), "run", "python", "-m", "xnai_operator.cli", *passed])  # noqa: S606


def _without_files(arguments: list[str]) -> tuple[list[str], list[Path]]:
    """The arguments with existing files named by -f replaced by one `-f -`, and those files."""
    passed: list[str] = []
    files: list[Path] = []
    rest = iter(arguments)
    for argument in rest:
        if argument in {"-f", "--filename"}:
            value = next(rest, "")
            if value != "-" and Path(value).exists():
                files.append(Path(value))
                continue
            passed += [argument, value]
        else:
            passed.append(argument)
    return ([*passed, "-f", "-"] if files else passed), files


def _texts(files: list[Path]) -> list[str]:
    return [f.read_text() for path in files for f in (sorted(path.rglob("*.yaml")) if path.is_dir() else [path])]
