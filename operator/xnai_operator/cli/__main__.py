"""`python -m xnai_operator.cli`."""

from xnai_operator.cli.app import main

main()
