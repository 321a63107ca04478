"""A throw-away certificate authority for servers on loopback."""

import ipaddress
import ssl
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

LOOPBACK = ("localhost", "127.0.0.1")


class Authority:
    """Issues server certificates that live as long as this object's keys: nothing is written to disk for good.

    The extensions are the ones that `ssl.VERIFY_X509_STRICT` (default from Python 3.13) asks for.
    """

    def __init__(
        self,
        name: str = "Embedded directory CA",
        lifetime: timedelta = timedelta(days=7),
        *,
        above: "Authority | None" = None,
    ) -> None:
        """`above`: who issued this authority's own certificate; None for a root."""
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self._until = datetime.now(UTC) + lifetime
        issuer, signer = (above._name, above._key) if above else (self._name, self._key)
        builder = _builder(self._name, issuer, self._key.public_key(), self._until)
        usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
        self._certificate = (
            builder.add_extension(x509.BasicConstraints(ca=True, path_length=0 if above else 1), critical=True)
            .add_extension(usage, critical=True)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
            .sign(signer, hashes.SHA256())
        )

    @property
    def pem(self) -> str:
        """The CA certificate, for those who shall trust it."""
        return self._certificate.public_bytes(Encoding.PEM).decode()

    def server_context(
        self, names: Sequence[str] = LOOPBACK, *, until: datetime | None = None, self_signed: bool = False
    ) -> ssl.SSLContext:
        """A TLS server with what `server_pem` makes."""
        key, certificate = self.server_pem(names, until=until, self_signed=self_signed)
        return _context(key + certificate)

    def server_pem(
        self, names: Sequence[str] = LOOPBACK, *, until: datetime | None = None, self_signed: bool = False
    ) -> tuple[bytes, bytes]:
        """A new private key and its certificate for `names`. `until` in the past makes an expired one."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(names[0])
        issuer, signer = (subject, key) if self_signed else (self._name, self._key)
        certificate = (
            _builder(subject, issuer, key.public_key(), until or self._until)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()),
                critical=False,
            )
            .sign(signer, hashes.SHA256())
        )
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return private, certificate.public_bytes(Encoding.PEM)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, issuer: x509.Name, public_key: ec.EllipticCurvePublicKey, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(until, datetime.now(UTC)) - timedelta(hours=1))
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public_key), critical=False)
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _context(chain: bytes) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with tempfile.NamedTemporaryFile() as file:  # the ssl module reads keys from files only
        file.write(chain)
        file.flush()
        context.load_cert_chain(file.name)
    return context
