"""What an authorization server says: tokens, or why not. All of it is text from outside until it was checked here."""

import json
import logging
import re
import unicodedata
from typing import Any, TypeGuard

from requests import Response

from chalicelib.domain.errors import (
    CloudAnswerInvalid,
    CloudError,
    CloudMisconfigured,
    CloudRefusalUnclear,
    CloudRefused,
    CloudUnavailable,
)
from chalicelib.domain.provider_type import ErrorKind, ProviderType
from chalicelib.domain.secret import Secret
from chalicelib.domain.text import clean, loggable, looks_like_a_token
from chalicelib.domain.token_set import CloudAccount, TokenSet

from . import dialects
from .dialects import STANDARD, value_at

_LOG = logging.getLogger(__name__)

_OK = range(200, 300)
_REFUSED = range(400, 500)
_LONGEST_LIFE = 10 * 365 * 24 * 3600
"""Ten years, which is also what the catalogue says where a token never ends."""
_ODD_LIFE_SECONDS = 3600
"""Assumed at most where `expires_in` is there and is no lifetime: asking again early costs less than a dead token."""
_MOST_SCOPES = 500

_TOKEN = re.compile(r"[ -~]{1,65536}")
"""RFC 6749 appendix A.12 and A.17; the length is ours."""

_LONGEST_TOKEN = 65536
_NO_TOKEN = ("", "null", "none", "undefined")
"""What programs send where they have none."""
_TOKEN_TYPE = re.compile(r"[!-~]{1,200}")
_SCOPE = re.compile(r"[!-~]{1,1000}")
_SECONDS = re.compile(r"[0-9]{1,12}(\.[0-9]{0,12})?", re.ASCII)

_ERROR = re.compile(r"[a-z0-9_]{1,64}")
"""Wide enough for every registered error code."""
_SHORTEST_SECRET = 8
"""Shorter ones would be found in every word."""

_MAYBE_OUR_REGISTRATION = frozenset(
    {
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "redirect_uri_mismatch",
        "unauthorized_client",
        "unsupported_grant_type",
        "unsupported_response_type",
    }
)
"""RFC 6749 4.1.2.1 and 5.2, RFC 8707 2 and, for the redirect URI, what large clouds say. By the standards they are
about the request or the client. Clouds say them of a dead refresh token, too."""
_BEARERS = ("bearer", "user")
"""RFC 6750, and what Slack calls it."""
_TRANSIENT = frozenset(
    {
        "internal_error",
        "internal_server_error",
        "quota_exceeded",
        "ratelimited",
        "server_error",
        "service_unavailable",
        "slow_down",
        "temporarily_unavailable",
    }
)
_THROTTLING = re.compile(
    r"rate[ _-]?limit|too[ _-]many[ _-](requests|calls|attempts)|throttl|already being processed|request loop",
    re.IGNORECASE,
)
"""Word or description of a cloud that wants fewer calls, whatever status it says that with.

"Request loop" is Entra ID's AADSTS50196, which comes with `invalid_grant`
(https://learn.microsoft.com/entra/identity-platform/reference-breaking-changes).
"""
OFFLINE = "offline_access"


def token_answer(response: Response, *hide: Secret, provider_type: ProviderType = STANDARD) -> dict[str, Any]:
    """The token endpoint's answer: any one that carries an access token, whatever else in it is odd (R101).

    Most clouds have ended the refresh token that was sent when they answer, so that what is thrown away here is lost.
    Raises the sorted CloudError of any other answer, without what is to `hide`.
    """
    answer = dialects.read(response, provider_type)
    is_good = response.status_code in _OK or (isinstance(answer, dict) and not answer.get("error"))
    if is_good and isinstance(answer, dict) and _is_token(answer.get("access_token")):
        return answer
    raise_for_error(response, *hide, provider_type=provider_type)
    if response.status_code in _REFUSED:
        # A page of a gateway, or an API's own error: refused, and nothing was given
        raise CloudRefusalUnclear(f"http_{response.status_code}", retry_after=_retry_after(response))
    return json_object(response, *hide, provider_type=provider_type)


def json_object(response: Response, *hide: Secret, provider_type: ProviderType = STANDARD) -> dict[str, Any]:
    """The JSON object of a good answer. Raises the sorted CloudError of any other, without what is to `hide`."""
    raise_for_error(response, *hide, provider_type=provider_type)
    answer = dialects.read(response, provider_type)
    if response.status_code not in _OK or not isinstance(answer, dict):
        raise CloudAnswerInvalid(detail=f"HTTP {response.status_code}, {type(answer).__name__} where JSON is due")
    return answer


def raise_for_error(response: Response, *hide: Secret, provider_type: ProviderType = STANDARD) -> None:
    """Raise the CloudError that an OAuth error response means (RFC 6749 5.2), also with status 200.

    An `error` that is empty or null says nothing: some clouds send the member with every answer.
    """
    answer = dialects.read(response, provider_type)
    if not isinstance(answer, dict):
        return
    error, kind = dialects.error_word(answer, provider_type)
    if kind is not None or error:
        raise _sorted(error, kind, answer.get("error_description"), _retry_after(response), hide)


def _sorted(
    error: object, kind: ErrorKind | None, description: object, retry_after: int | None, hide: tuple[Secret, ...]
) -> CloudError:
    """Final by a word that is known to be final; all else passes, or has still to show what it is (R101)."""
    word = error if isinstance(error, str) else json.dumps(error)
    text = f"{word}: {description}" if isinstance(description, str) else word
    detail = loggable(text, hide)
    # Some clouds write the standards' words in capitals
    code = word.lower() if _ERROR.fullmatch(word.lower()) and not _holds_secret(word, hide) else "unrecognized_error"
    match kind or _meaning(code, text):
        case ErrorKind.FINAL:
            return CloudRefused(code, detail=detail)
        case ErrorKind.TRANSIENT:
            return CloudUnavailable(detail=detail, retry_after=retry_after)
        case ErrorKind.MISCONFIGURED:
            return CloudMisconfigured(code, detail=detail)
    may_be_registration = code in _MAYBE_OUR_REGISTRATION
    return CloudRefusalUnclear(code, detail=detail, retry_after=retry_after, may_be_registration=may_be_registration)


def _meaning(code: str, text: str) -> ErrorKind | None:
    """As the standards have it; None for whatever may mean several things.

    `invalid_grant` is one of these where the cloud speaks of its load: Salesforce says it while an earlier request with
    the same refresh token is still at work.
    """
    is_busy = _THROTTLING.search(text) is not None
    if code == "invalid_grant":
        return None if is_busy else ErrorKind.FINAL
    if code in _TRANSIENT or is_busy:
        return ErrorKind.TRANSIENT
    return ErrorKind.MISCONFIGURED if code == "invalid_client" else None


def _retry_after(response: Response) -> int | None:
    value = response.headers.get("Retry-After", "")
    return int(value) if _SECONDS.fullmatch(value) and value.isdigit() else None


def _holds_secret(word: str, hide: tuple[Secret, ...]) -> bool:
    """Whether a word that goes further than the log, for example into a mail, may be more than a word."""
    known = any(len(secret.reveal()) >= _SHORTEST_SECRET and secret.reveal() in word for secret in hide)
    return known or looks_like_a_token(word)


def token_set(
    answer: dict[str, Any],
    provider_type: ProviderType,
    asked: tuple[str, ...],
    now: int,
    *,
    is_renewable: bool = False,
) -> TokenSet:
    """What a good answer grants (RFC 6749 5.1). Strict about the access token alone: raises CloudAnswerInvalid.

    `is_renewable`: there is a refresh token, whether or not the answer has a new one.

    Of all else the best is made, and a line of the log names the members that were odd: the scopes `asked` where none
    can be read, the type's life where `expires_in` is none, no refresh token (so the one of before is kept) where it is
    no text.
    """
    access_token = answer.get("access_token")
    if not _is_token(access_token):
        raise CloudAnswerInvalid(detail="access_token is missing or malformed")
    delimiter = provider_type.answer_scope_delimiter or provider_type.scope_delimiter
    lifetime, odd_life = _lifetime(answer.get("expires_in"))
    refresh_token, odd_refresh_token = _refresh_token(answer.get("refresh_token"))
    scopes, odd_scope = _scopes(answer.get("scope"), delimiter, asked)
    scopes = _as_asked(scopes, provider_type, asked, is_renewable=is_renewable or bool(refresh_token))
    token_type, odd_type = _token_type(answer.get("token_type"))
    _log_odd(
        provider_type,
        error="error" in answer,
        expires_in=odd_life,
        refresh_token=odd_refresh_token,
        scope=odd_scope,
        token_type=odd_type,
    )
    return TokenSet(
        access_token=Secret(access_token),
        refresh_token=Secret(refresh_token) if refresh_token else None,
        expires_at=now + (lifetime or _assumed(provider_type, is_odd=odd_life)),
        scopes=scopes or asked,
        token_type=token_type,
        extra=extra(answer, provider_type.extra_fields),
    )


def account(claims: dict[str, Any], provider_type: ProviderType) -> CloudAccount:
    """Whose tokens they are. Raises CloudAnswerInvalid where nothing says so."""
    subject = _first(claims, provider_type.subject_fields)
    if not subject:
        raise CloudAnswerInvalid(detail="the answer names no account")
    return CloudAccount.named(subject, clean(_first(claims, provider_type.label_fields)))


def names_somebody(claims: dict[str, Any], provider_type: ProviderType) -> bool:
    """True when there is a label that tells a person more than the subject does."""
    return any(
        _text_at(claims, path) for path in provider_type.label_fields if path not in provider_type.subject_fields
    )


def extra(answer: dict[str, Any], fields: dict[str, str]) -> dict[str, str]:
    """What calls to the cloud's API need beside the token, as far as it is there."""
    found = {name: _text_at(answer, path) for name, path in fields.items()}
    return {name: clean(text) for name, text in found.items() if text}


def _first(claims: dict[str, Any], paths: tuple[str, ...]) -> str:
    return next((text for path in paths if (text := _text_at(claims, path))), "")


def _text_at(document: dict[str, Any], path: str) -> str:
    """The value as text; `a+b` joins two, and is nothing where one is missing. Some clouds count their accounts."""
    values = [value_at(document, part) for part in path.split("+")]
    if not all(value and type(value) in (str, int) for value in values):
        return ""
    return "/".join(map(str, values))


def _is_token(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


# Each reader gives what it makes of a member of the answer, and whether that was odd


def _assumed(provider_type: ProviderType, *, is_odd: bool) -> int:
    """Where `expires_in` says nothing that can be read. A type whose tokens never end says nothing at all."""
    assumed = provider_type.default_access_token_seconds
    return min(assumed, _ODD_LIFE_SECONDS) if is_odd else assumed


def _lifetime(value: object) -> tuple[int | None, bool]:
    """Whole seconds, at least one and at most ten years; None where there are none to be read."""
    number: float = 0
    if isinstance(value, int | float) and not isinstance(value, bool):
        number = value
    elif isinstance(value, str) and _SECONDS.fullmatch(value.strip()):
        number = float(value)
    # Of NaN neither is true, and it is no number of seconds
    seconds = int(min(number, _LONGEST_LIFE)) if number >= 1 else None
    return seconds, value is not None and str(value) != str(seconds)


def _refresh_token(value: object) -> tuple[str | None, bool]:
    """Sent back in a form, in which any text can travel; so a character that no token should have loses none."""
    if value in (None, ""):
        return None, False
    if isinstance(value, str) and value.strip().casefold() in _NO_TOKEN:
        return None, True
    if not isinstance(value, str) or len(value) > _LONGEST_TOKEN or not _is_text(value):
        return None, True
    return value, not _is_token(value)


def _scopes(value: object, delimiter: str, asked: tuple[str, ...]) -> tuple[tuple[str, ...], bool]:
    """A text divided by the type's delimiter, by spaces or by commas, or a list, as Twitch sends it.

    A comma may be part of a scope (RFC 6749 3.3): what was asked for with one is not divided.
    """
    if value in (None, ""):
        return (), False
    texts = value if isinstance(value, list) else [value]
    pieces = [piece for text in texts if isinstance(text, str) for piece in text.replace(delimiter, " ").split()]
    parts = [part for piece in pieces for part in ([piece] if piece in asked else piece.split(",")) if part]
    scopes = tuple(dict.fromkeys(part for part in parts if _SCOPE.fullmatch(part)))[:_MOST_SCOPES]
    return scopes, not isinstance(value, str) or list(scopes) != pieces


def _as_asked(
    answered: tuple[str, ...], provider_type: ProviderType, asked: tuple[str, ...], *, is_renewable: bool
) -> tuple[str, ...]:
    """Scopes by the names under which they were asked for, and are in rules.

    `offline_access` is granted where there is a refresh token (OpenID Connect Core 11): Entra ID never names it in an
    answer, and wants it with the next refresh (https://learn.microsoft.com/answers/questions/806413).
    """
    names = provider_type.answer_scope_names
    scopes = dict.fromkeys(names[scope] if names.get(scope) in asked else scope for scope in answered)
    if scopes and is_renewable and OFFLINE in asked:
        scopes[OFFLINE] = None
    return tuple(scopes)


def _token_type(value: object) -> tuple[str, bool]:
    if value in (None, ""):
        return "Bearer", False
    if not isinstance(value, str) or not _TOKEN_TYPE.fullmatch(value):
        return "Bearer", True
    is_bearer = value.casefold() in _BEARERS
    return ("Bearer" if is_bearer else value), not is_bearer


def _is_text(value: str) -> bool:
    """False for half of a surrogate pair, which JSON can say and no encoding can send."""
    return all(unicodedata.category(character) != "Cs" for character in value)


def _log_odd(provider_type: ProviderType, **odd: bool) -> None:
    """One line that names the members, and none of what they say."""
    if names := [name for name, is_odd in odd.items() if is_odd]:
        _LOG.warning("cloud.odd_answer", extra={"server": provider_type.id, "detail": " ".join(names)})
