"""Who did what, to whom, when, from where, and how it ended."""

import re
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from enum import StrEnum

from .errors import InvalidRequest

_POSITION = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d#[A-Za-z0-9_-]{1,64}\Z")


class AuditTag(StrEnum):
    """The acts the audit log knows. A word, once used, keeps its meaning for ever."""

    LOGIN = "session.login"
    LOGIN_CONFIRMED = "session.login_confirmed"
    LOGIN_TESTED = "session.login_tested"
    LOGOUT = "session.logout"
    SESSION_ENDED = "session.ended"
    USER_DEPARTED = "user.departed"
    USER_RETURNED = "user.returned"
    USER_TOKENS_KEPT = "user.tokens_kept"
    USER_REMOVED = "user.removed"
    ABSENCE_BELIEVED = "directory.absence_believed"
    USER_EXPORTED = "user.exported"
    """Everything that is stored about somebody was handed out."""
    USER_ERASED = "user.erased"
    REQUEST_DENIED = "request.denied"
    """Refused before anything was done with it; folded by person and minute (`services/refusals.py`)."""
    CONSENT_FAILED = "consent.failed"
    GRANT_AUTHORIZED = "grant.authorized"
    GRANT_IMPORTED = "grant.imported"
    ACCOUNT_PREFERRED = "account.preferred"
    GRANT_REVOKED = "grant.revoked"
    GRANT_REMOVED = "grant.removed"
    REVOCATION_RETRIED = "revocation.retried"
    PROVIDER_REGISTERED = "provider.registered"
    PROVIDER_CHANGED = "provider.changed"
    PROVIDER_ENABLED = "provider.enabled"
    PROVIDER_DISABLED = "provider.disabled"
    PROVIDER_DELETED = "provider.deleted"
    PROVIDER_TESTED = "provider.tested"
    PROVIDER_TOKENS_REMOVED = "provider.tokens_removed"
    EVERYTHING_REMOVED = "everything.removed"
    PROVIDER_KEY_REWRAPPED = "provider.key_rewrapped"
    PROVIDER_CLEANED = "provider.cleaned"
    INTEGRITY_VIOLATED = "integrity.violated"
    TOKEN_RELEASED = "token.released"  # noqa: S105 - a word of the log
    TOKEN_REFUSED = "token.refused"  # noqa: S105 - a word of the log
    GRANT_FAILING = "grant.failing"
    GRANT_RECOVERED = "grant.recovered"
    GRANT_NEEDS_REAUTHORIZATION = "grant.needs_reauthorization"
    PROVIDER_MISCONFIGURED = "provider.misconfigured"
    CLIENT_REGISTERED = "client.registered"
    CLIENT_CHANGED = "client.changed"
    CLIENT_RULES_CHANGED = "client.rules_changed"
    CLIENT_KEYS_CHANGED = "client.keys_changed"
    CLIENT_STOPPED = "client.stopped"
    CLIENT_RESUMED = "client.resumed"
    CLIENT_IDENTIFIED = "client.identified"
    CLIENT_DELETED = "client.deleted"
    CLIENT_BLOCKED = "client.blocked"
    CLIENT_UNBLOCKED = "client.unblocked"
    RELEASES_STOPPED = "releases.stopped"
    RELEASES_RESUMED = "releases.resumed"
    RECORD_REMOVED = "record.removed"
    """A waiting item that could not be read."""
    RECORD_RESTORED = "record.restored"
    """Brought, after a restore of the table, to what it was last, or closed."""
    ADMINISTRATOR_APPOINTED = "administrator.appointed"
    ADMINISTRATOR_DISMISSED = "administrator.dismissed"
    MAIL_CHANGED = "mail.changed"
    EVENTS_REPLAYED = "events.replayed"
    EVENT_SENT_AGAIN = "event.sent_again"
    AUDIT_TAMPERED = "audit.tampered"
    AUDIT_UNREADABLE = "audit.unreadable"
    """Stands for an entry that the vault did not write: what is stored there cannot be read as one."""


PERSONAL_FACTS = ("account", "address", "detail", "person", "reason")
"""Facts that may name the person whom an entry is about: they are taken out when that person is erased."""


class Outcome(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from: `source` is the peer address that the gateway saw, never a header (R32).

    `browser` is a name of ours for what the browser calls itself; it proves nothing.
    """

    request_id: str
    source: str
    browser: str = ""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who did it: an id, and what that was called then."""

    id: str
    name: str = ""


NOBODY = Actor("-")
"""For what the vault does by itself."""

BACKGROUND = Origin(request_id="-", source="background")


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One entry. `facts` holds codes, counts and names; never a token or secret, and text of a cloud as `detail` alone,
    where it says why it refused, cleaned (`text.loggable`).

    `actor` and `user_id` say who it was; their names are what these were called then, for people to read.
    """

    tag: AuditTag
    outcome: Outcome
    actor: str
    origin: Origin
    user_id: str = ""
    provider_id: str = ""
    facts: dict[str, str] = field(default_factory=dict)
    actor_name: str = ""
    user_name: str = ""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """A recorded event. `at` is in epoch seconds; `position` is its place in the log: the time and the entry's id."""

    position: str
    at: int
    event: AuditEvent


def position(at: int, entry_id: str = "") -> str:
    """The place of an entry, or without an id the place before every entry of that second. Sorts as text."""
    moment = f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M:%S}"
    return f"{moment}#{entry_id}" if entry_id else moment


def seconds_of(place: str) -> int:
    """Epoch seconds of a position. Raises ValueError for what is none."""
    return int(datetime.fromisoformat(f"{place.partition('#')[0]}+00:00").timestamp())


def check_position(text: str) -> str:
    """`text` if an entry can be there. Raises InvalidRequest."""
    try:
        if not _POSITION.match(text):
            raise ValueError
        date.fromisoformat(text[:10])
    except ValueError:
        raise InvalidRequest("This page of the list no longer exists. Please start from its beginning.") from None
    return text


@dataclass(frozen=True, slots=True)
class Period:
    """Whole days in UTC, both included."""

    first: date
    last: date

    @property
    def days(self) -> int:
        return (self.last - self.first).days + 1


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which entries are wanted; an empty field asks for nothing.

    `user` and `actor` are an id, or a part of a name without regard to case.
    """

    user: str = ""
    actor: str = ""
    tag: AuditTag | None = None
    outcome: Outcome | None = None
    provider_id: str = ""

    def matches(self, event: AuditEvent) -> bool:
        return (
            _names(self.user, event.user_id, event.user_name)
            and _names(self.actor, event.actor, event.actor_name)
            and self.tag in (None, event.tag)
            and self.outcome in (None, event.outcome)
            and self.provider_id in ("", event.provider_id)
        )


def _names(wanted: str, user_id: str, name: str) -> bool:
    return not wanted or wanted == user_id or wanted.casefold() in name.casefold()
