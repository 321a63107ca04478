"""From a Windows password to a session."""

from chalicelib.domain.audit import AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.errors import LoginRefused
from chalicelib.domain.secret import Secret
from chalicelib.domain.session import Session
from chalicelib.domain.user import LoginName, User
from chalicelib.ports import AuditLog, Directory

from .sessions import SessionService, StartedSession


class LoginService:
    """Asks the directory once a try and starts a session for whom it names."""

    def __init__(self, directory: Directory, sessions: SessionService, audit_log: AuditLog) -> None:
        self._directory = directory
        self._sessions = sessions
        self._audit_log = audit_log

    def log_in(self, user_name: str, password: Secret, browser: str, origin: Origin) -> StartedSession:
        """Raises LoginRefused or DirectoryUnavailable; either way there is no session."""
        user = self._authenticate(AuditTag.LOGIN, user_name, password, origin)
        started = self._sessions.start(user, browser)
        self._record(AuditTag.LOGIN, Outcome.SUCCESS, user.id, origin, user_id=user.id, name=user.login_name)
        return started

    def confirm(self, session: Session, password: Secret, browser: str, origin: Origin) -> StartedSession:
        """Log the same person in again: a new session takes the old one's place (R3, R35)."""
        user = self._authenticate(AuditTag.LOGIN_CONFIRMED, session.user.login_name, password, origin)
        if user.id != session.user.id:
            # The name now belongs to somebody else: whoever typed the password is not who is signed in
            self._record(AuditTag.LOGIN_CONFIRMED, Outcome.FAILURE, user.id, origin, cause="another_person")
            raise LoginRefused("another_person")
        started = self._sessions.start(user, browser, replaces=session)
        self._record(AuditTag.LOGIN_CONFIRMED, Outcome.SUCCESS, user.id, origin, user_id=user.id, name=user.login_name)
        return started

    def _authenticate(self, tag: AuditTag, user_name: str, password: Secret, origin: Origin) -> User:
        try:
            return self._directory.authenticate(LoginName.parse(user_name), password)
        except LoginRefused as refusal:
            # Not the name that was typed: people type their password into the wrong field
            self._record(tag, Outcome.FAILURE, "-", origin, cause=refusal.cause)
            raise

    def _record(
        self,
        tag: AuditTag,
        outcome: Outcome,
        actor: str,
        origin: Origin,
        *,
        user_id: str = "",
        name: str = "",
        cause: str = "",
    ) -> None:
        facts = {"cause": cause} if cause else {}
        event = AuditEvent(tag, outcome, actor, origin, user_id, facts=facts, actor_name=name, user_name=name)
        self._audit_log.record(event)
