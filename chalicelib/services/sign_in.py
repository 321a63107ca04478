"""Signing in at the OpenID provider: the browser goes there and comes back, and a session begins or is confirmed."""

import logging
from base64 import urlsafe_b64encode
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from hashlib import sha256
from typing import Any
from urllib.parse import urlencode

from chalicelib.domain.audit import AuditEvent, AuditTag, Outcome
from chalicelib.domain.authorization_request import AuthorizationRequest, ConsentFailed, ConsentProblem
from chalicelib.domain.errors import (
    CloudAnswerForged,
    CloudAnswerInvalid,
    CloudClockDiffers,
    CloudError,
    CloudUnavailable,
    IntegrityViolation,
    LoginRefused,
)
from chalicelib.domain.refusal import Refusal, told_by
from chalicelib.domain.secret import Secret, fingerprint
from chalicelib.domain.session import NoticeKind, Session
from chalicelib.domain.sign_in import SignInFailed, SignInProblem, SignInSettings
from chalicelib.domain.user import User
from chalicelib.ports import (
    AuditLog,
    AuthorizationRequestStore,
    Clock,
    Directory,
    Identity,
    IdentityProvider,
    Random,
    SessionBox,
)

from .consent import Callback, Departure, code_of
from .login import Client, LoggedIn
from .sessions import SessionService

_LOG = logging.getLogger(__name__)

CALLBACK_PATH = "/login/callback"
_PROVIDER_ID = "sign-in"
"""No provider has this id: a request of one kind is never taken for one of the other."""
_NOBODY = "-"
"""Whose request it is while nobody is signed in."""
_LONGEST_HINT = 6000
"""Of an id_token that is kept: a browser sends it back in an address, and servers take some 8 kB."""
_PROBLEMS = {
    ConsentProblem.EXPIRED: SignInProblem.NOT_OURS,
    ConsentProblem.USED: SignInProblem.NOT_OURS,
    ConsentProblem.FOREIGN: SignInProblem.NOT_OURS,
    ConsentProblem.WRONG_SERVER: SignInProblem.WRONG_ANSWER,
    ConsentProblem.CLOUD_ANSWER_INVALID: SignInProblem.UNUSABLE_ANSWER,
    ConsentProblem.CLOUD_UNAVAILABLE: SignInProblem.UNAVAILABLE,
    ConsentProblem.CLOUD_ERROR: SignInProblem.DENIED,
}
"""Where the two kinds of trips have other words for the same."""


class SignInService:
    """Starts and completes sign-ins at the one provider of the settings."""

    def __init__(
        self,
        *,
        settings: SignInSettings,
        provider: IdentityProvider,
        requests: AuthorizationRequestStore,
        sessions: SessionService,
        directory: Directory,
        audit_log: AuditLog,
        clock: Clock,
        random: Random,
        public_url: str,
        box: SessionBox,
        directory_domains: frozenset[str] = frozenset(),
    ) -> None:
        self._settings = settings
        self._directory_domains = directory_domains
        self._box = box
        self._provider = provider
        self._requests = requests
        self._sessions = sessions
        self._directory = directory
        self._audit_log = audit_log
        self._clock = clock
        self._random = random
        self._public_url = public_url

    @property
    def name(self) -> str:
        """What people know the provider by."""
        return self._settings.name

    @property
    def before_again(self) -> str:
        """What people must do by themselves before they prove anew who they are; empty where the provider asks."""
        return self._settings.preset.before_again

    def start(self, flow: str | None, state_prefix: str = "", session: Session | None = None) -> Departure:
        """Freeze where the trip goes; `session`: the person in it is to prove anew who they are.

        `state_prefix` comes back with the state: whoever reads it must not trust it. Raises SignInFailed.
        """
        flow, state = flow or self._random.token(), state_prefix + self._random.token()
        try:
            request = self._request(state, flow, session)
            self._requests.add(request)
            verifier = _code_verifier(flow, state)
            url = self._provider.authorization_url(
                request, state=state, code_verifier=verifier, anew=session is not None
            )
        except CloudError as error:
            raise self._not_started(error) from error
        return Departure(self._settings.name, url, flow)

    def complete(self, callback: Callback, client: Client, session: Session | None = None) -> LoggedIn:
        """Check everything, exchange the code once, begin a session; it takes the place of `session`.

        Raises SignInFailed, LoginRefused or DirectoryUnavailable; then nothing has changed.
        """
        tag = AuditTag.LOGIN_CONFIRMED if session else AuditTag.LOGIN
        actor = session.user.id if session else _NOBODY
        try:
            user, identity = self._user(callback, session)
        except (SignInFailed, LoginRefused) as failure:
            facts = _facts(failure)
            self._record(AuditEvent(tag, Outcome.FAILURE, actor, client.origin, facts=facts))
            _LOG.warning("sign_in.failed", extra={"code": facts["cause"], "detail": failure.detail})
            if isinstance(failure, LoginRefused):
                self._sessions.shut_out(failure.user_id)
            raise
        lacks_groups = not user.domain and self._settings.lacks_groups(identity.claims)
        name, facts = user.login_name, {"with": self.name}
        if lacks_groups:
            facts["groups"] = "not all named"
        line = AuditEvent(
            tag, Outcome.SUCCESS, user.id, client.origin, user.id, facts=facts, actor_name=name, user_name=name
        )
        kept = self._kept(identity.id_token)
        started = self._sessions.start(user, client.browser, line, replaces=session, by_openid=True, id_token=kept)
        if not lacks_groups:
            return LoggedIn(started.cookie, started.session)
        _LOG.warning("sign_in.groups_not_named", extra={"user_id": user.id})
        notice = self._sessions.notify(started.session, NoticeKind.GROUPS_NOT_NAMED, {"at": self.name})
        return LoggedIn(started.cookie, replace(started.session, notice=notice))

    def sign_out_url(self, session: Session | None = None, cookie: str = "") -> str:
        """Where somebody may end the session at the provider, too; empty where it does not say.

        With the id_token where that was kept with the `session`, which only its `cookie` opens.
        """
        try:
            endpoint = self._provider.server().end_session_endpoint
        except CloudError:
            return ""
        signed_out = {self._settings.preset.signed_out_parameter: f"{self._public_url}/login"}
        hint = self._hint(session, cookie)
        if self._settings.id_token_hint and not hint:
            # Okta answers 400 without
            return ""
        back = {"client_id": self._settings.client_id, **signed_out, **hint}
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(back)}" if endpoint else ""

    def _hint(self, session: Session | None, cookie: str) -> dict[str, str]:
        if session is None or not session.id_token:
            return {}
        try:
            return {"id_token_hint": self._box.open(Secret(cookie), session.id_token)}
        except IntegrityViolation:
            return {}

    def _request(self, state: str, flow: str, session: Session | None) -> AuthorizationRequest:
        return AuthorizationRequest(
            state_hash=fingerprint(state),
            flow_hash=fingerprint(flow),
            user_id=session.user.id if session else _NOBODY,
            provider_id=_PROVIDER_ID,
            generation=0,
            server=self._provider.server(),
            client_id=self._settings.client_id,
            scopes=self._settings.scopes_to_ask,
            redirect_uri=self._public_url + CALLBACK_PATH,
            nonce=self._random.token(),
            code_verifier=b"",
            created_at=self._clock.now(),
        )

    def _kept(self, id_token: Secret) -> Callable[[Secret], str] | None:
        """How an id_token is kept for signing out, where the provider wants that."""
        if not self._settings.id_token_hint or len(id_token.reveal()) > _LONGEST_HINT:
            return None
        return partial(self._box.seal, text=id_token.reveal())

    def _user(self, callback: Callback, session: Session | None) -> tuple[User, Identity]:
        identity, started_at = self._identity(callback, session)
        claims = identity.claims
        user = self._person(claims)
        if session and user.id != session.user.id:
            raise SignInFailed(SignInProblem.ANOTHER_PERSON, self.name)
        # About somebody of a directory that directory has the last word, and the sweep asks it
        self._settings.check_allowed(claims, "" if user.domain else user.id)
        if session:
            self._settings.check_anew(claims, started_at, self._clock.now())
        return user, identity

    def _identity(self, callback: Callback, session: Session | None) -> tuple[Identity, int]:
        """What the provider says of who came back, and when the trip began."""
        try:
            request = self._requests.consume(
                fingerprint(callback.state),
                user_id=session.user.id if session else _NOBODY,
                flow_hash=fingerprint(callback.flow),
                provider_id=_PROVIDER_ID,
                now=self._clock.now(),
            )
            request.check_issuer(callback.iss)
            code = code_of(callback)
        except ConsentFailed as failure:
            raise self._unfinished(failure) from failure
        verifier = Secret(_code_verifier(callback.flow, callback.state))
        try:
            return self._provider.identity(request, code=code, code_verifier=verifier), request.created_at
        except CloudError as error:
            raise self._failure(error) from error

    def _person(self, claims: Mapping[str, Any]) -> User:
        """By the directory where the claims name somebody in it, so that both ways in lead to the same user."""
        directory_id = self._settings.directory_id(claims)
        if directory_id:
            return self._directory.person(directory_id)
        return self._settings.user(claims, self._directory_domains)

    def _unfinished(self, failure: ConsentFailed) -> SignInFailed:
        problem = _PROBLEMS.get(failure.problem) or SignInProblem(failure.problem)
        return self._failed(problem, failure.detail, failure.cloud_code)

    def _not_started(self, error: CloudError) -> SignInFailed:
        """Nobody has been anywhere yet: what is wrong is wrong for everybody."""
        _, code = told_by(error)
        extra = {"code": code or error.code, "detail": error.detail, "server": self._settings.issuer}
        _LOG.error("sign_in.not_started", extra=extra)
        is_away = isinstance(error, CloudUnavailable)
        problem = SignInProblem.UNAVAILABLE if is_away else SignInProblem.MISCONFIGURED
        return self._failed(problem, error.detail or error.code, code)

    def _failure(self, error: CloudError) -> SignInFailed:
        problem, code = _problem(error)
        return self._failed(problem, error.detail or error.code, code)

    def _failed(self, problem: SignInProblem, detail: str, code: str) -> SignInFailed:
        needed = problem is SignInProblem.APPROVAL_NEEDED
        url = self._settings.approval_url(self._public_url + CALLBACK_PATH) if needed else ""
        return SignInFailed(problem, self.name, detail=detail, provider_code=code, approval_url=url)

    def _record(self, event: AuditEvent) -> None:
        self._audit_log.record(replace(event, facts={"with": self.name, **event.facts}))


def _problem(error: CloudError) -> tuple[SignInProblem, str]:
    """What it is to the person, and the provider's own code."""
    refusal, code = told_by(error)
    match error:
        case CloudUnavailable():
            return SignInProblem.UNAVAILABLE, code
        case CloudClockDiffers():
            return SignInProblem.CLOCKS_DIFFER, code
        case CloudAnswerForged():
            return SignInProblem.WRONG_ANSWER, code
        case CloudAnswerInvalid():
            return SignInProblem.UNUSABLE_ANSWER, code
    if refusal is Refusal.OTHER:
        return SignInProblem.MISCONFIGURED if error.may_be_registration else SignInProblem.DENIED, code
    return _PROBLEMS.get(ConsentProblem(refusal)) or SignInProblem(refusal), code


def _facts(failure: SignInFailed | LoginRefused) -> dict[str, str]:
    """What the audit log keeps of it; `detail` is the provider's own word, cleaned."""
    if isinstance(failure, LoginRefused):
        return {"cause": failure.cause}
    cause = failure.problem.value
    detail = failure.detail if failure.detail not in (cause, failure.provider_code) else ""
    facts = {"cause": cause, "code": failure.provider_code, "detail": detail}
    return {name: value for name, value in facts.items() if value}


def _code_verifier(flow: str, state: str) -> str:
    """43 characters that only who holds both the flow cookie and the state can make (RFC 7636 4.1 wants 43 to 128).

    So it is stored nowhere, and needs no key before anybody is signed in.
    """
    return urlsafe_b64encode(sha256(f"code_verifier\n{flow}\n{state}".encode()).digest()).decode().rstrip("=")
