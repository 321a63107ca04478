"""Is an id_token from its authorization server, for us, for this trip and alive? (OpenID Connect Core 3.1.3.7)"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import GuestProtocol, JWKRegistry, Key, RSAKey
from joserfc.jws import JWSRegistry

from chalicelib.domain.authorization_request import AuthorizationRequest
from chalicelib.domain.errors import CloudAnswerInvalid
from chalicelib.ports import Clock

from .dialects import issuer_of

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519")
"""Signatures the vault verifies, all of them with a public key. RFC 9864 replaces "EdDSA" by "Ed25519"."""

LEEWAY_SECONDS = 60
KEYS_SECONDS = 3600
REFETCH_SECONDS = 60
_MIN_RSA_BITS = 2048  # RFC 7518 3.3
_MAX_SUBJECT = 255  # OpenID Connect Core 2

# Headers that name another key than the server's, or change what the signature means (R45)
REFUSED_HEADERS = frozenset({"crit", "jku", "jwk", "x5u"})

MALFORMED = (JoseError, ValueError, TypeError, AttributeError, LookupError, RecursionError)
"""What joserfc and cryptography raise for a token or key that is none at all."""

Fetch = Callable[[str], dict[str, Any]]
"""GET a URL and give its JSON object, or raise a CloudError."""


class IdTokenVerifier:
    """Verifies id_tokens; keeps the servers' public keys in this process for an hour."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._keys = KeyCache(clock)

    def verify(self, id_token: object, request: AuthorizationRequest, fetch: Fetch) -> dict[str, Any]:
        """The verified claims. Raises CloudAnswerInvalid, or what `fetch` raises for the server's keys."""
        if not isinstance(id_token, str):
            raise _invalid("missing")
        try:
            claims = self._signed_claims(id_token, request, fetch)
            self._check(claims, request)
        except MALFORMED as error:
            raise _invalid(getattr(error, "error", "malformed")) from error
        return claims

    def _signed_claims(self, id_token: str, request: AuthorizationRequest, fetch: Fetch) -> dict[str, Any]:
        server = request.server
        # joserfc takes an empty list for its own defaults, and those have HS256
        algorithms = [name for name in server.id_token_algorithms if name in ALGORITHMS] or ["RS256"]

        def key_of(signature: GuestProtocol) -> Key:
            header = signature.headers()
            if not REFUSED_HEADERS.isdisjoint(header):
                raise _invalid("a header that is not allowed")
            return self._keys.find(server.jwks_uri or "", header, fetch)

        registry = JWSRegistry(algorithms=algorithms, strict_check_header=False)
        return jwt.decode(id_token, key_of, registry=registry).claims

    def _check(self, claims: dict[str, Any], request: AuthorizationRequest) -> None:
        jwt.JWTClaimsRegistry(
            now=self._clock.now(),
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer_of(request.server.issuer or "", claims)},
            aud={"essential": True, "value": request.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        ).validate(claims)
        # Compared here: the registry would also accept a list that has the right value among others
        if claims.get("nonce") != request.nonce:
            raise _invalid("nonce")
        if not _is_authorized_party(claims, request.client_id):
            raise _invalid("azp")
        if len(claims["sub"]) > _MAX_SUBJECT:
            raise _invalid("sub")


def _is_authorized_party(claims: dict[str, Any], client_id: str) -> bool:
    """With several audiences `azp` must say that the token was issued to us."""
    if "azp" in claims:
        return bool(claims["azp"] == client_id)
    return isinstance(claims["aud"], str) or len(claims["aud"]) == 1


def _invalid(why: str) -> CloudAnswerInvalid:
    return CloudAnswerInvalid(detail=f"id_token: {why}")


@dataclass(frozen=True, slots=True)
class _KeySet:
    keys: list[Key]
    fetched_at: int


class KeyCache:
    """The key sets of authorization servers, by URL (RFC 7517 5)."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sets: dict[str, _KeySet] = {}

    def find(self, jwks_uri: str, header: dict[str, Any], fetch: Fetch) -> Key:
        """The one key that fits. An unknown key makes us look again, but not more than once a minute."""
        key = self._match(jwks_uri, header, fetch, KEYS_SECONDS) or self._match(
            jwks_uri, header, fetch, REFETCH_SECONDS
        )
        if key is None:
            raise _invalid("no such key")
        return key

    def _match(self, jwks_uri: str, header: dict[str, Any], fetch: Fetch, max_age: int) -> Key | None:
        kept = self._sets.get(jwks_uri)
        if kept is None or self._clock.now() - kept.fetched_at >= max_age:
            kept = self._sets[jwks_uri] = _KeySet(_import(fetch(jwks_uri)), self._clock.now())
        kid = header.get("kid")
        fitting = [key for key in kept.keys if _fits(key, header["alg"]) and kid in (None, key.kid)]
        # Two that fit would leave it to chance which one is asked (OpenID Connect Core 10.1)
        return fitting[0] if len(fitting) == 1 else None


def _import(document: dict[str, Any]) -> list[Key]:
    """The keys we can use; others are passed over, as RFC 7517 5 asks."""
    keys: list[Key] = []
    entries = document.get("keys")
    if not isinstance(entries, list):
        raise CloudAnswerInvalid(detail="jwks: no keys")
    for entry in entries:
        with suppress(*MALFORMED):
            keys.append(JWKRegistry.import_key(entry))
    return keys


def _fits(key: Key, algorithm: str) -> bool:
    if isinstance(key, RSAKey) and key.public_key.key_size < _MIN_RSA_BITS:
        return False
    return bool(JWSRegistry.filter_algorithms(key, [algorithm]))
