"""`xnai`: a client of the API like kubectl, and what starts and stops the control plane."""

from xnai_operator.cli.app import main

__all__ = ["main"]
