"""What an authorization server says: tokens, or why not. All of it is text from outside until it was checked here."""

import re
from typing import Any

from requests import Response

from chalicelib.domain.errors import (
    CloudAnswerInvalid,
    CloudError,
    CloudMisconfigured,
    CloudRefused,
    CloudUnavailable,
)
from chalicelib.domain.provider_type import ErrorKind, ProviderType
from chalicelib.domain.secret import Secret
from chalicelib.domain.text import clean as cleaned
from chalicelib.domain.token_set import CloudAccount, TokenSet

from . import dialects
from .dialects import STANDARD, value_at

_HTTP_OK = 200
_MAX_SECONDS = 2**31
_TOKEN = re.compile(r"[ -~]{1,65536}")
"""RFC 6749 appendix A.12 and A.17; the length is ours."""

_ERROR = re.compile(r"[a-z0-9_]{1,64}")
"""Wide enough for every registered error code, too narrow for a secret."""

# RFC 6749 4.1.2.1 and 5.2, RFC 8707 2 and, for the redirect URI, what large clouds say
_OUR_REGISTRATION = frozenset(
    {
        "invalid_client",
        "invalid_request",
        "invalid_scope",
        "invalid_target",
        "redirect_uri_mismatch",
        "unauthorized_client",
        "unsupported_grant_type",
        "unsupported_response_type",
    }
)
_BEARERS = ("bearer", "user")
"""RFC 6750, and what Slack calls it."""
_TRANSIENT = frozenset({"server_error", "temporarily_unavailable"})


def json_object(response: Response, *hide: Secret, provider_type: ProviderType = STANDARD) -> dict[str, Any]:
    """The JSON object of a good answer. Raises the sorted CloudError of any other, without what is to `hide`."""
    raise_for_error(response, *hide, provider_type=provider_type)
    answer = dialects.read(response, provider_type)
    if response.status_code != _HTTP_OK or not isinstance(answer, dict):
        raise CloudAnswerInvalid(detail=f"HTTP {response.status_code}, {type(answer).__name__} where JSON is due")
    return answer


def raise_for_error(response: Response, *hide: Secret, provider_type: ProviderType = STANDARD) -> None:
    """Raise the CloudError that an OAuth error response means (RFC 6749 5.2), also with status 200."""
    answer = dialects.read(response, provider_type)
    if not isinstance(answer, dict):
        return
    error, kind = dialects.error_word(answer, provider_type)
    if kind is not None or "error" in answer:
        raise _sorted(error, kind, answer.get("error_description"), hide)


def _sorted(error: object, kind: ErrorKind | None, description: object, hide: tuple[Secret, ...]) -> CloudError:
    if not isinstance(error, str):
        return CloudAnswerInvalid(detail="an error that is not a string")
    code = error if _ERROR.fullmatch(error) else "unrecognized_error"
    detail = clean(f"{error}: {description}" if isinstance(description, str) else error, *hide)
    match kind or _meaning(code):
        case ErrorKind.TRANSIENT:
            return CloudUnavailable(detail=detail)
        case ErrorKind.MISCONFIGURED:
            return CloudMisconfigured(code, detail=detail)
    return CloudRefused(code, detail=detail)


def _meaning(code: str) -> ErrorKind:
    """As the standards have it; a word that nobody registered is final."""
    if code in _TRANSIENT:
        return ErrorKind.TRANSIENT
    return ErrorKind.MISCONFIGURED if code in _OUR_REGISTRATION else ErrorKind.FINAL


def clean(text: str, *hide: Secret) -> str:
    """`text` fit for a log line or a label, without what is to `hide`."""
    for secret in hide:
        text = text.replace(secret.reveal(), "***")
    return cleaned(text)


def token_set(answer: dict[str, Any], provider_type: ProviderType, asked: tuple[str, ...], now: int) -> TokenSet:
    """What a good answer grants (RFC 6749 5.1): the scopes `asked` if it names none. Raises CloudAnswerInvalid."""
    refresh_token = _optional_text(answer, "refresh_token")
    token_type = _optional_text(answer, "token_type") or "Bearer"
    scope = _optional_text(answer, "scope") or ""
    delimiter = provider_type.answer_scope_delimiter or provider_type.scope_delimiter
    return TokenSet(
        access_token=Secret(_text(answer, "access_token")),
        refresh_token=Secret(refresh_token) if refresh_token else None,
        expires_at=now + _lifetime(answer, provider_type.default_access_token_seconds),
        scopes=tuple(scope.replace(delimiter, " ").split()) or asked,
        token_type="Bearer" if token_type.casefold() in _BEARERS else token_type,
        extra=extra(answer, provider_type.extra_fields),
    )


def account(claims: dict[str, Any], provider_type: ProviderType) -> CloudAccount:
    """Whose tokens they are. Raises CloudAnswerInvalid where nothing says so."""
    subject = _first(claims, provider_type.subject_fields)
    if not subject:
        raise CloudAnswerInvalid(detail="the answer names no account")
    return CloudAccount(subject, clean(_first(claims, provider_type.label_fields)) or clean(subject))


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


def _text(answer: dict[str, Any], name: str) -> str:
    value = answer.get(name)
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise CloudAnswerInvalid(detail=f"{name} is missing or malformed")
    return value


def _optional_text(answer: dict[str, Any], name: str) -> str | None:
    return _text(answer, name) if answer.get(name) not in (None, "") else None


def _lifetime(answer: dict[str, Any], default: int) -> int:
    """`expires_in` in seconds. Some clouds send it as a string, some not at all."""
    value = answer.get("expires_in")
    if value is None:
        return default
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,10}", value):
        value = int(value)
    if type(value) is not int or not 0 < value <= _MAX_SECONDS:
        raise CloudAnswerInvalid(detail="expires_in is malformed")
    return value
