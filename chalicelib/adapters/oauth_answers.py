"""What an authorization server says: tokens, or why not. All of it is text from outside until it was checked here."""

import json
import re
import unicodedata
from typing import Any

from requests import Response

from chalicelib.domain.errors import (
    CloudAnswerInvalid,
    CloudError,
    CloudMisconfigured,
    CloudRefused,
    CloudUnavailable,
)
from chalicelib.domain.provider import ProviderType
from chalicelib.domain.secret import Secret
from chalicelib.domain.token_set import TokenSet

_HTTP_OK = 200
_MAX_DETAIL = 200
_MAX_SECONDS = 2**31
_CONTROLS = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories that could forge a log line or turn its direction."""

_TOKEN = re.compile(r"[ -~]{1,65536}")
"""RFC 6749 appendix A.12 and A.17; the length is ours."""

_ERROR = re.compile(r"[a-z_]{1,64}")
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
_TRANSIENT = frozenset({"server_error", "temporarily_unavailable"})


def json_object(response: Response, *hide: Secret) -> dict[str, Any]:
    """The JSON object of a good answer. Raises the sorted CloudError of any other, without what is to `hide`."""
    raise_for_error(response, *hide)
    answer = _parsed(response)
    if response.status_code != _HTTP_OK or not isinstance(answer, dict):
        raise CloudAnswerInvalid(detail=f"HTTP {response.status_code}, {type(answer).__name__} where JSON is due")
    return answer


def raise_for_error(response: Response, *hide: Secret) -> None:
    """Raise the CloudError that an OAuth error response means (RFC 6749 5.2), also with status 200."""
    answer = _parsed(response)
    if isinstance(answer, dict) and "error" in answer:
        raise _sorted(answer["error"], answer.get("error_description"), hide)


def _parsed(response: Response) -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        return None


def _sorted(error: object, description: object, hide: tuple[Secret, ...]) -> CloudError:
    if not isinstance(error, str):
        return CloudAnswerInvalid(detail="an error that is not a string")
    code = error if _ERROR.fullmatch(error) else "unrecognized_error"
    detail = clean(f"{error}: {description}" if isinstance(description, str) else error, *hide)
    if code in _TRANSIENT:
        return CloudUnavailable(detail=detail)
    if code in _OUR_REGISTRATION:
        return CloudMisconfigured(code, detail=detail)
    return CloudRefused(code, detail=detail)


def clean(text: str, *hide: Secret) -> str:
    """`text` fit for a log line or a label: one line, no control or bidi characters, at most 200 characters."""
    for secret in hide:
        text = text.replace(secret.reveal(), "***")
    return "".join(c for c in text if unicodedata.category(c) not in _CONTROLS)[:_MAX_DETAIL].strip()


def token_set(answer: dict[str, Any], provider_type: ProviderType, asked: tuple[str, ...], now: int) -> TokenSet:
    """What a good answer grants (RFC 6749 5.1): the scopes `asked` if it names none. Raises CloudAnswerInvalid."""
    refresh_token = _optional_text(answer, "refresh_token")
    token_type = _optional_text(answer, "token_type") or "Bearer"
    scope = _optional_text(answer, "scope") or ""
    return TokenSet(
        access_token=Secret(_text(answer, "access_token")),
        refresh_token=Secret(refresh_token) if refresh_token else None,
        expires_at=now + _lifetime(answer, provider_type.default_access_token_seconds),
        scopes=tuple(scope.replace(provider_type.scope_delimiter, " ").split()) or asked,
        token_type="Bearer" if token_type.casefold() == "bearer" else token_type,
    )


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
