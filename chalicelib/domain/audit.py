"""Who did what, to whom, when, from where, and how it ended."""

from dataclasses import dataclass, field
from enum import StrEnum


class AuditTag(StrEnum):
    """The acts the audit log knows. A word, once used, keeps its meaning for ever."""

    LOGIN = "session.login"
    LOGIN_CONFIRMED = "session.login_confirmed"
    LOGOUT = "session.logout"
    SESSION_ENDED = "session.ended"
    CONSENT_FAILED = "consent.failed"
    GRANT_AUTHORIZED = "grant.authorized"
    GRANT_REVOKED = "grant.revoked"
    GRANT_REMOVED = "grant.removed"
    REVOCATION_RETRIED = "revocation.retried"
    PROVIDER_REGISTERED = "provider.registered"
    PROVIDER_TOKENS_REMOVED = "provider.tokens_removed"
    PROVIDER_CLEANED = "provider.cleaned"
    INTEGRITY_VIOLATED = "integrity.violated"
    TOKEN_RELEASED = "token.released"  # noqa: S105 - a word of the log
    TOKEN_REFUSED = "token.refused"  # noqa: S105 - a word of the log
    GRANT_FAILING = "grant.failing"
    GRANT_RECOVERED = "grant.recovered"
    GRANT_NEEDS_REAUTHORIZATION = "grant.needs_reauthorization"
    PROVIDER_MISCONFIGURED = "provider.misconfigured"
    CLIENT_REGISTERED = "client.registered"
    CLIENT_RULES_CHANGED = "client.rules_changed"
    CLIENT_KEYS_CHANGED = "client.keys_changed"
    CLIENT_STOPPED = "client.stopped"
    CLIENT_RESUMED = "client.resumed"


class Outcome(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from: `source` is the peer address that the gateway saw, never a header (R32)."""

    request_id: str
    source: str


BACKGROUND = Origin(request_id="-", source="background")


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One entry. `facts` holds codes, counts and names; never a token, secret or text of a cloud."""

    tag: AuditTag
    outcome: Outcome
    actor: str
    origin: Origin
    user_id: str = ""
    provider_id: str = ""
    facts: dict[str, str] = field(default_factory=dict)
