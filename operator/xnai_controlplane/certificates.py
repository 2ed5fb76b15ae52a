"""Certificates of the private control plane: one authority, one server, one client certificate a user."""

import contextlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from xnai_controlplane.files import write_private

AUTHORITY_LIFETIME: Final = timedelta(days=3650)
LIFETIME: Final = timedelta(days=365)
RENEW_BEFORE: Final = timedelta(days=30)


@dataclass(frozen=True)
class Subject:
    """Who a certificate is for. Kubernetes reads the user from the common name, the groups from organisation."""

    name: str
    groups: tuple[str, ...] = ()
    server: bool = False


SERVER = Subject("kube-apiserver", server=True)
ADMIN = Subject("xnai-admin", ("system:masters",))
OPERATOR = Subject("xnai-operator", ("system:masters",))
CONTROLLER_MANAGER = Subject("system:kube-controller-manager", ("system:masters",))
SUBJECTS: Final = {"apiserver": SERVER, "admin": ADMIN, "operator": OPERATOR, "controller-manager": CONTROLLER_MANAGER}


def _name(subject: Subject) -> x509.Name:
    groups = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, group) for group in subject.groups]
    return x509.Name([*groups, x509.NameAttribute(NameOID.COMMON_NAME, subject.name)])


def _store(directory: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_private(directory / f"{name}.key", private)
    write_private(directory / f"{name}.crt", certificate.public_bytes(serialization.Encoding.PEM))


def _builder(subject: Subject, issuer: x509.Name, now: datetime, lifetime: timedelta) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(issuer)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # a clock set back a little at boot must not lock the user out
        .not_valid_after(now + lifetime)
    )


def _authority(directory: Path, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    crt, key_file = directory / "ca.crt", directory / "ca.key"
    if crt.exists() and key_file.exists():
        # A damaged authority is made anew, and with it every certificate it signed.
        with contextlib.suppress(ValueError):
            key = serialization.load_pem_private_key(key_file.read_bytes(), None)
            assert isinstance(key, ec.EllipticCurvePrivateKey)
            return x509.load_pem_x509_certificate(crt.read_bytes()), key
    key = ec.generate_private_key(ec.SECP256R1())
    subject = Subject("xnai-control-plane")
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        _builder(subject, _name(subject), now, AUTHORITY_LIFETIME)
        .public_key(key.public_key())
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    _store(directory, "ca", certificate, key)
    return certificate, key


def _current(path: Path, authority: x509.Certificate, now: datetime) -> bool:
    """Whether the certificate and its key are whole, signed by this authority, and not near their end."""
    try:
        certificate = x509.load_pem_x509_certificate(path.read_bytes())
        serialization.load_pem_private_key(path.with_suffix(".key").read_bytes(), None)
        certificate.verify_directly_issued_by(authority)
    except (FileNotFoundError, ValueError, InvalidSignature):
        return False
    return certificate.not_valid_after_utc - now > RENEW_BEFORE


def ensure(directory: Path, now: datetime | None = None) -> None:
    """Make what is missing and renew what has less than 30 days left, in `directory` (0700)."""
    now = now or datetime.now(UTC)
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o700)
    authority, authority_key = _authority(directory, now)
    for name, subject in SUBJECTS.items():
        if _current(directory / f"{name}.crt", authority, now):
            continue
        key = ec.generate_private_key(ec.SECP256R1())
        purpose = ExtendedKeyUsageOID.SERVER_AUTH if subject.server else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = (
            _builder(subject, authority.subject, now, LIFETIME)
            .public_key(key.public_key())
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([purpose]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(authority_key.public_key()), critical=False
            )
        )
        if subject.server:
            names: list[x509.GeneralName] = [x509.DNSName("localhost"), x509.DNSName("kubernetes.default.svc")]
            names += [x509.IPAddress(ip_address(address)) for address in ("127.0.0.1", "10.0.0.1")]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        _store(directory, name, builder.sign(authority_key, hashes.SHA256()), key)
    service_accounts = directory / "service-accounts.key"
    if not service_accounts.exists() or not service_accounts.read_bytes():
        key = ec.generate_private_key(ec.SECP256R1())
        write_private(
            service_accounts,
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption()
            ),
        )
