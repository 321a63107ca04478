"""Token exchange (RFC 8693): an application asks for one person's access token at one provider.

A warm release is three AWS calls: one read of everything that decides, one unlocked key, and the ledger's line. That
line is also what makes a client assertion work once: its key is made of the assertion's own claims, so a second one
cannot be written (docs/adr/0014-the-ledger-is-the-lock.md).
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from chalicelib.domain import assertions
from chalicelib.domain.assertions import AssertionUse
from chalicelib.domain.audit import AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.client_application import ClientApplication, SubjectMode
from chalicelib.domain.errors import CloudError, CloudRefused, Conflict, KeyUnavailable, StorageUnavailable
from chalicelib.domain.grant import Grant, Holding, ReleaseHolding
from chalicelib.domain.ids import is_provider_id
from chalicelib.domain.release import decide
from chalicelib.domain.token_exchange import (
    Caller,
    Detail,
    InvalidJwt,
    Mistake,
    RefusalReason,
    Release,
    TokenRefused,
    TokenRequest,
)
from chalicelib.ports import AuditLog, Clock, JwtVerifier, Random, ReleaseStore, TokenCipher

from .limits import LimitService
from .people import PeopleService
from .refresh import Fresh, RefreshService

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_STALE_SECONDS = 1
"""A release that took longer looks again whether it is still allowed (R76)."""
_RETRY_SECONDS = 5
_NOTHING = "-"
"""The name of nobody and the id of nothing."""
_LONGEST_DETAIL = 200
_NO_PROVIDER_ID = Mistake(Detail.AUDIENCE, "`audience` must be a provider's id.")
_NOT_SIGNED = (
    "Only a caller that signs its whole request as its role may name a person without a signed token, and only where "
    "its registration trusts no identity provider for that."
)


@dataclass(slots=True)
class _Line:
    """The ledger's line in the making: what is known so far. `use` is set once the caller was authenticated."""

    origin: Origin
    actor: str = "-"
    actor_name: str = ""
    user_id: str = ""
    user_name: str = ""
    provider_id: str = ""
    use: AssertionUse | None = None
    facts: dict[str, str] = field(default_factory=dict)

    def event(self, tag: AuditTag, outcome: Outcome, **facts: str) -> AuditEvent:
        known = self.facts | {name: value for name, value in facts.items() if value}
        return AuditEvent(
            tag,
            outcome,
            self.actor,
            self.origin,
            self.user_id,
            self.provider_id,
            known,
            actor_name=self.actor_name,
            user_name=self.user_name,
        )


class TokenExchangeService:
    """Authenticates, decides, opens, records, releases; in this order."""

    def __init__(
        self,
        *,
        releases: ReleaseStore,
        refresh: RefreshService,
        cipher: TokenCipher,
        jwt_verifier: JwtVerifier,
        audit_log: AuditLog,
        clock: Clock,
        random: Random,
        limits: LimitService,
        people: PeopleService,
        issuer: str,
    ) -> None:
        self._releases = releases
        self._refresh = refresh
        self._cipher = cipher
        self._jwt_verifier = jwt_verifier
        self._audit_log = audit_log
        self._clock = clock
        self._random = random
        self._limits = limits
        self._people = people
        self._issuer = issuer
        # Only a guess that saves a call: which claim names the person is read from the registration each time
        self._likely_claim: dict[str, str] = {}

    def exchange(self, request: TokenRequest, origin: Origin) -> Release:
        """One access token, recorded before it is given. Raises TokenRefused, recorded as well.

        Where not even that can be recorded it raises StorageUnavailable, and nothing is released (R70).
        """
        line = _Line(origin)
        with self._refusals_recorded(line):
            return self._exchange(request, line)

    def who_am_i(self, caller: Caller, origin: Origin) -> ClientApplication:
        """The application that asks, as it is registered. The assertion is used up. Raises TokenRefused, recorded."""
        line = _Line(origin)
        with self._refusals_recorded(line):
            client_id = self._client_id(caller, line)
            held = self._releases.load(client_id, _NOTHING, _NOTHING)
            application = self._authenticate(caller, client_id, held, line)
            self._record_once(line, AuditTag.CLIENT_IDENTIFIED)
            return application

    @contextmanager
    def _refusals_recorded(self, line: _Line) -> Iterator[None]:
        try:
            yield
        except TokenRefused as refusal:
            self._record_refusal(line, refusal)
            raise
        except (StorageUnavailable, KeyUnavailable) as error:
            failure = TokenRefused(RefusalReason.VAULT_UNAVAILABLE, detail=error.detail, retry_after=_RETRY_SECONDS)
            self._record_refusal(line, failure)
            raise failure from error

    def note(self, origin: Origin, refusal: TokenRefused) -> TokenRefused:
        """The refusal of a call that is not even a request, recorded."""
        self._record_refusal(_Line(origin), refusal)
        return refusal

    def _exchange(self, request: TokenRequest, line: _Line) -> Release:
        client_id = self._client_id(request.caller, line)
        if not is_provider_id(request.provider_id):
            raise TokenRefused(RefusalReason.INVALID_REQUEST, mistake=_NO_PROVIDER_ID)
        name = self._likely_name(request, client_id)
        started = self._clock.monotonic()
        held = self._releases.load(client_id, request.provider_id, name or _NOTHING, request.account)
        application = self._authenticate(request.caller, client_id, held, line)
        # Before any stop is looked at, so that the person sees in the ledger who asked in vain
        verified = self._subject(request, application, line)
        if verified != name:
            held = self._releases.load(client_id, request.provider_id, verified, request.account)
        held = self._settled(request, application, held, verified)
        self._limits.count(application, held.subject.user_id if held.subject else verified, line.origin)
        return self._release(request, held, verified, started, line)

    def _settled(
        self, request: TokenRequest, application: ClientApplication, held: ReleaseHolding, name: str
    ) -> ReleaseHolding:
        """Where several claim the name: as it is once that is settled. Only for who may fetch anything there at all."""
        is_asked = any(rule.provider_id == request.provider_id for rule in application.rules)
        if len(held.owners) > 1 and is_asked and self._people.settle(name):
            return self._releases.load(application.id, request.provider_id, name, request.account)
        return held

    # Who asks

    def _client_id(self, caller: Caller, line: _Line) -> str:
        """Who says to ask. What is wrong so far is wrong whether or not there is such an application or key, which is
        why it may be told (R72); nothing is read for it.
        """
        assertion = caller.client_assertion
        if assertion is None:
            return _claimed(caller.client_id, Detail.CLIENT_ID, line)
        claims = self._jwt_verifier.unverified(assertion)
        assertions.check_form(self._jwt_verifier.header(assertion), claims, assertions.wrong_client)
        client_id = _claimed(claims.get("sub"), Detail.SUB, line)
        if caller.client_id not in ("", client_id):
            raise assertions.wrong_client(
                Detail.CLIENT_ID, "`client_id` must be the assertion's `sub`, or be left out."
            )
        assertions.client_assertion_use(claims, client_id, self._issuer, self._clock.now())
        return client_id

    def _authenticate(self, caller: Caller, client_id: str, held: ReleaseHolding, line: _Line) -> ClientApplication:
        """The application that asks. One answer for whatever is wrong, whether or not it exists (R72): what exactly,
        only log and ledger say.
        """
        now, application = self._clock.now(), held.application
        if application is None:
            raise TokenRefused(RefusalReason.INVALID_CLIENT, detail="unknown")
        if caller.client_assertion is None:
            if not application.is_role(caller.arn):
                raise TokenRefused(RefusalReason.INVALID_CLIENT, detail="role")
            line.use = AssertionUse(self._random.token(24), now)
        else:
            try:
                claims = self._jwt_verifier.verify(caller.client_assertion, application.usable_keys(now))
            except InvalidJwt as error:
                raise TokenRefused(RefusalReason.INVALID_CLIENT, detail=error.detail) from error
            line.use = assertions.client_assertion_use(claims, client_id, self._issuer, now)
        line.actor, line.actor_name = client_id, application.name
        return application

    # For whom

    def _likely_name(self, request: TokenRequest, client_id: str) -> str:
        """Whom the request seems to be about, to read it all at once; empty where that cannot be told yet."""
        value: object = request.subject_token.reveal()
        if request.subject_is_jwt:
            claims = self._jwt_verifier.unverified(request.subject_token)
            value = claims.get(self._likely_claim.get(client_id, "sub"))
        try:
            return assertions.subject_name(value)
        except TokenRefused:
            return ""

    def _subject(self, request: TokenRequest, application: ClientApplication, line: _Line) -> str:
        """The person whom the subject token names, and may name for this application (R74)."""
        line.provider_id = request.provider_id
        if not request.subject_is_jwt:
            name, line.facts["reason"] = self._asserted_by_role(request, application)
            return name
        now = self._clock.now()
        try:
            if application.trusted_issuer is not None:
                claims = self._jwt_verifier.verify_issued(request.subject_token, application.trusted_issuer)
                self._likely_claim[application.id] = application.trusted_issuer.user_claim
                return assertions.issued_subject(claims, application.trusted_issuer, now)
            said = self._jwt_verifier.unverified(request.subject_token)
            assertions.check_form(self._jwt_verifier.header(request.subject_token), said, assertions.wrong_subject)
            claims = self._jwt_verifier.verify(request.subject_token, application.usable_keys(now))
        except InvalidJwt as error:
            line.facts["signature"] = _cleaned(error.detail)
            raise assertions.wrong_subject(Detail.SIGNATURE, _signer(application)) from error
        except CloudError as error:
            raise TokenRefused(
                RefusalReason.VAULT_UNAVAILABLE, detail=error.detail, retry_after=_RETRY_SECONDS
            ) from error
        name, line.facts["reason"] = assertions.self_asserted_subject(claims, application.id, self._issuer, now)
        return name

    @staticmethod
    def _asserted_by_role(request: TokenRequest, application: ClientApplication) -> tuple[str, str]:
        if request.caller.client_assertion is not None or application.subject_mode is not SubjectMode.SELF_ASSERTED:
            raise assertions.wrong_subject(Detail.SUBJECT_TOKEN_TYPE, _NOT_SIGNED)
        name = assertions.subject_name(request.subject_token.reveal(), Detail.SUBJECT_TOKEN)
        return name, assertions.given_reason(request.reason)

    # Whether, and then

    def _decide(self, request: TokenRequest, held: ReleaseHolding, line: _Line) -> tuple[Holding, Grant]:
        line.user_id = held.subject.user_id if held.subject else ""
        if held.holding is not None and held.holding.grant is not None:
            line.facts["account"] = held.holding.grant.account.label
            line.user_name = held.holding.grant.user_name
            self._refresh.end_again(held.holding)
        return decide(
            held,
            provider_id=request.provider_id,
            source=line.origin.source,
            account=request.account,
            scopes=request.scopes,
        )

    def _release(self, request: TokenRequest, held: ReleaseHolding, name: str, started: float, line: _Line) -> Release:
        holding, grant = self._decide(request, held, line)
        client_id = line.actor

        def decide_again() -> Holding:
            held = self._releases.load(client_id, request.provider_id, name, request.account)
            return self._decide(request, held, line)[0]

        with self._cipher.unlock(holding.key) as box:
            fresh = self._refresh.fresh(holding, box, request.need, decide_again)
        is_late = self._clock.monotonic() - started >= _STALE_SECONDS
        if is_late and decide_again().provider.generation != fresh.grant.generation:
            raise TokenRefused(RefusalReason.NOT_CONNECTED)
        if fresh.grant.scopes != grant.scopes:
            # The cloud gave other scopes than before: the ceiling is about what this token can do
            self._decide(request, replace(held, holding=fresh.holding), line)
        return self._recorded(fresh, line)

    def _recorded(self, fresh: Fresh, line: _Line) -> Release:
        """The release, its line written: a line that is there already means that the assertion was used (R73)."""
        grant, tokens = fresh.grant, fresh.tokens
        # Names the grant exactly: its last use is read off this line
        facts = {"scopes": " ".join(grant.scopes), "generation": str(grant.generation), "slot": grant.slot}
        release_id = self._record_once(line, AuditTag.TOKEN_RELEASED, **facts)
        registered = fresh.holding.provider.scopes
        return Release(
            id=release_id,
            access_token=tokens.access_token,
            token_type=tokens.token_type,
            expires_at=grant.expires_at,
            expires_in=grant.expires_at - self._clock.now(),
            account=grant.account,
            scopes=grant.scopes,
            missing_scopes=tuple(scope for scope in registered if scope not in grant.scopes),
            extra=tokens.extra,
        )

    def _record_once(self, line: _Line, tag: AuditTag, **facts: str) -> str:
        """The id of the line, which uses the assertion up. Raises TokenRefused when it was used before."""
        use = line.use
        if use is None:
            raise TokenRefused(RefusalReason.INVALID_CLIENT)
        if tag is AuditTag.TOKEN_RELEASED:
            facts["release"] = use.id
        try:
            self._audit_log.record_once(line.event(tag, Outcome.SUCCESS, **facts), use.id, use.issued_at)
        except Conflict:
            line.use = None
            raise TokenRefused(RefusalReason.REPLAYED) from None
        return use.id

    def _record_refusal(self, line: _Line, refusal: TokenRefused) -> None:
        """One line for each refusal, with its exact cause (R102); it uses up the assertion as a release would."""
        cause = "stopped" if refusal.reason is RefusalReason.BLOCKED else "detail"
        facts = {"code": refusal.reason.value, cause: _cleaned(_cause(refusal))}
        event = line.event(AuditTag.TOKEN_REFUSED, Outcome.FAILURE, **facts)
        if line.use is None:
            self._audit_log.record(event)
            return
        try:
            self._audit_log.record_once(event, line.use.id, line.use.issued_at)
        except Conflict:
            self._audit_log.record(event)


def _claimed(client_id: object, detail: Detail, line: _Line) -> str:
    """The id of an application, if it can be one. It goes into the ledger before anything proves it."""
    if not isinstance(client_id, str) or not _ID.fullmatch(client_id):
        raise assertions.wrong_client(detail, f"`{detail}` must be the application's id.")
    line.facts["client"] = client_id
    return client_id


def _signer(application: ClientApplication) -> str:
    if application.trusted_issuer is not None:
        return "The subject token must be signed by a key of the identity provider that is registered."
    return "The subject token must be signed by a key that is registered, the one that `kid` names, with its algorithm."


def _cause(refusal: TokenRefused) -> str:
    """For the ledger, which holds no text of a cloud: of its refusal the code. What it said is in the log."""
    error = refusal.__cause__
    if isinstance(error, CloudError):
        return error.error if isinstance(error, CloudRefused) else error.code
    return refusal.detail


def _cleaned(detail: str) -> str:
    """For the ledger: the detail of a failed store may hold anything."""
    return "".join(one if one.isprintable() else " " for one in detail)[:_LONGEST_DETAIL]
