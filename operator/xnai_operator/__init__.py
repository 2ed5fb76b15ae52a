"""The operator: custom resources in, running pods out."""
