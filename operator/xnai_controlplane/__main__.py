"""`python -m xnai_controlplane`: find or build the servers, and print the folder that holds them.

With --state and --runtime, the folders of a control plane: write its certificates and kubeconfigs too.
"""

import argparse
import os
import sys
from pathlib import Path

from xnai_controlplane import binaries
from xnai_controlplane.controlplane import PROGRESS, ControlPlane
from xnai_controlplane.prepare import prepare


def _progress(message: str) -> None:
    print(f"{PROGRESS}{message}", file=sys.stderr, flush=True)  # noqa: T201


def main() -> None:
    """Progress goes to standard error."""
    parser = argparse.ArgumentParser(prog="python -m xnai_controlplane", description=__doc__)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--runtime", type=Path)
    given = parser.parse_args()
    if (given.state is None) != (given.runtime is None):
        parser.error("--state and --runtime go together")
    try:
        if given.state is None:
            folder = binaries.ensure(os.environ, _progress)
        else:
            folder = prepare(ControlPlane(given.state, given.runtime), os.environ, _progress)
    except binaries.BinariesError as error:
        sys.exit(f"{PROGRESS}{error}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(folder)  # noqa: T201


if __name__ == "__main__":
    main()
