"""The reference workloads. Their images run these modules."""
