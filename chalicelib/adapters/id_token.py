"""Is an id_token from its authorization server, for us, for this trip and alive? (OpenID Connect Core 3.1.3.7)"""

import logging
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from joserfc import jwt
from joserfc.errors import ExpiredTokenError, InvalidClaimError, JoseError, UnsupportedAlgorithmError
from joserfc.jwk import GuestProtocol, JWKRegistry, Key, RSAKey
from joserfc.jws import JWSRegistry, extract_compact

from chalicelib.domain.authorization_request import AuthorizationRequest
from chalicelib.domain.errors import CloudAnswerForged, CloudAnswerInvalid, CloudClockDiffers, CloudError
from chalicelib.ports import Clock

from .dialects import issuer_of

_LOG = logging.getLogger(__name__)

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "Ed25519")
"""Signatures the vault verifies, all of them with a public key. RFC 9864 replaces "EdDSA" by "Ed25519"."""
_OTHER_ALGORITHMS = re.compile(r"HS(256|384|512)|EdDSA|ES256K|Ed448|[RP]S(256|384|512)|ES(256|384|512)")
"""What providers can be set to, beside what is verified or was announced: no forgery, but nothing we can check."""
_ENCRYPTED_DOTS = 4
"""RFC 7516 3.1; a signed one has two."""

LEEWAY_SECONDS = 300
"""How far the server's clock may differ from ours, either way; Kerberos takes as much (RFC 4120 8.2)."""
KEYS_SECONDS = 3600
REFETCH_SECONDS = 60
LAST_KEYS_SECONDS = 24 * 3600
"""How long keys go on where the server's cannot be fetched any more."""
_MAX_HEADER = 16 * 1024
"""Certificate chains (`x5c`, RFC 7515 4.1.6) come along with some; joserfc takes 512 bytes."""
_LATEST = 1 << 40
"""No clock is as wrong as that (epoch seconds)."""
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
        self._keys = KeyCache(clock, LAST_KEYS_SECONDS)

    def verify(self, id_token: object, request: AuthorizationRequest, fetch: Fetch) -> dict[str, Any]:
        """The verified claims. Raises CloudAnswerInvalid, or what `fetch` raises for the server's keys."""
        if not isinstance(id_token, str):
            raise CloudAnswerInvalid(detail="id_token: missing")
        if id_token.count(".") == _ENCRYPTED_DOTS:
            raise CloudAnswerInvalid(detail="id_token: encrypted, where it must be signed alone")
        try:
            claims = self._signed_claims(id_token, request, fetch)
            self._check(claims, request)
        except UnsupportedAlgorithmError as error:
            raise _unsupported(id_token) from error
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
        registry.max_header_length = _MAX_HEADER
        return jwt.decode(id_token, key_of, registry=registry).claims

    def _check(self, claims: dict[str, Any], request: AuthorizationRequest) -> None:
        now = self._clock.now()
        registry = jwt.JWTClaimsRegistry(
            now=now,
            leeway=LEEWAY_SECONDS,
            iss={"essential": True, "value": issuer_of(request.server.issuer or "", claims)},
            aud={"essential": True, "value": request.client_id},
            sub={"essential": True},
            exp={"essential": True},
            iat={"essential": True},
        )
        try:
            registry.validate(claims)
        except (ExpiredTokenError, InvalidClaimError) as error:
            if error.claim in ("exp", "iat", "nbf") and _is_sound(claims):
                ahead = f"the server's clock is {claims['iat'] - now:.0f} s ahead of ours"
                raise CloudClockDiffers(detail=f"id_token: {error.error}; {ahead}") from error
            raise
        # Compared here: the registry would also accept a list that has the right value among others
        if claims.get("nonce") != request.nonce:
            raise _invalid("nonce")
        if not _is_authorized_party(claims, request.client_id):
            raise _invalid("azp")
        if len(claims["sub"]) > _MAX_SUBJECT:
            raise _invalid("sub")


def _is_sound(claims: dict[str, Any]) -> bool:
    """True where the times fit each other: the token was made just now, so that only a clock can be wrong."""
    times: list[Any] = [claims.get(name, claims.get("iat")) for name in ("nbf", "iat", "exp")]
    return all(type(time) in (int, float) and abs(time) < _LATEST for time in times) and times == sorted(times)


def _is_authorized_party(claims: dict[str, Any], client_id: str) -> bool:
    """With several audiences `azp` must say that the token was issued to us."""
    if "azp" in claims:
        return bool(claims["azp"] == client_id)
    return isinstance(claims["aud"], str) or len(claims["aud"]) == 1


def _unsupported(id_token: str) -> CloudAnswerInvalid:
    """How a provider was set to sign is no forgery; no signature, or a made-up one, is."""
    algorithm = str(extract_compact(id_token.encode()).headers().get("alg"))
    if not _OTHER_ALGORITHMS.fullmatch(algorithm):
        return _invalid("unsupported_algorithm")
    return CloudAnswerInvalid(detail=f"id_token: signed with {algorithm}, which the vault does not take here")


def _invalid(why: str) -> CloudAnswerForged:
    return CloudAnswerForged(detail=f"id_token: {why}")


@dataclass(frozen=True, slots=True)
class _KeySet:
    keys: list[Key]
    fetched_at: int
    due_at: int
    """When it is to be fetched again."""
    look_again_at: int = 0
    """When an unknown key may make us look again."""


class KeyCache:
    """The key sets of authorization servers, by URL (RFC 7517 5).

    `last_seconds`: how long known keys go on where the server's cannot be fetched; else as long as they are kept.
    """

    def __init__(self, clock: Clock, last_seconds: int = KEYS_SECONDS) -> None:
        self._clock = clock
        self._last_seconds = last_seconds
        self._sets: dict[str, _KeySet] = {}

    def find(self, jwks_uri: str, header: dict[str, Any], fetch: Fetch) -> Key:
        """The one key that fits. An unknown key makes us look again at once, but not more than once a minute."""
        key = _match(self._current(jwks_uri, fetch), header) or _match(self._looked_again(jwks_uri, fetch), header)
        if key is None:
            raise _invalid("no such key")
        return key

    def _current(self, jwks_uri: str, fetch: Fetch) -> list[Key]:
        kept, now = self._sets.get(jwks_uri), self._clock.now()
        if kept is not None and now < kept.due_at:
            return kept.keys
        try:
            return self._fetched(jwks_uri, fetch, kept.look_again_at if kept else 0)
        except CloudError as error:
            if kept is None or now - kept.fetched_at >= self._last_seconds:
                raise
            _LOG.warning("jwks.not_fetched", extra={"server": jwks_uri, "detail": error.detail})
            self._sets[jwks_uri] = replace(kept, due_at=now + REFETCH_SECONDS)
            return kept.keys

    def _looked_again(self, jwks_uri: str, fetch: Fetch) -> list[Key]:
        kept, now = self._sets[jwks_uri], self._clock.now()
        if now < kept.look_again_at or now == kept.fetched_at:
            return []
        # Noted first: where the server is away, unknown keys do not knock at it each time
        self._sets[jwks_uri] = replace(kept, look_again_at=now + REFETCH_SECONDS)
        return self._fetched(jwks_uri, fetch, now + REFETCH_SECONDS)

    def _fetched(self, jwks_uri: str, fetch: Fetch, look_again_at: int) -> list[Key]:
        keys, now = _import(fetch(jwks_uri)), self._clock.now()
        self._sets[jwks_uri] = _KeySet(keys, now, now + KEYS_SECONDS, look_again_at)
        return keys


def _match(keys: list[Key], header: dict[str, Any]) -> Key | None:
    kid = header.get("kid")
    fitting = [key for key in keys if _fits(key, header["alg"]) and kid in (None, key.kid)]
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
    # Some have one key twice, which is no doubt about which one it is
    return list({(key.kid, key.alg, key.thumbprint()): key for key in keys}.values())


def _fits(key: Key, algorithm: str) -> bool:
    if isinstance(key, RSAKey) and key.public_key.key_size < _MIN_RSA_BITS:
        return False
    return bool(JWSRegistry.filter_algorithms(key, [algorithm]))
