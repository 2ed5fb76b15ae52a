"""Files of the control plane that a power cut left empty are made anew."""

from pathlib import Path

import pytest
from cryptography import x509

from xnai_controlplane import ControlPlane, certificates


@pytest.mark.parametrize(
    "name", ["ca.crt", "ca.key", "admin.crt", "admin.key", "apiserver.crt", "service-accounts.key"]
)
def test_an_empty_file_is_made_anew_and_the_chain_holds(name: str, tmp_path: Path) -> None:
    certificates.ensure(tmp_path)
    (tmp_path / name).write_bytes(b"")
    certificates.ensure(tmp_path)
    assert (tmp_path / name).read_bytes()
    authority = x509.load_pem_x509_certificate((tmp_path / "ca.crt").read_bytes())
    for subject in certificates.SUBJECTS:
        x509.load_pem_x509_certificate((tmp_path / f"{subject}.crt").read_bytes()).verify_directly_issued_by(authority)


def test_whole_certificates_stay(tmp_path: Path) -> None:
    certificates.ensure(tmp_path)
    before = {file.name: file.read_bytes() for file in tmp_path.iterdir()}
    certificates.ensure(tmp_path)
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == before


def test_an_empty_port_is_chosen_anew_and_kept(tmp_path: Path) -> None:
    plane = ControlPlane(tmp_path, tmp_path / "run")
    (tmp_path / "port").touch()
    assert plane.port == plane.port > 0
