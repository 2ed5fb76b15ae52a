"""The pass: gather, decide, act, report."""
