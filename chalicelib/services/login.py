"""From a directory password to a session."""

from dataclasses import dataclass

from chalicelib.domain.audit import AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.errors import DirectoryUnavailable, LoginRefused, TooManyTries
from chalicelib.domain.secret import Secret
from chalicelib.domain.session import Session
from chalicelib.domain.user import Account, User
from chalicelib.ports import AuditLog, Clock, Directory

from .sessions import SessionService
from .throttle import Attempt, Throttle

REFUSAL_SECONDS = 0.5
"""Every refusal is answered a multiple of this after the try began: how long the directory took tells nothing (R29)."""

_NOT_TRIED = ("empty_password", "malformed_password")


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """A new session and the only place where its cookie's value exists.

    `known_browser` is a second cookie that outlives the session: by it this browser is known at the next log-in. None
    where the browser has it already.
    """

    cookie: Secret
    session: Session
    known_browser: Secret | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """Who asks: what the browser calls itself, the cookie it may be known by, where the request came from."""

    browser: str
    known_browser: str
    origin: Origin


class LoginService:
    """Asks the directory once a try and starts a session for whom it names."""

    def __init__(
        self, directory: Directory, sessions: SessionService, throttle: Throttle, audit_log: AuditLog, clock: Clock
    ) -> None:
        self._directory = directory
        self._sessions = sessions
        self._throttle = throttle
        self._audit_log = audit_log
        self._clock = clock

    def log_in(self, user_name: str, password: Secret, client: Client) -> LoggedIn:
        """Raises LoginRefused, TooManyTries or DirectoryUnavailable; either way there is no session."""
        user, known = self._authenticate(AuditTag.LOGIN, user_name, password, client)
        started = self._sessions.start(user, client.browser)
        self._record(AuditTag.LOGIN, Outcome.SUCCESS, user.id, client.origin, user_id=user.id)
        return LoggedIn(started.cookie, started.session, known)

    def confirm(self, session: Session, password: Secret, client: Client) -> LoggedIn:
        """Log the same person in again: a new session takes the old one's place (R3, R35)."""
        user, known = self._authenticate(AuditTag.LOGIN_CONFIRMED, session.user.login_name, password, client)
        if user.id != session.user.id:
            # The name now belongs to somebody else: whoever typed the password is not who is signed in
            facts = {"cause": "another_person"}
            self._record(AuditTag.LOGIN_CONFIRMED, Outcome.FAILURE, user.id, client.origin, facts=facts)
            raise LoginRefused("another_person")
        started = self._sessions.start(user, client.browser, replaces=session)
        self._record(AuditTag.LOGIN_CONFIRMED, Outcome.SUCCESS, user.id, client.origin, user_id=user.id)
        return LoggedIn(started.cookie, started.session, known)

    def test(self, administrator: User, user_name: str, password: Secret, client: Client) -> User:
        """What a log-in would find, without a session. Raises as `log_in`."""
        user, _ = self._authenticate(AuditTag.LOGIN_TESTED, user_name, password, client, actor=administrator.id)
        self._record(AuditTag.LOGIN_TESTED, Outcome.SUCCESS, administrator.id, client.origin, user_id=user.id)
        return user

    def _authenticate(
        self, tag: AuditTag, user_name: str, password: Secret, client: Client, *, actor: str = "-"
    ) -> tuple[User, Secret | None]:
        """The person, and the cookie by which the browser is known from now on (None: it was)."""
        began = self._clock.monotonic()
        attempt = self._throttle.attempt(client.origin.source, client.known_browser)
        try:
            account = self._directory.account(user_name)
        except DirectoryUnavailable:
            attempt.was_none()
            raise
        try:
            attempt.at(account)
            user = self._ask(account, password, attempt)
        except TooManyTries:
            self._wait(began)
            raise
        except LoginRefused as refusal:
            # Not the name that was typed: people type their password into the wrong field
            facts = {"cause": refusal.cause} | ({"sub_code": refusal.sub_code} if refusal.sub_code else {})
            self._record(tag, Outcome.FAILURE, actor, client.origin, facts=facts)
            self._wait(began)
            raise
        attempt.was_right()
        return user, attempt.remember()

    def _ask(self, account: Account, password: Secret, attempt: Attempt) -> User:
        try:
            return self._directory.authenticate(account, password)
        except DirectoryUnavailable as error:
            if not error.was_asked:
                attempt.was_none()
            raise
        except LoginRefused as refusal:
            if refusal.followed_right_password or refusal.cause in _NOT_TRIED:
                attempt.was_none()
            else:
                attempt.was_wrong()
            raise

    def _wait(self, began: float) -> None:
        passed = self._clock.monotonic() - began
        self._clock.sleep(REFUSAL_SECONDS - passed % REFUSAL_SECONDS)

    def _record(
        self,
        tag: AuditTag,
        outcome: Outcome,
        actor: str,
        origin: Origin,
        *,
        user_id: str = "",
        facts: dict[str, str] | None = None,
    ) -> None:
        self._audit_log.record(AuditEvent(tag, outcome, actor, origin, user_id=user_id, facts=facts or {}))
