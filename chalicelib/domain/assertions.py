"""What the JWTs of an application must say, once their signature was verified (RFC 7523 3, RFC 8693 2.1)."""

from dataclasses import dataclass
from typing import Any

from .aliases import is_user_id, normalized
from .client_application import TrustedIssuer
from .secret import fingerprint
from .text import is_clean, tidy
from .token_exchange import RefusalReason, TokenRefused

LIFE_SECONDS = 60
LEEWAY_SECONDS = 30
"""How far an application's clock may be off."""
MAX_REASON = 200
_MAX_ID = 256


@dataclass(frozen=True, slots=True)
class AssertionUse:
    """One use of a client assertion. The same assertion always gives the same `id`, another one another."""

    id: str
    issued_at: int


def client_assertion_use(claims: dict[str, Any], client_id: str, issuer: str, now: int) -> AssertionUse:
    """Check an assertion for client authentication (R73). Raises TokenRefused.

    The audience is our issuer as one string, nothing else: a list, or the address of an endpoint, would let another
    server that the application talks to pass the assertion on to us.
    """
    refuse = RefusalReason.INVALID_CLIENT
    if (claims.get("iss"), claims.get("sub")) != (client_id, client_id):
        raise TokenRefused(refuse, detail="iss or sub")
    issued_at = _check_times(claims, issuer, now, refuse)
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= _MAX_ID:
        raise TokenRefused(refuse, detail="jti")
    return AssertionUse(fingerprint("\n".join((client_id, str(issued_at), jti)))[:32], issued_at)


def self_asserted_subject(claims: dict[str, Any], client_id: str, issuer: str, now: int) -> tuple[str, str]:
    """The person an application names in a JWT of its own, and why. Raises TokenRefused."""
    refuse = RefusalReason.INVALID_SUBJECT
    if claims.get("iss") != client_id:
        raise TokenRefused(refuse, detail="iss")
    _check_times(claims, issuer, now, refuse)
    return subject_name(claims.get("sub")), given_reason(claims.get("reason"))


def issued_subject(claims: dict[str, Any], trusted: TrustedIssuer, now: int) -> str:
    """The person whom a token of the trusted identity provider names. Raises TokenRefused."""
    refuse = RefusalReason.INVALID_SUBJECT
    if claims.get("iss") != trusted.issuer:
        raise TokenRefused(refuse, detail="iss")
    audience = claims.get("aud")
    if trusted.audience not in (audience if isinstance(audience, list) else [audience]):
        raise TokenRefused(refuse, detail="aud")
    _check_alive(claims, now, refuse)
    return subject_name(claims.get(trusted.user_claim))


def subject_name(value: object) -> str:
    """One spelling of the name. Raises TokenRefused for what no person is called."""
    if not isinstance(value, str):
        raise TokenRefused(RefusalReason.INVALID_SUBJECT, detail="sub")
    if is_user_id(value):
        return value
    name = normalized(value)
    if not name:
        raise TokenRefused(RefusalReason.INVALID_SUBJECT, detail="sub")
    return name


def given_reason(value: object) -> str:
    """Why the token is wanted: for the ledger and for the person to read. Raises TokenRefused without one."""
    reason = tidy(value) if isinstance(value, str) else ""
    if not 0 < len(reason) <= MAX_REASON or not is_clean(reason):
        raise TokenRefused(RefusalReason.INVALID_SUBJECT, detail="reason")
    return reason


def _check_times(claims: dict[str, Any], issuer: str, now: int, refuse: RefusalReason) -> int:
    """Audience, and at most a minute from `iat` to `exp`. Gives `iat`."""
    if claims.get("aud") != issuer:
        raise TokenRefused(refuse, detail="aud")
    expires_at = _check_alive(claims, now, refuse)
    issued_at = claims.get("iat")
    if type(issued_at) is not int or issued_at > now + LEEWAY_SECONDS or not 0 < expires_at - issued_at <= LIFE_SECONDS:
        raise TokenRefused(refuse, detail="iat")
    return issued_at


def _check_alive(claims: dict[str, Any], now: int, refuse: RefusalReason) -> int:
    expires_at, not_before = claims.get("exp"), claims.get("nbf", 0)
    if type(expires_at) is not int or expires_at <= now - LEEWAY_SECONDS:
        raise TokenRefused(refuse, detail="exp")
    if type(not_before) is not int or not_before > now + LEEWAY_SECONDS:
        raise TokenRefused(refuse, detail="nbf")
    return expires_at
