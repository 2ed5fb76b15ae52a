"""Which tmpfs mounts a service has: policies, precedence, conflicts. Pure."""
