"""The trip to a cloud: started by a person in a browser, finished in the same browser by the same person."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from chalicelib.domain.accounts import MAX_ACCOUNTS, new_slot
from chalicelib.domain.audit import AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.authorization_request import AuthorizationRequest, ConsentFailed, ConsentProblem
from chalicelib.domain.errors import (
    CloudAnswerInvalid,
    CloudClockDiffers,
    CloudError,
    CloudUnavailable,
    IntegrityViolation,
    InvalidRequest,
    NotFound,
)
from chalicelib.domain.grant import FIRST_SLOT, Holding
from chalicelib.domain.provider import Provider
from chalicelib.domain.refusal import Refusal, code_of_refusal, refusal_of, said, told_by
from chalicelib.domain.secret import Secret, fingerprint
from chalicelib.domain.session import MAX_OPEN_REQUESTS, Session
from chalicelib.domain.token_set import CloudAccount, TokenSet
from chalicelib.ports import (
    AuditLog,
    AuthorizationRequestStore,
    Box,
    Catalogue,
    Client,
    Clock,
    GrantStore,
    OAuthClient,
    Random,
    SessionStore,
    TokenCipher,
)

from .generations import GenerationService
from .grants import Brought, GrantService
from .revocations import client_of

TEST_STATE = "test."
"""What the state of a test begins with: only to go back to the right page, whatever comes of it."""
_VERIFIER_BYTES = 48
"""64 characters of PKCE verifier; RFC 7636 4.1 wants 43 to 128."""


@dataclass(frozen=True, slots=True)
class Departure:
    """Where the browser goes, and the flow cookie it must bring back."""

    provider_name: str
    url: str
    flow: str


@dataclass(frozen=True, slots=True)
class Callback:
    """What the browser brought back. All of it is text from outside."""

    provider_id: str
    state: str
    flow: str
    code: str = ""
    error: str = ""
    description: str = ""
    """What goes with `error`; it counts only where the callback fits an open request of this browser."""
    iss: str | None = None
    parameters: Mapping[str, str] = field(default_factory=dict)
    """Others that some type keeps, by their names at the cloud."""


@dataclass(frozen=True, slots=True)
class Tested:
    """What an administrator's own consent brought. Nothing of it was stored."""

    scopes: tuple[str, ...]
    missing: tuple[str, ...]
    has_refresh_token: bool
    seconds: int


@dataclass(frozen=True, slots=True)
class Consented:
    """A finished trip. `previous` is the cloud account of before, if it was another one."""

    account: CloudAccount
    previous: CloudAccount | None = None
    was_connected: bool = False
    """The account was connected beside the one that was asked for, which is as it was."""
    tested: Tested | None = None
    """The trip was a test."""


class ConsentService:
    """Starts and completes authorization requests."""

    def __init__(
        self,
        *,
        requests: AuthorizationRequestStore,
        sessions: SessionStore,
        grant_store: GrantStore,
        grants: GrantService,
        generations: GenerationService,
        cipher: TokenCipher,
        oauth_client: OAuthClient,
        catalogue: Catalogue,
        audit_log: AuditLog,
        clock: Clock,
        random: Random,
        public_url: str,
    ) -> None:
        self._requests = requests
        self._sessions = sessions
        self._grant_store = grant_store
        self._grants = grants
        self._generations = generations
        self._cipher = cipher
        self._oauth_client = oauth_client
        self._catalogue = catalogue
        self._audit_log = audit_log
        self._clock = clock
        self._random = random
        self._public_url = public_url

    def callback_parameters(self) -> tuple[str, ...]:
        """What callbacks may bring beside the protocol's own parameters, for any type of the catalogue."""
        kept = {one.parameter for type_ in self._catalogue.all() for one in type_.callback_fields.values()}
        return tuple(sorted(kept))

    def start(
        self,
        session: Session,
        provider_id: str,
        flow: str | None,
        *,
        slot: str | None = FIRST_SLOT,
        is_test: bool = False,
    ) -> Departure:
        """Freeze where the trip goes and who makes it. `flow` is the browser's flow cookie if it has one.

        `slot` is that of the account to authorize again, None for one more account; `is_test`: an administrator tries
        the provider, enabled or not. Raises NotFound when the provider does not exist, is switched off or is not for
        this person, InvalidRequest where they have as many accounts there as there may be.
        """
        holding = self._grant_store.load(session.user.id, provider_id, slot or FIRST_SLOT)
        provider = holding.provider
        if provider.is_deleted or not (is_test or provider.is_offered_to(session.user.groups)):
            raise NotFound
        if provider.is_ending:
            # Before anything new is stored there, so that it is not taken for what was removed
            self._generations.carried_out(provider)
            holding = self._grant_store.load(session.user.id, provider_id, slot or FIRST_SLOT)
            provider = holding.provider
        state = (TEST_STATE if is_test else "") + self._random.token()
        code_verifier, flow = self._random.token(_VERIFIER_BYTES), flow or self._random.token()
        if slot is None or (slot and holding.grant is None):
            slot = self._new_slot(session, provider)
        request = self._freeze(
            session, holding, slot=slot, state=state, code_verifier=code_verifier, flow=flow, is_test=is_test
        )
        self._requests.add(request)
        self._remember(session, request)
        url = self._oauth_client.authorization_url(
            request,
            self._catalogue.stored(holding.provider.type_id),
            state=state,
            code_verifier=code_verifier,
            again=is_test or bool(slot) or holding.grant is not None,
        )
        return Departure(holding.provider.name, url, flow)

    def complete(self, session: Session, callback: Callback, origin: Origin) -> Consented:
        """Check everything, exchange the code once, store the grant.

        Raises ConsentFailed with the problem. The cloud gets no request unless browser, person, provider and
        issuer fit (R38-R40); a grant of before stays as it was unless the new one was stored.
        """
        try:
            consented = self._complete(session, callback, origin)
        except ConsentFailed as failure:
            self._audit_log.record(_event(AuditTag.CONSENT_FAILED, session, callback, origin, **_facts(failure)))
            raise
        if consented.tested:
            self._audit_log.record(
                _event(AuditTag.PROVIDER_TESTED, session, callback, origin, account=consented.account.label)
            )
        return consented

    def _complete(self, session: Session, callback: Callback, origin: Origin) -> Consented:
        came_back = self._clock.now()
        request = self._requests.consume(
            fingerprint(callback.state),
            user_id=session.user.id,
            flow_hash=fingerprint(callback.flow),
            provider_id=callback.provider_id,
            now=came_back,
        )
        request.check_issuer(callback.iss)
        code_of(callback)  # before anything is read: an error ends the trip here
        holding = self._unchanged(request)
        with self._cipher.unlock(holding.key) as box:
            client = client_of(holding.provider, box)
            token_set, account = self._exchange(client, holding, request, callback, box)
            if request.is_test:
                # Many clouds end everything of an account at once: what the administrator holds must not go along
                if not _holds(holding, account):
                    self._grants.discard(request.user_id, holding, client, box, token_set=token_set, account=account)
                return Consented(account, tested=self._tested(request, token_set))
            brought = Brought(session.user, request.slot, token_set, account, came_back)

            def line(*, changed: bool) -> AuditEvent:
                facts = {"account": account.label, "account_changed": str(changed).lower()}
                return _event(AuditTag.GRANT_AUTHORIZED, session, callback, origin, **facts)

            kept = self._grants.keep(brought, holding, client=client, box=box, line=line)
        return Consented(account, kept.previous, was_connected=kept.was_connected)

    def _tested(self, request: AuthorizationRequest, token_set: TokenSet) -> Tested:
        return Tested(
            scopes=token_set.scopes,
            missing=tuple(scope for scope in request.scopes if scope not in token_set.scopes),
            has_refresh_token=token_set.refresh_token is not None,
            seconds=token_set.expires_at - self._clock.now(),
        )

    def _new_slot(self, session: Session, provider: Provider) -> str:
        """Raises InvalidRequest where the person has as many accounts as there may be."""
        held = self._grant_store.at(session.user.id, provider.id, provider.generation)
        if len(held.grants) >= MAX_ACCOUNTS:
            raise InvalidRequest(
                f"You have authorized {MAX_ACCOUNTS} accounts at {provider.name}, and more are not possible. "
                "Please revoke one that you do not need."
            )
        return new_slot(self._clock.now(), self._random.token(6))

    def _freeze(
        self,
        session: Session,
        holding: Holding,
        *,
        slot: str,
        state: str,
        code_verifier: str,
        flow: str,
        is_test: bool,
    ) -> AuthorizationRequest:
        provider = holding.provider
        request = AuthorizationRequest(
            state_hash=fingerprint(state),
            flow_hash=fingerprint(flow),
            user_id=session.user.id,
            provider_id=provider.id,
            generation=provider.generation,
            server=provider.server,
            client_id=provider.client_id,
            scopes=provider.scopes,
            redirect_uri=self._public_url + provider.redirect_path(),
            nonce=self._random.token(),
            code_verifier=b"",
            created_at=self._clock.now(),
            slot=slot,
            is_test=is_test,
        )
        with self._cipher.unlock(holding.key) as box:
            return replace(request, code_verifier=box.encrypt(code_verifier.encode(), request.verifier_context()))

    def _remember(self, session: Session, request: AuthorizationRequest) -> None:
        """Keep the session's list of open requests short: the oldest makes room (R48)."""
        open_requests = (*session.open_requests, request.state_hash)
        for state_hash in open_requests[:-MAX_OPEN_REQUESTS]:
            self._requests.discard(state_hash)
        self._sessions.open_requests(session.id_hash, open_requests[-MAX_OPEN_REQUESTS:])

    def _unchanged(self, request: AuthorizationRequest) -> Holding:
        """The holding, if the provider still is what the person set out to (R41)."""
        try:
            holding = self._grant_store.load(request.user_id, request.provider_id, request.slot)
        except NotFound:
            raise ConsentFailed(ConsentProblem.PROVIDER_CHANGED) from None
        provider = holding.provider
        then = (request.generation, request.client_id, request.server)
        is_off = provider.is_deleted or not (provider.enabled or request.is_test)
        # The person has seen what was asked for at the start; since then something else may be needed
        is_outdated = provider.outdates(request.created_at)
        if is_off or is_outdated or then != (provider.generation, provider.client_id, provider.server):
            raise ConsentFailed(ConsentProblem.PROVIDER_CHANGED)
        return holding

    def _exchange(
        self, client: Client, holding: Holding, request: AuthorizationRequest, callback: Callback, box: Box
    ) -> tuple[TokenSet, CloudAccount]:
        try:
            code_verifier = Secret(box.decrypt(request.code_verifier, request.verifier_context()).decode())
        except IntegrityViolation as violation:
            # Sealed for another provider of the same id: this one was deleted and registered anew meanwhile
            raise ConsentFailed(ConsentProblem.PROVIDER_CHANGED, detail=violation.detail) from violation
        provider_type = self._catalogue.stored(holding.provider.type_id)
        try:
            return self._oauth_client.exchange_code(
                client,
                provider_type,
                request,
                code=code_of(callback),
                code_verifier=code_verifier,
                brought=provider_type.brought(callback.parameters),
            )
        except CloudError as error:
            cloud = ""
            if error.received is not None:
                cloud = self._grants.discard(request.user_id, holding, client, box, token_set=error.received)
            problem, code = _problem(error)
            raise ConsentFailed(problem, detail=error.detail, cloud=cloud, cloud_code=code) from error


def _event(tag: AuditTag, session: Session, callback: Callback, origin: Origin, **facts: str) -> AuditEvent:
    outcome = Outcome.FAILURE if tag is AuditTag.CONSENT_FAILED else Outcome.SUCCESS
    user_id, name = session.user.id, session.user.login_name
    return AuditEvent(tag, outcome, user_id, origin, user_id, callback.provider_id, facts, name, name)


def _holds(holding: Holding, account: CloudAccount) -> bool:
    grant = holding.grant
    return grant is not None and grant.token_set is not None and grant.account.subject == account.subject


def code_of(callback: Callback) -> str:
    """The code, or ConsentFailed; `error` wins over it, whatever else the answer has (RFC 6749 4.1.2.1, R42)."""
    if callback.error:
        words = callback.error.lower(), callback.description  # some clouds write the standards' words in capitals
        detail = said(*words, hide=(Secret(callback.state), Secret(callback.flow), Secret(callback.code)))
        raise ConsentFailed(ConsentProblem(refusal_of(*words)), detail=detail, cloud_code=code_of_refusal(*words))
    if not callback.code:
        raise ConsentFailed(ConsentProblem.CLOUD_ANSWER_INVALID)
    return callback.code


def _problem(error: CloudError) -> tuple[ConsentProblem, str]:
    """What it is to the person, and the cloud's own code."""
    refusal, code = told_by(error)
    match error:
        case CloudUnavailable():
            return ConsentProblem.CLOUD_UNAVAILABLE, code
        case CloudClockDiffers():
            return ConsentProblem.CLOCKS_DIFFER, code
        case CloudAnswerInvalid():
            return ConsentProblem.CLOUD_ANSWER_INVALID, code
    if refusal in (Refusal.OTHER, Refusal.DENIED):  # nobody is asked at a token endpoint
        refusal = Refusal.MISCONFIGURED if error.may_be_registration else Refusal.OTHER
    return ConsentProblem(refusal), code


def _facts(failure: ConsentFailed) -> dict[str, str]:
    """What the audit log keeps of it; `detail` is the cloud's own word, cleaned."""
    detail = failure.detail if failure.detail not in (failure.problem, failure.cloud_code) else ""
    facts = {"problem": failure.problem.value, "cloud": failure.cloud, "code": failure.cloud_code, "detail": detail}
    return {name: value for name, value in facts.items() if value}
