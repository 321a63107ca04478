"""Public keys of client applications, from a JWKS or an X.509 certificate that an administrator pastes."""

import json
import re
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import ECKey, JWKRegistry, Key, OKPKey, RSAKey
from joserfc.util import to_str, urlsafe_b64encode

from chalicelib.domain.client_application import MAX_KEYS, ApplicationKey
from chalicelib.domain.errors import InvalidRequest

from .id_token import MALFORMED

_MAX_TEXT = 64 * 1024
_KID = re.compile(r"[A-Za-z0-9._~:/+=@-]{1,128}")
"""Nothing in it means anything to a shell or in a program's string, where people copy it to."""
_MIN_RSA_BITS, _MAX_RSA_BITS = 2048, 8192
_EC = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_RSA = ("RS256", "PS256")
_PUBLIC = {"RSA": ("kty", "n", "e"), "EC": ("kty", "crv", "x", "y"), "OKP": ("kty", "crv", "x")}
_PRIVATE = (
    "That is a private key. It was not stored, but it has left the application: please make a new pair, and paste "
    "the public half only."
)
_CERTIFICATE_KEYS = {RSAPublicKey: RSAKey, EllipticCurvePublicKey: ECKey, Ed25519PublicKey: OKPKey}


class PublicKeyReader:
    """Implements `ports.PublicKeyReader`."""

    def from_text(self, text: str, now: int) -> tuple[ApplicationKey, ...]:
        """See `ports.PublicKeyReader`."""
        text = text.strip()
        if "PRIVATE KEY-----" in text:
            raise InvalidRequest(_PRIVATE)
        if text.startswith("-----BEGIN CERTIFICATE-----"):
            return (self.from_certificate(text, now),)
        if text.startswith("-----"):
            raise InvalidRequest("That is no certificate. Please paste an X.509 certificate (PEM) or a JWKS.")
        return self.from_jwks(text, now)

    def from_jwks(self, text: str, now: int) -> tuple[ApplicationKey, ...]:
        """See `ports.PublicKeyReader`. A single JWK is taken, too."""
        try:
            document = json.loads(text) if len(text) <= _MAX_TEXT else None
        except (ValueError, RecursionError):
            document = None
        entries = document.get("keys", [document]) if isinstance(document, dict) else None
        if not isinstance(entries, list) or not 0 < len(entries) <= MAX_KEYS:
            raise InvalidRequest("That is no JWKS: a JSON object with a list “keys” is expected.")
        return tuple(_from_jwk(entry, now) for entry in entries)

    def from_certificate(self, pem: str, now: int) -> ApplicationKey:
        """See `ports.PublicKeyReader`. The id is the certificate's SHA-256 thumbprint (`x5t#S256`, RFC 7515 4.1.8)."""
        try:
            certificate = x509.load_pem_x509_certificate(pem.encode("ascii") if len(pem) <= _MAX_TEXT else b"")
            public_key = certificate.public_key()
            kind = next(kind for known, kind in _CERTIFICATE_KEYS.items() if isinstance(public_key, known))
            key = kind.import_key(public_key)  # type: ignore[attr-defined]  # each of the three has it
        except (*MALFORMED, StopIteration):
            raise InvalidRequest("That is no X.509 certificate in PEM form with an RSA, EC or Ed25519 key.") from None
        expires_at = int(certificate.not_valid_after_utc.timestamp())
        if expires_at <= now:
            raise InvalidRequest("That certificate has expired.")
        thumbprint = to_str(urlsafe_b64encode(certificate.fingerprint(SHA256())))
        return _checked(key, thumbprint, None, now, expires_at)


def _from_jwk(entry: Any, now: int) -> ApplicationKey:
    kind = entry.get("kty") if isinstance(entry, dict) else None
    if kind == "oct":
        raise InvalidRequest("A key of the JWKS is a shared secret (kty “oct”). Please paste public keys only.")
    if not isinstance(kind, str) or kind not in _PUBLIC:
        raise InvalidRequest("A key of the JWKS is neither RSA, EC nor OKP.")
    if "d" in entry:
        raise InvalidRequest(_PRIVATE)
    if entry.get("use", "sig") != "sig":
        raise InvalidRequest("A key of the JWKS is not for signatures.")
    try:
        key = JWKRegistry.import_key({name: entry[name] for name in _PUBLIC[kind]})
        kid = entry.get("kid") or key.thumbprint()
    except MALFORMED:
        raise InvalidRequest("A key of the JWKS is malformed.") from None
    if not isinstance(kid, str) or not _KID.fullmatch(kid):
        raise InvalidRequest("The “kid” of a key must have 1 to 128 of letters, digits and - . _ ~ : / + = @ only.")
    return _checked(key, kid, entry.get("alg"), now, None)


def _checked(key: Key, kid: str, asked: object, now: int, expires_at: int | None) -> ApplicationKey:
    usable = _algorithms(key)
    algorithm = usable[0] if asked is None and usable else asked
    if algorithm not in usable:
        raise InvalidRequest(
            "A key is too weak, or of a kind the vault does not take (RSA from 2048 bits, EC, Ed25519)."
        )
    public = key.as_dict(private=False)
    jwk = {name: str(public[name]) for name in _PUBLIC[str(public["kty"])]}
    return ApplicationKey(kid, str(algorithm), jwk, now, expires_at)


def _algorithms(key: Key) -> tuple[str, ...]:
    """What the key may sign with, the usual one first."""
    match key:
        case RSAKey() if _MIN_RSA_BITS <= key.public_key.key_size <= _MAX_RSA_BITS:
            return _RSA
        case ECKey() if key.curve_name in _EC:
            return (_EC[key.curve_name],)
        case OKPKey() if key.curve_name == "Ed25519":
            return ("Ed25519",)
    return ()
