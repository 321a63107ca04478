"""From an error of the domain to an HTTP status. Its code and sentence come with it."""

from chalicelib.domain import errors
from chalicelib.domain.authorization_request import ConsentFailed
from chalicelib.domain.errors import VaultError
from chalicelib.domain.sign_in import SignInFailed
from chalicelib.domain.token_exchange import InvalidJwt, TokenRefused

STATUS: dict[type[VaultError], int] = {
    errors.VaultError: 500,
    errors.InvalidRequest: 400,
    errors.InvalidForm: 400,
    errors.TooLarge: 413,
    errors.UnsupportedContentType: 415,
    errors.MethodNotAllowed: 405,
    errors.NotFound: 404,
    errors.ForgedForm: 403,
    errors.LoginRequired: 401,
    errors.RecentLoginRequired: 403,
    errors.AccessDenied: 403,
    errors.LoginRefused: 401,
    errors.TooManyTries: 429,
    errors.DirectoryUnavailable: 503,
    errors.StorageUnavailable: 503,
    errors.ItemUnreadable: 503,
    errors.KeyUnavailable: 503,
    errors.Undeliverable: 503,
    errors.Conflict: 409,
    errors.IntegrityViolation: 500,
    errors.CloudError: 502,
    errors.CloudUnavailable: 503,
    errors.CloudAnswerInvalid: 502,
    errors.CloudAnswerForged: 502,
    errors.CloudClockDiffers: 502,
    errors.CloudRefused: 502,
    errors.CloudRefusalUnclear: 502,
    errors.CloudMisconfigured: 502,
    ConsentFailed: 400,
    SignInFailed: 400,
    TokenRefused: 400,
    InvalidJwt: 400,
}

BY_STATUS: dict[int, type[VaultError]] = {
    403: errors.NotFound,  # what API Gateway and Chalice say of an address that does not exist
    404: errors.NotFound,
    405: errors.MethodNotAllowed,
    413: errors.TooLarge,
    415: errors.UnsupportedContentType,
}
"""For answers that Chalice gives by itself, before any of our code has run."""


def status_of(error: VaultError) -> int:
    return STATUS[type(error)]


def of_status(status: int) -> VaultError:
    """The error that stands for an answer of Chalice's own."""
    if status in BY_STATUS:
        return BY_STATUS[status]()
    return errors.InvalidRequest() if 400 <= status < 500 else VaultError()  # noqa: PLR2004 - HTTP's classes
