"""Asking for an access token: what a caller may say, and every way in which the answer can be no."""

from dataclasses import dataclass
from enum import StrEnum

from .errors import VaultError
from .secret import Secret
from .token_set import CloudAccount


class RefusalReason(StrEnum):
    """Why nothing is released. A word, once used, keeps its meaning for ever: programs decide by it."""

    INVALID_REQUEST = "invalid_request"
    UNSUPPORTED_GRANT_TYPE = "unsupported_grant_type"
    INVALID_CLIENT = "invalid_client"
    INVALID_SUBJECT = "invalid_subject"
    AMBIGUOUS_SUBJECT = "ambiguous_subject"
    REPLAYED = "replayed"
    APP_NOT_ALLOWED = "app_not_allowed"
    BLOCKED = "blocked"
    NOT_CONNECTED = "not_connected"
    NEEDS_REAUTHORIZATION = "needs_reauthorization"
    MISSING_SCOPES = "missing_scopes"
    LIFE_TOO_SHORT = "life_too_short"
    PROVIDER_UNAVAILABLE = "provider_unavailable"
    PROVIDER_MISCONFIGURED = "provider_misconfigured"
    VAULT_UNAVAILABLE = "vault_unavailable"

    @property
    def error(self) -> str:
        """The OAuth error it is (RFC 6749 5.2, RFC 8693 2.2.2)."""
        return _WORDS[self][0]

    @property
    def sentence(self) -> str:
        """For the program's author."""
        return _WORDS[self][1]


_WORDS = {
    RefusalReason.INVALID_REQUEST: (
        "invalid_request",
        "A parameter is missing, repeated, or not of the form it must have.",
    ),
    RefusalReason.UNSUPPORTED_GRANT_TYPE: ("unsupported_grant_type", "The vault does token exchange and nothing else."),
    RefusalReason.INVALID_CLIENT: (
        "invalid_client",
        "The application could not be authenticated. Its id, and its key with `kid` or its role, must be those "
        "that are registered.",
    ),
    RefusalReason.INVALID_SUBJECT: ("invalid_request", "The subject token is not one that this application may use."),
    RefusalReason.AMBIGUOUS_SUBJECT: (
        "invalid_request",
        "More than one person has this name. Name the person by the directory's own identifier.",
    ),
    RefusalReason.REPLAYED: (
        "invalid_client",
        "This client assertion was used before. Make a new one for each request.",
    ),
    RefusalReason.APP_NOT_ALLOWED: ("unauthorized_client", "The application may not fetch this token."),
    RefusalReason.BLOCKED: (
        "unauthorized_client",
        "Releases are stopped, for the application, the person, the provider or at all.",
    ),
    RefusalReason.NOT_CONNECTED: (
        "invalid_grant",
        "The person has not authorized this provider, or not with exactly one account of the name that was asked for.",
    ),
    RefusalReason.NEEDS_REAUTHORIZATION: ("invalid_grant", "The person must authorize this provider again."),
    RefusalReason.MISSING_SCOPES: ("invalid_scope", "The person's authorization lacks a scope that was asked for."),
    RefusalReason.LIFE_TOO_SHORT: ("invalid_request", "The provider's tokens never live as long as was asked for."),
    RefusalReason.PROVIDER_UNAVAILABLE: ("temporarily_unavailable", "The provider cannot be reached at the moment."),
    RefusalReason.PROVIDER_MISCONFIGURED: (
        "temporarily_unavailable",
        "The provider does not accept how the vault is registered there. The administrators were told.",
    ),
    RefusalReason.VAULT_UNAVAILABLE: ("temporarily_unavailable", "The vault cannot do its work at the moment."),
}


class Detail(StrEnum):
    """Which part of a caller's own request is wrong: a parameter, a claim of a JWT, or what is named below.

    A word, once used, keeps its meaning for ever.
    """

    GRANT_TYPE = "grant_type"
    REQUESTED_TOKEN_TYPE = "requested_token_type"  # noqa: S105 - a parameter's name, as all of these
    CLIENT_ID = "client_id"
    CLIENT_ASSERTION = "client_assertion"
    CLIENT_ASSERTION_TYPE = "client_assertion_type"
    CLIENT_SECRET = "client_secret"  # noqa: S105
    SUBJECT_TOKEN = "subject_token"  # noqa: S105
    SUBJECT_TOKEN_TYPE = "subject_token_type"  # noqa: S105
    ACTOR_TOKEN = "actor_token"  # noqa: S105
    ACTOR_TOKEN_TYPE = "actor_token_type"  # noqa: S105
    AUDIENCE = "audience"
    RESOURCE = "resource"
    SCOPE = "scope"
    MINIMUM_SECONDS = "minimum_seconds"
    ACCOUNT = "account"
    REJECTED_TOKEN_HASH = "rejected_token_hash"  # noqa: S105
    REASON = "reason"
    JWT = "jwt"
    """It is none."""
    KID = "kid"
    ALG = "alg"
    SIGNATURE = "signature"
    ISS = "iss"
    SUB = "sub"
    AUD = "aud"
    IAT = "iat"
    EXP = "exp"
    NBF = "nbf"
    LIFETIME = "lifetime"
    """From `iat` to `exp`."""
    JTI = "jti"


@dataclass(frozen=True, slots=True)
class Mistake:
    """What a caller did wrong in its own request: the only part of a refusal's cause that it is told (R102).

    `sentence` is ours and says what is expected. It may hold our issuer, numbers, and what is registered for a caller
    that has proved who it is; never text from outside, and nothing about people, other applications or which exist.
    """

    detail: Detail
    sentence: str


class TokenRefused(VaultError):
    """Nothing is released. `retry_after`: seconds after which a try may fare better; `missing`: scopes that lack.

    `mistake` is told to the caller; `detail`, which it gives if there is one, is for log and ledger alone.
    """

    code = "token_refused"
    message = "No token was released."

    def __init__(
        self,
        reason: RefusalReason,
        *,
        detail: str = "",
        mistake: Mistake | None = None,
        retry_after: int | None = None,
        missing: tuple[str, ...] = (),
    ) -> None:
        self.reason = reason
        self.mistake = mistake
        self.retry_after = retry_after
        self.missing = missing
        super().__init__(reason.sentence, detail=mistake.detail.value if mistake else detail)


@dataclass(frozen=True, slots=True)
class Need:
    """How fresh a token must be.

    `minimum_seconds` of life left, None for a sensible margin; `rejected_token_hash` is the SHA-256 (hex) of a token
    that the cloud refused: if that is still the current one it is refreshed although its time is not over. `renew`:
    refreshed in any case, so that the refresh token does not lapse.
    """

    minimum_seconds: int | None = None
    rejected_token_hash: str = ""
    renew: bool = False


class InvalidJwt(VaultError):
    """A JWT that is malformed, or not signed by a key it must be signed by. `detail` says which, for the log."""

    code = "invalid_jwt"
    message = "The token is not one that this application may use."


@dataclass(frozen=True, slots=True)
class Caller:
    """Who says to call. Everything but `arn` is text from outside.

    With `client_assertion` the application proves itself by a signature (RFC 7523); without it `arn`, which the gateway
    vouches for, must be a session of its IAM role.
    """

    client_id: str = ""
    client_assertion: Secret | None = None
    arn: str = ""


@dataclass(frozen=True, slots=True)
class TokenRequest:
    """One call of the token endpoint, as it was sent. Everything in it is text from outside."""

    caller: Caller
    provider_id: str
    subject_token: Secret
    subject_is_jwt: bool
    """False: `subject_token` is the plain name of a person. Only for IAM callers, whose whole request is signed."""
    reason: str = ""
    scopes: tuple[str, ...] = ()
    account: str = ""
    need: Need = Need()


@dataclass(frozen=True, slots=True)
class Release:
    """One access token on its way to an application. The refresh token is not in it."""

    id: str
    access_token: Secret
    token_type: str
    expires_at: int
    expires_in: int
    account: CloudAccount
    scopes: tuple[str, ...]
    missing_scopes: tuple[str, ...]
    """What the provider is registered with and the person did not grant."""
    extra: dict[str, str]
