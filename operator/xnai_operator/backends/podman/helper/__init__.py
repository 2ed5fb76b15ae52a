"""A program in Podman's user and mount namespaces (`podman unshare`): what the operator cannot do outside.

It mounts sized tmpfs directories that Podman then sees, writes files into them, reads the mounts of a container, and
opens sockets in a pod's network namespace. `protocol` names its operations. It uses the standard library only, and of
that no module that takes much memory: 13 MiB RSS (Python 3.13), ready in 50 ms.
"""
