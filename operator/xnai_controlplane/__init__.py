"""A private kube-apiserver with etcd on one machine: the real ones, nothing else of a cluster."""

from xnai_controlplane.binaries import BinariesError
from xnai_controlplane.controlplane import ControlPlane
from xnai_controlplane.process import Process
from xnai_controlplane.supervisor import StartError, Supervisor

__all__ = ["BinariesError", "ControlPlane", "Process", "StartError", "Supervisor"]
