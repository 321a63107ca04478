"""From a directory password to a session."""

from dataclasses import dataclass, replace

from chalicelib.domain.audit import AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.directory_report import Step, StepName, Steps
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
        user, attempt = self._authenticate(AuditTag.LOGIN, user_name, password, client)
        line = _event(AuditTag.LOGIN, Outcome.SUCCESS, user.id, client.origin, user=user)
        started = self._sessions.start(user, client.browser, line)
        return LoggedIn(started.cookie, started.session, attempt.remember())

    def confirm(self, session: Session, password: Secret, client: Client) -> LoggedIn:
        """Log the same person in again: a new session takes the old one's place (R3, R35)."""
        user, attempt = self._authenticate(
            AuditTag.LOGIN_CONFIRMED, session.user.login_name, password, client, actor=session.user.id
        )
        if user.id != session.user.id:
            # The name now belongs to somebody else: whoever typed the password is not who is signed in
            facts = {"cause": "another_person"}
            self._audit_log.record(
                _event(AuditTag.LOGIN_CONFIRMED, Outcome.FAILURE, user.id, client.origin, facts=facts)
            )
            raise LoginRefused("another_person")
        line = _event(AuditTag.LOGIN_CONFIRMED, Outcome.SUCCESS, user.id, client.origin, user=user)
        started = self._sessions.start(user, client.browser, line, replaces=session)
        return LoggedIn(started.cookie, started.session, attempt.remember())

    def test(self, actor: str, user_name: str, password: Secret, client: Client) -> list[Step]:
        """How a log-in goes, step by step, without a session; `actor` is who tests. It is a try like any other."""
        steps = Steps(self._clock.monotonic)
        try:
            user, _ = self._authenticate(AuditTag.LOGIN_TESTED, user_name, password, client, actor=actor, steps=steps)
        except (LoginRefused, TooManyTries, DirectoryUnavailable) as error:
            if steps.are_good:
                steps.add(StepName.NAME, error.detail, code=getattr(error, "cause", error.code))
        else:
            self._audit_log.record(_event(AuditTag.LOGIN_TESTED, Outcome.SUCCESS, actor, client.origin, user=user))
        return steps.steps

    def _authenticate(
        self,
        tag: AuditTag,
        user_name: str,
        password: Secret,
        client: Client,
        *,
        actor: str = "-",
        steps: Steps | None = None,
    ) -> tuple[User, Attempt]:
        """The person whose password was right. Raises LoginRefused, TooManyTries or DirectoryUnavailable."""
        began = self._clock.monotonic()
        steps = steps or Steps(self._clock.monotonic)
        attempt = self._throttle.attempt(client.origin.source, client.known_browser)
        try:
            account = self._directory.account(user_name)
        except DirectoryUnavailable:
            attempt.was_none()
            raise
        steps.add(StepName.NAME, f"{account.name or ''} {account.dn or account.user_id}".strip(), code=account.refusal)
        try:
            attempt.at(account)
            user = self._ask(account, password, attempt, steps)
        except TooManyTries:
            self._wait(began)
            raise
        except LoginRefused as refusal:
            # Not the name that was typed: people type their password into the wrong field
            facts = {"cause": refusal.cause} | ({"sub_code": refusal.sub_code} if refusal.sub_code else {})
            self._audit_log.record(_event(tag, Outcome.FAILURE, actor, client.origin, facts=facts))
            self._sessions.shut_out(refusal.user_id)
            self._wait(began)
            raise
        attempt.was_right()
        return user, attempt

    def _ask(self, account: Account, password: Secret, attempt: Attempt, steps: Steps) -> User:
        try:
            return self._directory.authenticate(account, password, steps)
        except DirectoryUnavailable as error:
            if not error.was_asked:
                attempt.was_none()
            raise
        except LoginRefused as refusal:
            if refusal.followed_right_password or refusal.cause in _NOT_TRIED:
                attempt.was_none()
            elif refusal.is_judged:
                attempt.was_wrong()
            else:
                attempt.was_not_judged()
            raise

    def _wait(self, began: float) -> None:
        passed = self._clock.monotonic() - began
        self._clock.sleep(REFUSAL_SECONDS - passed % REFUSAL_SECONDS)


def _event(
    tag: AuditTag,
    outcome: Outcome,
    actor: str,
    origin: Origin,
    *,
    user: User | None = None,
    facts: dict[str, str] | None = None,
) -> AuditEvent:
    name = user.login_name if user else ""
    event = AuditEvent(tag, outcome, actor, origin, user.id if user else "", facts=facts or {}, user_name=name)
    return replace(event, actor_name=name) if user and actor == user.id else event
