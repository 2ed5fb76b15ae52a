"""The reference workloads: what the images run."""
