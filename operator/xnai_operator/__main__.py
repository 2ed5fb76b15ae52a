"""`python -m xnai_operator`: the operator process. `xnai serve` starts it."""

from xnai_operator.driver import main

main()
