"""`python -m xnai_controlplane`: find or build the servers, and print the folder that holds them."""

import os
import sys

from xnai_controlplane.binaries import BinariesError, ensure


def main() -> None:
    """Progress goes to standard error."""
    try:
        folder = ensure(os.environ, lambda message: print(f"control plane: {message}", file=sys.stderr, flush=True))  # noqa: T201
    except BinariesError as error:
        sys.exit(f"control plane: {error}")
    print(folder)  # noqa: T201


main()
