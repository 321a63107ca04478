"""What the JWTs of an application must say (RFC 7523 3, RFC 8693 2.1), and what to tell it where they do not."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .aliases import normalized
from .client_application import TrustedIssuer
from .ids import is_person_id
from .secret import fingerprint
from .text import is_clean, tidy
from .token_exchange import Detail, Mistake, RefusalReason, TokenRefused

SIGNATURES = ("RS256", "PS256", "ES256", "ES384", "ES512", "Ed25519")
"""Algorithms of applications' keys (RFC 7518 3.1, RFC 9864)."""
LIFE_SECONDS = 60
LEEWAY_SECONDS = 30
"""How far an application's clock may be off."""
MAX_REASON = 200
_MAX_ID = 256
_MOST_SECONDS = 86400
"""Beyond a day it does not help to know how many seconds a clock is off."""

Refuse = Callable[[Detail, str], TokenRefused]


@dataclass(frozen=True, slots=True)
class AssertionUse:
    """One use of a client assertion. The same assertion always gives the same `id`, another one another."""

    id: str
    issued_at: int


def wrong_client(detail: Detail, sentence: str) -> TokenRefused:
    return TokenRefused(RefusalReason.INVALID_CLIENT, mistake=Mistake(detail, sentence))


def wrong_subject(detail: Detail, sentence: str) -> TokenRefused:
    return TokenRefused(RefusalReason.INVALID_SUBJECT, mistake=Mistake(detail, sentence))


def check_form(header: dict[str, Any], claims: dict[str, Any], refuse: Refuse) -> None:
    """Whether it is a JWT that some application could have signed. Raises TokenRefused.

    Looks only at what was sent, and so may be told to anybody: whether there is such a key, it does not know.
    """
    if not header or not claims:
        raise refuse(Detail.JWT, "It must be a JWT of three parts and at most 16,384 characters.")
    if not isinstance(header.get("kid"), str) or not header["kid"]:
        raise refuse(Detail.KID, "The header must name the key by `kid`.")
    if header.get("alg") not in SIGNATURES:
        raise refuse(Detail.ALG, f"`alg` must be that of the key, one of {', '.join(SIGNATURES)}.")


def client_assertion_use(claims: dict[str, Any], client_id: str, issuer: str, now: int) -> AssertionUse:
    """Check an assertion for client authentication (R73). Raises TokenRefused.

    The audience is our issuer as one string, nothing else: a list, or the address of an endpoint, would let another
    server that the application talks to pass the assertion on to us.
    """
    for name, detail in (("iss", Detail.ISS), ("sub", Detail.SUB)):
        if claims.get(name) != client_id:
            raise wrong_client(detail, "`iss` and `sub` must both be the application's id.")
    issued_at = _check_times(claims, issuer, now, wrong_client)
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 0 < len(jti) <= _MAX_ID:
        raise wrong_client(
            Detail.JTI, f"`jti` must be text of 1 to {_MAX_ID} characters, another one in each assertion."
        )
    return AssertionUse(fingerprint("\n".join((client_id, str(issued_at), jti)))[:32], issued_at)


def self_asserted_subject(claims: dict[str, Any], client_id: str, issuer: str, now: int) -> tuple[str, str]:
    """The person an application names in a JWT of its own, and why. Raises TokenRefused."""
    if claims.get("iss") != client_id:
        raise wrong_subject(Detail.ISS, "`iss` must be the application's id.")
    _check_times(claims, issuer, now, wrong_subject)
    return subject_name(claims.get("sub")), given_reason(claims.get("reason"))


def issued_subject(claims: dict[str, Any], trusted: TrustedIssuer, now: int) -> str:
    """The person whom a token of the trusted identity provider names. Raises TokenRefused."""
    if claims.get("iss") != trusted.issuer:
        raise wrong_subject(Detail.ISS, f"`iss` must be {trusted.issuer}, as it is registered.")
    audience = claims.get("aud")
    if trusted.audience not in (audience if isinstance(audience, list) else [audience]):
        raise wrong_subject(Detail.AUD, f"`aud` must be or hold {trusted.audience}, as it is registered.")
    _check_alive(claims, now, wrong_subject)
    return subject_name(claims.get(trusted.user_claim), trusted.user_claim)


def subject_name(value: object, claim: str = "sub") -> str:
    """One spelling of the name that stands in `claim`. Raises TokenRefused for what no person is called."""
    if isinstance(value, str) and is_person_id(value):
        return value
    name = normalized(value) if isinstance(value, str) else ""
    if not name:
        raise wrong_subject(Detail.SUB, f"`{claim}` must be the name or id of a person.")
    return name


def given_reason(value: object) -> str:
    """Why the token is wanted: for the ledger and for the person to read. Raises TokenRefused without one."""
    reason = tidy(value) if isinstance(value, str) else ""
    if not 0 < len(reason) <= MAX_REASON or not is_clean(reason):
        raise wrong_subject(Detail.REASON, f"`reason` must say why, in 1 to {MAX_REASON} printable characters.")
    return reason


def _check_times(claims: dict[str, Any], issuer: str, now: int, refuse: Refuse) -> int:
    """Audience, and at most a minute from `iat` to `exp`. Gives `iat`."""
    if claims.get("aud") != issuer:
        raise refuse(Detail.AUD, f"`aud` must be {issuer}, as one string.")
    expires_at = _check_alive(claims, now, refuse)
    issued_at = _moment(claims.get("iat"), Detail.IAT, refuse)
    if issued_at > now + LEEWAY_SECONDS:
        raise refuse(Detail.IAT, _apart("iat", issued_at - now, "ahead of"))
    if not 0 < expires_at - issued_at <= LIFE_SECONDS:
        raise refuse(Detail.LIFETIME, f"`exp` must be after `iat`, by at most {LIFE_SECONDS} seconds.")
    return issued_at


def _check_alive(claims: dict[str, Any], now: int, refuse: Refuse) -> int:
    expires_at = _moment(claims.get("exp"), Detail.EXP, refuse)
    if expires_at <= now - LEEWAY_SECONDS:
        raise refuse(Detail.EXP, _apart("exp", now - expires_at, "behind"))
    not_before = _moment(claims.get("nbf", 0), Detail.NBF, refuse)
    if not_before > now + LEEWAY_SECONDS:
        raise refuse(Detail.NBF, _apart("nbf", not_before - now, "ahead of"))
    return expires_at


def _moment(value: object, detail: Detail, refuse: Refuse) -> int:
    # bool is an int to Python, and a float would make two assertions of one
    if type(value) is not int:
        raise refuse(detail, f"`{detail}` must be a whole number of seconds since 1970 (RFC 7519 4.1).")
    return value


def _apart(claim: str, seconds: int, where: str) -> str:
    told = f"{seconds} seconds" if seconds <= _MOST_SECONDS else "more than a day"
    return f"`{claim}` is {told} {where} the vault's clock; {LEEWAY_SECONDS} are forgiven."
