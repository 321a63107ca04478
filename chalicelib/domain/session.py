"""One signed-in browser."""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Self

from .user import User


@dataclass(frozen=True, slots=True)
class Lifetimes:
    """How long a session lives, in seconds (R4)."""

    idle: int
    absolute: int


USER_LIFETIMES = Lifetimes(idle=30 * 60, absolute=12 * 3600)
ADMINISTRATOR_LIFETIMES = Lifetimes(idle=15 * 60, absolute=8 * 3600)
RECENT_LOGIN_SECONDS = 5 * 60
MAX_SESSIONS_PER_USER = 5
MAX_OPEN_REQUESTS = 20
NOTICE_SECONDS = 10 * 60


class NoticeKind(StrEnum):
    """What the page after a redirect has to say."""

    AUTHORIZED = "authorized"
    CONSENT_FAILED = "consent_failed"
    REVOKED = "revoked"
    REMOVED = "removed"
    TESTED = "tested"
    GROUPS_NOT_NAMED = "groups_not_named"
    BACK_FROM_APPROVAL = "back_from_approval"


@dataclass(frozen=True, slots=True)
class Notice:
    """One message for the next page, kept with the session so that no link can forge it.

    `facts` holds codes, counts and cloud account names; the sentences are the template's.
    """

    id: str
    kind: NoticeKind
    facts: dict[str, str]
    created_at: int


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in browser. `id_hash` is the SHA-256 (hex) of the cookie; times are epoch seconds."""

    id_hash: str
    user: User
    created_at: int
    authenticated_at: int
    last_seen_at: int
    browser: str = ""
    """What the browser called itself, cut and cleaned: only to recognise it in the list of sessions."""
    open_requests: tuple[str, ...] = ()
    """Hashes of the states of authorization requests under way, oldest first (R48)."""
    notice: Notice | None = None
    by_openid: bool = False
    """Signed in at the OpenID provider, and not with a password of the directory."""
    id_token: str = ""
    """What the OpenID provider wants to see again when this browser signs out there, encrypted (`ports.SessionBox`)."""
    was_appointed: bool = False
    """At the log-in an administrator by appointment; whether that still holds is looked up with each request."""

    @property
    def handle(self) -> str:
        """Names the session in the list of its user's sessions; useless as a cookie."""
        return self.id_hash[:16]

    def is_live(self, now: int, lifetimes: Lifetimes) -> bool:
        """Decided by the clock, never by whether the store has deleted the item yet (R85)."""
        return now < self.expires_at(lifetimes)

    def expires_at(self, lifetimes: Lifetimes) -> int:
        return min(self.last_seen_at + lifetimes.idle, self.created_at + lifetimes.absolute)

    def logged_in_recently(self, now: int) -> bool:
        return now - self.authenticated_at < RECENT_LOGIN_SECONDS

    def seen(self, now: int) -> Self:
        return replace(self, last_seen_at=now)

    def notice_with_id(self, notice_id: str, now: int) -> Notice | None:
        """The notice a redirect pointed at, unless it is another one or old."""
        notice = self.notice
        if notice is None or notice.id != notice_id or now - notice.created_at > NOTICE_SECONDS:
            return None
        return notice
