"""What must be there before the servers start: their binaries, certificates and kubeconfigs."""

from collections.abc import Callable, Mapping
from pathlib import Path

from xnai_controlplane import binaries, certificates, kubeconfig
from xnai_controlplane.controlplane import ControlPlane


def prepare(plane: ControlPlane, environ: Mapping[str, str], progress: Callable[[str], None]) -> Path:
    """Make what is missing or near its end; the folder of the binaries. Raises BinariesError."""
    folder = binaries.ensure(environ, progress)
    plane.runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
    certificates.ensure(plane.certificates)
    for path, user in (
        (plane.kubeconfig, "admin"),
        (plane.operator_kubeconfig, "operator"),
        (plane.controller_manager_kubeconfig, "controller-manager"),
    ):
        kubeconfig.write(path, plane.certificates, user, plane.port)
    return folder
