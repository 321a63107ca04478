"""How an application proves itself to the vault: with a key of its own (RFC 7523), or as an IAM role."""

import secrets
import time
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import requests
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from joserfc import jwt
from joserfc.jwk import ECKey, OKPKey, RSAKey

_JWT = "urn:ietf:params:oauth:token-type:jwt"
_NAME = "urn:token-vault:subject:name"
_ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_LIFE_SECONDS = 60
"""The longest life the vault accepts."""
_KINDS: dict[type, type[ECKey] | type[RSAKey] | type[OKPKey]] = {
    EllipticCurvePrivateKey: ECKey,
    RSAPrivateKey: RSAKey,
    Ed25519PrivateKey: OKPKey,
}
_ALGORITHMS = {"RSA": "RS256", "P-256": "ES256", "P-384": "ES384", "P-521": "ES512", "Ed25519": "Ed25519"}


class Credentials(Protocol):
    """What proves the application; the paths are the vault's for this kind of proof."""

    client_id: str
    path: str
    who_path: str

    def parameters(self, issuer: str) -> Mapping[str, str]:
        """What proves the application in one request's form."""

    def subject(self, user: str, reason: str, issuer: str) -> Mapping[str, str]:
        """What names the person in one request's form."""

    def sign(self, request: requests.PreparedRequest) -> None:
        """Sign the whole request, where that is the proof."""


class SigningKey:
    """A private key whose public half an administrator registered for the application `client_id`.

    `key_id`: the registered `kid`; without one it is the key's thumbprint (RFC 7638), as the vault names it too.
    """

    path, who_path = "/oauth2/token", "/oauth2/whoami"

    def __init__(self, client_id: str, key: ECKey | RSAKey | OKPKey, key_id: str = "") -> None:
        self.client_id = client_id
        self._key = key
        self.key_id = key_id or key.thumbprint()

    @classmethod
    def from_pem(cls, client_id: str, pem: str | bytes, key_id: str = "", password: str | None = None) -> "SigningKey":
        """From a private key in PEM: RSA, EC (P-256, P-384, P-521) or Ed25519. Raises ValueError for anything else."""
        octets = pem.encode() if isinstance(pem, str) else pem
        try:
            found = load_pem_private_key(octets, password.encode() if password else None)
        except (TypeError, ValueError, UnsupportedAlgorithm) as error:
            raise ValueError(f"This is no private key in PEM, or its password is another one: {error}") from None
        kind = next((kind for native, kind in _KINDS.items() if isinstance(found, native)), None)
        if kind is None:
            raise ValueError("The vault takes RSA, EC and Ed25519 keys, and this is no private key of that kind.")
        return cls(client_id, kind.import_key(octets, password=password), key_id)

    @classmethod
    def from_file(
        cls,
        client_id: str,
        path: str | Path,
        key_id: str = "",
        password: str | None = None,
        *,
        certificate: str | Path | None = None,
    ) -> "SigningKey":
        """As `from_pem`, from a file. `certificate`: the registered X.509 certificate in PEM, which names the key."""
        if certificate:
            key_id = certificate_thumbprint(Path(certificate).read_bytes())
        return cls.from_pem(client_id, Path(path).read_bytes(), key_id, password)

    def parameters(self, issuer: str) -> Mapping[str, str]:
        assertion = self._signed(issuer, sub=self.client_id, jti=secrets.token_urlsafe(16))
        return {"client_assertion_type": _ASSERTION, "client_assertion": assertion}

    def subject(self, user: str, reason: str, issuer: str) -> Mapping[str, str]:
        return {"subject_token_type": _JWT, "subject_token": self._signed(issuer, sub=user, reason=reason)}

    def sign(self, request: requests.PreparedRequest) -> None:
        """Nothing: the assertion is the proof."""

    def _signed(self, issuer: str, **claims: Any) -> str:
        now = int(time.time())
        kind = "RSA" if isinstance(self._key, RSAKey) else self._key.curve_name
        header = {"alg": _ALGORITHMS[kind], "kid": self.key_id}
        every = {"iss": self.client_id, "aud": issuer, "iat": now, "exp": now + _LIFE_SECONDS} | claims
        return jwt.encode(header, every, self._key, algorithms=[header["alg"]])


def certificate_thumbprint(pem: bytes) -> str:
    """What the vault calls the key of a certificate: `x5t#S256` (RFC 7515 4.1.8). Raises ValueError."""
    found = load_pem_x509_certificate(pem)
    return urlsafe_b64encode(found.fingerprint(SHA256())).rstrip(b"=").decode()


class IamRole:
    """The AWS role this program runs as, registered for the application `client_id`: no key at all.

    Needs botocore (`pip install token-vault-client[aws]`). `region` is the vault's. `credentials`: botocore's, by
    default those that boto3 would find.
    """

    path, who_path = "/oauth2/token/iam", "/oauth2/whoami/iam"

    def __init__(self, client_id: str, region: str, credentials: Any = None) -> None:
        from botocore.session import get_session  # noqa: PLC0415 - an optional dependency

        self.client_id = client_id
        self._region = region
        self._credentials = credentials or get_session().get_credentials()
        if self._credentials is None:
            raise ValueError("No AWS credentials were found.")

    def parameters(self, issuer: str) -> Mapping[str, str]:  # noqa: ARG002 - the signature binds the request to the vault
        return {"client_id": self.client_id}

    def subject(self, user: str, reason: str, issuer: str) -> Mapping[str, str]:  # noqa: ARG002 - as above
        return {"subject_token_type": _NAME, "subject_token": user, "reason": reason}

    def sign(self, request: requests.PreparedRequest) -> None:
        """Add the headers of Signature Version 4 for API Gateway."""
        from botocore.auth import SigV4Auth  # noqa: PLC0415 - an optional dependency
        from botocore.awsrequest import AWSRequest  # noqa: PLC0415

        signed = AWSRequest(request.method, request.url, data=request.body, headers=_signed_headers(request))
        SigV4Auth(self._credentials.get_frozen_credentials(), "execute-api", self._region).add_auth(signed)
        request.headers.update(dict(signed.headers.items()))


def _signed_headers(request: requests.PreparedRequest) -> dict[str, str]:
    """Those that no proxy on the way changes."""
    return {name: value for name, value in request.headers.items() if name.lower() == "content-type"}
