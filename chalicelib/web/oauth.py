"""OAuth on the wire: parameters of the token endpoint in, JSON out (RFC 6749 5, RFC 8693 2)."""

from typing import Any

from chalicelib.domain import errors
from chalicelib.domain.errors import VaultError
from chalicelib.domain.token_exchange import RefusalReason, TokenRefused

from .answers import Json
from .errors import status_of

STATUS = {"invalid_client": 401, "temporarily_unavailable": 503}
"""HTTP statuses of OAuth errors; the others are 400 (RFC 6749 5.2)."""

_UNREADABLE = (errors.MethodNotAllowed, errors.NotFound, errors.TooLarge, errors.UnsupportedContentType)
"""Refused before any parameter was looked at; the reason is their code."""

_CONNECT = (RefusalReason.NOT_CONNECTED, RefusalReason.NEEDS_REAUTHORIZATION, RefusalReason.MISSING_SCOPES)
"""Refusals that the person can end by authorizing."""


def refusal(error: TokenRefused, request_id: str, connect_url: str) -> Json:
    """A refusal that a program can decide by; `connect_url` is given where it helps, and grants nothing."""
    reason = error.reason
    body: dict[str, Any] = _body(reason.error, reason.sentence, reason.value, request_id)
    if error.mistake is not None:
        body |= {"error_description": error.mistake.sentence, "detail": error.mistake.detail.value}
    if reason in _CONNECT and connect_url:
        body["connect_url"] = connect_url
    if error.missing:
        body["missing_scopes"] = list(error.missing)
    headers = {}
    if error.retry_after is not None:
        body["retry_after"] = error.retry_after
        headers["Retry-After"] = str(error.retry_after)
    return Json(body, STATUS.get(reason.error, 400), headers)


def failure(error: VaultError, request_id: str) -> Json:
    """Any other error on an address of programs: as OAuth has it, and with nothing of what is behind."""
    status = status_of(error)
    if isinstance(error, TokenRefused):
        return refusal(error, request_id, "")
    if isinstance(error, errors.StorageUnavailable | errors.KeyUnavailable):
        return refusal(TokenRefused(RefusalReason.VAULT_UNAVAILABLE, retry_after=5), request_id, "")
    if isinstance(error, errors.InvalidRequest | errors.NotFound):
        reason = error.code if isinstance(error, _UNREADABLE) else RefusalReason.INVALID_REQUEST.value
        body = _body(RefusalReason.INVALID_REQUEST.error, error.message, reason, request_id)
        return Json(body | _named(error), status)
    return Json(_body("server_error", VaultError.message, VaultError.code, request_id), 500)


def _named(error: errors.InvalidRequest | errors.NotFound) -> dict[str, str]:
    """The parameter that could not be read, by the name it has in the code: what was sent is never said again."""
    name = error.parameter if isinstance(error, errors.InvalidRequest) else ""
    return {"error_description": f"`{name}`: {error.message}", "detail": name} if name else {}


def _body(error: str, sentence: str, reason: str, request_id: str) -> dict[str, Any]:
    return {"error": error, "error_description": sentence, "reason": reason, "request_id": request_id}
