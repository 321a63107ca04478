"""Signed-in browsers: made at log-in, found by cookie, ended by clock, person or limit."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace

from chalicelib.domain.access import is_administrator
from chalicelib.domain.audit import BACKGROUND, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.errors import Conflict, ItemUnreadable, NotFound
from chalicelib.domain.secret import Secret, fingerprint
from chalicelib.domain.session import (
    ADMINISTRATOR_LIFETIMES,
    MAX_SESSIONS_PER_USER,
    USER_LIFETIMES,
    Lifetimes,
    Notice,
    NoticeKind,
    Session,
)
from chalicelib.domain.user import Departure, User, UserRecord, is_outdated_stamp
from chalicelib.ports import (
    AdministratorStore,
    AuditLog,
    AuthorizationRequestStore,
    Clock,
    Random,
    SessionStore,
    UserStore,
)

_TOUCH_SECONDS = 60
"""Activity is noted at most this often, so that a page view is no write."""


@dataclass(frozen=True, slots=True)
class StartedSession:
    """A new session and the only place where its cookie's value exists."""

    cookie: Secret
    session: Session


class SessionService:
    """All rules about sessions; what a person's roles are is decided anew at each call."""

    def __init__(
        self,
        *,
        sessions: SessionStore,
        requests: AuthorizationRequestStore,
        audit_log: AuditLog,
        clock: Clock,
        random: Random,
        users: UserStore,
        administrators: AdministratorStore,
        administrator_groups: frozenset[str],
    ) -> None:
        self._sessions = sessions
        self._requests = requests
        self._users = users
        self._administrators = administrators
        self._audit_log = audit_log
        self._clock = clock
        self._random = random
        self._administrator_groups = administrator_groups

    def start(
        self,
        user: User,
        browser: str,
        line: AuditEvent,
        *,
        replaces: Session | None = None,
        by_openid: bool = False,
        id_token: Callable[[Secret], str] | None = None,
    ) -> StartedSession:
        """A session with a new id, whatever the browser had before (R3); the oldest beyond the limit end (R7).

        So do those from before a change of the password (R6). `replaces` ends too, and does not count against
        the limit. `line` is what the log says of it; `id_token` encrypts one for who holds the new cookie.
        """
        replaced = replaces.id_hash if replaces else None
        others = [s for s in self._live(self._sessions.of_user(user.id)) if s.id_hash != replaced]
        kept = [s for s in others if not is_outdated_stamp(s.user.password_stamp, user.password_stamp)]
        kept = kept[: MAX_SESSIONS_PER_USER - 1]
        self._delete(*(s for s in others if s not in kept))
        cookie, now = self._random.token(), self._clock.now()
        session = Session(
            id_hash=fingerprint(cookie),
            user=user,
            created_at=now,
            authenticated_at=now,
            last_seen_at=now,
            browser=browser,
            by_openid=by_openid,
            id_token=id_token(Secret(cookie)) if id_token else "",
            was_appointed=self._administrators.get().cover(user),
            open_requests=replaces.open_requests if replaces else (),
        )
        # First, so that there is no session of somebody whom the sweep does not ask about
        self._users.enrol(user, sessions_until=now + self._lifetimes(session).absolute, at=now)
        with self._audit_log.recording(line):
            self._sessions.add(session, session.expires_at(self._lifetimes(session)))
        if replaced:
            self._sessions.delete(replaced)
        return StartedSession(Secret(cookie), session)

    def find(self, cookie: str) -> Session | None:
        """The live session of a cookie, its activity noted; None for anything else."""
        session = self._sessions.get(fingerprint(cookie))
        now = self._clock.now()
        if session is None or not session.is_live(now, self._lifetimes(session)):
            return None
        if now - session.last_seen_at < _TOUCH_SECONDS:
            return session
        seen = session.seen(now)
        self._sessions.touch(seen.id_hash, now, seen.expires_at(self._lifetimes(seen)))
        return seen

    def is_administrator(self, session: Session) -> bool:
        """By the groups of the settings, or appointed and not dismissed since. Costs most people no read (R33)."""
        if is_administrator(session.user, self._administrator_groups):
            return True
        return session.was_appointed and self._administrators.get().cover(session.user)

    def logged_in_recently(self, session: Session) -> bool:
        """True while the session may do what can hurt many (R35)."""
        return session.logged_in_recently(self._clock.now())

    def end(self, session: Session, origin: Origin) -> None:
        """Sign this browser out. What it set out to authorize is over, too."""
        self._end_all([session], _event(AuditTag.LOGOUT, session.user, origin, 1))

    def of_user(self, user: User) -> list[Session]:
        """The user's live sessions, newest first."""
        return self._live(self._sessions.of_user(user.id))

    def end_other(self, session: Session, handle: str, origin: Origin) -> None:
        """End another session of the same user. Raises NotFound for anyone else's and for one's own."""
        others = [s for s in self.of_user(session.user) if s.handle == handle and s.id_hash != session.id_hash]
        if not others:
            raise NotFound
        self._end_all(others, _event(AuditTag.SESSION_ENDED, session.user, origin, len(others)))

    def end_others(self, session: Session, origin: Origin) -> None:
        """End every session of the user but this one."""
        others = [s for s in self.of_user(session.user) if s.id_hash != session.id_hash]
        self._end_all(others, _event(AuditTag.SESSION_ENDED, session.user, origin, len(others)))

    def notify(
        self, session: Session, kind: NoticeKind, facts: dict[str, str], *, finished: str | None = None
    ) -> Notice:
        """Leave a notice for the next page; `finished` is an authorization request that is over."""
        notice = Notice(self._random.token(12), kind, facts, self._clock.now())
        remaining = tuple(state_hash for state_hash in session.open_requests if state_hash != finished)
        self._sessions.notify(session.id_hash, notice, open_requests=remaining)
        return notice

    def notice(self, session: Session, notice_id: str) -> Notice | None:
        """The notice that a redirect pointed at, while it is fresh."""
        return session.notice_with_id(notice_id, self._clock.now())

    def told_of(self, session: Session, state_hash: str) -> Notice | None:
        """The notice of what came of this very authorization request, while it is fresh and the last one."""
        notice = session.notice
        if notice is None or notice.facts.get("state") != state_hash:
            return None
        return session.notice_with_id(notice.id, self._clock.now())

    def shut_out(self, user_id: str) -> None:
        """A log-in proved who this is, and that they may not use the vault any more: what the leavers' sweep would do.

        Where nobody can be asked about others, this is the only way to hear of it (R97).
        """
        if not user_id:
            return
        # Read before the sessions end: a log-in in between makes the note a conflict
        record = self._readable_record(user_id)
        sessions = self._sessions.of_user(user_id)
        if sessions:
            self._end_all(sessions, _out(AuditTag.SESSION_ENDED, sessions[0].user, {"count": str(len(sessions))}))
        if record is not None and record.departure is None:
            with suppress(Conflict):  # somebody else has written it: that stays
                self._note_shut_out(record, len(sessions))

    def _readable_record(self, user_id: str) -> UserRecord | None:
        """None also for one that cannot be read: such a person gets no release either way."""
        try:
            return self._users.get(user_id)
        except ItemUnreadable:
            return None

    def _note_shut_out(self, record: UserRecord, ended: int) -> None:
        out = replace(record, departure=Departure.NOT_ALLOWED, departed_at=self._clock.now(), keeps_tokens=False)
        with self._audit_log.recording(_out(AuditTag.USER_DEPARTED, record.user, {"sessions": str(ended)})):
            self._users.save(replace(out, missing_since=0))

    def _end_all(self, sessions: list[Session], line: AuditEvent) -> None:
        self._discard_requests(sessions)
        with self._audit_log.recording(line):
            self._sessions.delete(*(session.id_hash for session in sessions))

    def _delete(self, *sessions: Session) -> None:
        self._discard_requests(sessions)
        self._sessions.delete(*(session.id_hash for session in sessions))

    def _discard_requests(self, sessions: Iterable[Session]) -> None:
        """Before the sessions: whoever logs in on that browser next must not finish them."""
        for session in sessions:
            for state_hash in session.open_requests:
                self._requests.discard(state_hash)

    def _live(self, sessions: list[Session]) -> list[Session]:
        now = self._clock.now()
        return [session for session in sessions if session.is_live(now, self._lifetimes(session))]

    def _lifetimes(self, session: Session) -> Lifetimes:
        is_one = session.was_appointed or is_administrator(session.user, self._administrator_groups)
        return ADMINISTRATOR_LIFETIMES if is_one else USER_LIFETIMES


def _event(tag: AuditTag, user: User, origin: Origin, count: int) -> AuditEvent:
    name, facts = user.login_name, {"count": str(count)}
    return AuditEvent(tag, Outcome.SUCCESS, user.id, origin, user.id, facts=facts, actor_name=name, user_name=name)


def _out(tag: AuditTag, user: User, facts: dict[str, str]) -> AuditEvent:
    facts = {"cause": Departure.NOT_ALLOWED.value, **facts}
    return AuditEvent(tag, Outcome.SUCCESS, "-", BACKGROUND, user.id, facts=facts, user_name=user.login_name)
