"""A private kube-apiserver with etcd on one machine: the real ones, nothing else of a cluster.

The package imports little: a supervisor lives as long as the servers, and keeps in memory what it imported. What
makes binaries and certificates is in `prepare`, and runs in a process of its own.
"""

from xnai_controlplane.controlplane import ControlPlane, PrepareError
from xnai_controlplane.process import Process
from xnai_controlplane.supervisor import StartError, Supervisor

__all__ = ["ControlPlane", "PrepareError", "Process", "StartError", "Supervisor"]
