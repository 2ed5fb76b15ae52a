"""The machine, and a running container's mounts and network."""
