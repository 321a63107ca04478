"""Signatures of applications and of the identity providers they rely on, with joserfc."""

import json
from collections.abc import Sequence
from typing import Any

from joserfc import jwt
from joserfc.errors import BadSignatureError
from joserfc.jwk import GuestProtocol, JWKRegistry, Key
from joserfc.jws import JWSRegistry
from joserfc.util import urlsafe_b64decode

from chalicelib.domain.client_application import ApplicationKey, TrustedIssuer
from chalicelib.domain.errors import CloudAnswerInvalid
from chalicelib.domain.secret import Secret
from chalicelib.domain.token_exchange import InvalidJwt
from chalicelib.ports import Clock

from .id_token import ALGORITHMS, MALFORMED, REFUSED_HEADERS, Fetch, KeyCache

_MAX_LENGTH = 16 * 1024
_PARTS = 3


class JoseVerifier:
    """Implements `ports.JwtVerifier`. Keeps the public keys of identity providers for an hour; `fetch` reads them."""

    def __init__(self, clock: Clock, fetch: Fetch) -> None:
        self._published = KeyCache(clock)
        self._fetch = fetch

    def unverified(self, token: Secret) -> dict[str, Any]:
        return _part(token, 1)

    def header(self, token: Secret) -> dict[str, Any]:
        return _part(token, 0)

    def verify(self, token: Secret, keys: Sequence[ApplicationKey]) -> dict[str, Any]:
        registered = {key.id: key for key in keys}
        algorithms = sorted({key.algorithm for key in keys})

        def key_of(header: dict[str, Any]) -> Key:
            key = registered.get(header.get("kid", ""))
            # Pinned to the key: with the algorithm of another one it would not be the same proof
            if key is None:
                raise InvalidJwt(detail="unknown kid")
            if header.get("alg") != key.algorithm:
                raise InvalidJwt(detail="the algorithm of another key")
            return JWKRegistry.import_key(dict(key.jwk))

        return self._claims(token, algorithms, key_of)

    def verify_issued(self, token: Secret, issuer: TrustedIssuer) -> dict[str, Any]:
        def key_of(header: dict[str, Any]) -> Key:
            return self._published.find(issuer.jwks_uri, header, self._fetch)

        try:
            return self._claims(token, ALGORITHMS, key_of)
        except CloudAnswerInvalid as error:
            raise InvalidJwt(detail=error.detail) from error

    @staticmethod
    def _claims(token: Secret, algorithms: Sequence[str], key_of: Any) -> dict[str, Any]:
        if not algorithms or len(token.reveal()) > _MAX_LENGTH:
            raise InvalidJwt(detail="no keys, or too long")

        def checked_key_of(signature: GuestProtocol) -> Key:
            header = signature.headers()
            if not REFUSED_HEADERS.isdisjoint(header):
                raise InvalidJwt(detail="a header that is not allowed")
            key: Key = key_of(header)
            return key

        registry = JWSRegistry(algorithms=list(algorithms), strict_check_header=False)
        try:
            return jwt.decode(token.reveal(), checked_key_of, registry=registry).claims
        except BadSignatureError:
            raise InvalidJwt(detail="signature") from None
        except MALFORMED as error:
            raise InvalidJwt(detail=type(error).__name__) from None


def _part(token: Secret, number: int) -> dict[str, Any]:
    """Header or claims of a JWT, as they stand there; empty for what is none."""
    value = token.reveal()
    try:
        parts = value.split(".") if len(value) <= _MAX_LENGTH else []
        found = json.loads(urlsafe_b64decode(parts[number].encode())) if len(parts) == _PARTS else None
    except MALFORMED:
        return {}
    return found if isinstance(found, dict) else {}
