"""Chains of small checks, each returning what it violates. Pure."""
