"""Whether an application gets a person's token: one decision, on what one consistent read brought.

What a release obeys and what people are shown of it ("who could get", docs/adr/0101-one-list-of-objections.md) is the
same list of objections: a release is refused by the first, a page shows them all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from .client_application import AccessRule, ClientApplication, Subject, permits
from .grant import Grant, GrantReason, GrantState, Holding, ReleaseHolding
from .provider import Provider
from .stop import StopKind
from .token_exchange import RefusalReason, TokenRefused


class Obstacle(StrEnum):
    """What is in the way of a release, in words for people."""

    APPLICATION_STOPPED = "application_stopped"
    EVERYTHING_STOPPED = "everything_stopped"
    NO_RULE = "no_rule"
    SEVERAL_PEOPLE = "several_people"
    PROVIDER_STOPPED = "provider_stopped"
    PROVIDER_DELETED = "provider_deleted"
    PROVIDER_DISABLED = "provider_disabled"
    PROVIDER_HIDDEN = "provider_hidden"
    """It is for members of groups that the person is not in."""
    ACCOUNT_CLOSED = "account_closed"
    """In the directory, or the person may not use the vault any more."""
    PERSON_STOPPED = "person_stopped"
    BLOCKED_BY_PERSON = "blocked_by_person"
    NOT_AUTHORIZED = "not_authorized"
    NEEDS_REAUTHORIZATION = "needs_reauthorization"
    PERMISSIONS_CHANGED = "permissions_changed"
    """The provider asks for more than it did when the person authorized it."""
    CEILING = "ceiling"
    """The token can do more than any of the rules allows."""
    MISSING_SCOPES = "missing_scopes"
    MISCONFIGURED = "misconfigured"
    """The cloud refuses the vault's own client, and the token has to be renewed: found out when that is tried."""
    NO_PROOF = "no_proof"
    """The application has neither a key that is good nor a role: it cannot even ask."""


STOPS = frozenset(
    {
        Obstacle.APPLICATION_STOPPED,
        Obstacle.EVERYTHING_STOPPED,
        Obstacle.PROVIDER_STOPPED,
        Obstacle.ACCOUNT_CLOSED,
        Obstacle.PERSON_STOPPED,
        Obstacle.BLOCKED_BY_PERSON,
    }
)
"""Somebody's will, or the directory's word, that may be taken back at any moment."""


@dataclass(frozen=True, slots=True)
class Objection:
    """One ground for a refusal: what is in the way, and what the program is told of it."""

    obstacle: Obstacle
    reason: RefusalReason
    detail: str = ""
    missing: tuple[str, ...] = ()

    def refusal(self) -> TokenRefused:
        return TokenRefused(self.reason, detail=self.detail, missing=self.missing)


_NOT_AUTHORIZED = Objection(Obstacle.NOT_AUTHORIZED, RefusalReason.NOT_CONNECTED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Who asks for whose token of which provider, and all that is known of them."""

    application: ClientApplication | None
    provider_id: str
    provider: Provider | None
    """None: there is no such provider."""
    subject: Subject | None
    """None where the name fits nobody or several."""
    owners: tuple[str, ...] = ()
    """The ids of all whom the name fits."""
    grant: Grant | None = None
    stops: frozenset[StopKind] = frozenset()
    source: str | None = None
    """Where the call comes from; None: from wherever a rule wants it."""
    account: str = ""
    scopes: Sequence[str] = ()
    rules: list[AccessRule] = field(init=False)
    """Those that let the call in."""

    def __post_init__(self) -> None:
        rules = self.application.rules_for(self.provider_id, self.subject, self.source) if self.application else []
        object.__setattr__(self, "rules", rules)


def decide(
    held: ReleaseHolding, *, provider_id: str, source: str, account: str = "", scopes: Sequence[str] = ()
) -> tuple[Holding, Grant]:
    """The grant whose token may be released; raises TokenRefused unless everything fits."""
    holding = held.holding
    question = Question(
        application=held.application,
        provider_id=provider_id,
        provider=holding.provider if holding else None,
        subject=held.subject,
        owners=held.owners,
        grant=holding.grant if holding else None,
        stops=held.stops,
        source=source,
        account=account,
        scopes=scopes,
    )
    first = next(objections(question), None)
    if first is not None or holding is None or holding.grant is None:
        raise (first or _NOT_AUTHORIZED).refusal()
    return holding, holding.grant


def objections(question: Question) -> Iterator[Objection]:
    """All that is in the way, in the order in which it is said.

    What the application has no right to know comes first and is answered alike: no rule for the provider, no such
    provider, a person outside its groups, or nobody at all (R77).
    """
    yield from _of_application(question)
    if not question.rules or question.provider is None:
        yield Objection(Obstacle.NO_RULE, RefusalReason.APP_NOT_ALLOWED)
        return
    if len(question.owners) > 1:
        yield Objection(Obstacle.SEVERAL_PEOPLE, RefusalReason.AMBIGUOUS_SUBJECT)
    yield from _of_provider(question, question.provider)
    yield from _of_person(question)
    yield from _of_grant(question, question.provider)


def _of_application(question: Question) -> Iterator[Objection]:
    """Whether anything may be released to it at all (R76)."""
    if question.application is None or not question.application.enabled:
        yield _stopped(Obstacle.APPLICATION_STOPPED, StopKind.APPLICATION)
    if StopKind.EVERYTHING in question.stops:
        yield _stopped(Obstacle.EVERYTHING_STOPPED, StopKind.EVERYTHING)


def _of_provider(question: Question, provider: Provider) -> Iterator[Objection]:
    if StopKind.PROVIDER in question.stops:
        yield _stopped(Obstacle.PROVIDER_STOPPED, StopKind.PROVIDER)
    if provider.is_deleted:
        yield _stopped(Obstacle.PROVIDER_DELETED, StopKind.PROVIDER)
    elif not provider.enabled:
        yield _stopped(Obstacle.PROVIDER_DISABLED, StopKind.PROVIDER)
    if question.subject is not None and not provider.is_for(question.subject.groups):
        yield _stopped(Obstacle.PROVIDER_HIDDEN, StopKind.PROVIDER)


def _of_person(question: Question) -> Iterator[Objection]:
    if question.subject is not None and question.subject.is_blocked:
        yield _stopped(Obstacle.ACCOUNT_CLOSED, StopKind.DIRECTORY)
    if StopKind.PERSON in question.stops:
        yield _stopped(Obstacle.PERSON_STOPPED, StopKind.PERSON)
    if StopKind.OWN in question.stops:
        yield _stopped(Obstacle.BLOCKED_BY_PERSON, StopKind.OWN)


def _of_grant(question: Question, provider: Provider) -> Iterator[Objection]:
    grant = question.grant if question.subject else None
    is_there = grant is not None and grant.token_set is not None and grant.state is not GrantState.REMOVED
    if grant is None or not is_there or (question.account and not grant.is_account(question.account)):
        yield _NOT_AUTHORIZED
        return
    seen = grant.as_seen(provider)
    if seen.state is GrantState.NEEDS_REAUTHORIZATION:
        is_changed = seen.reason is GrantReason.PERMISSIONS_CHANGED
        obstacle = Obstacle.PERMISSIONS_CHANGED if is_changed else Obstacle.NEEDS_REAUTHORIZATION
        yield Objection(obstacle, RefusalReason.NEEDS_REAUTHORIZATION, seen.reason.value)
    if not permits(question.rules, grant.scopes):
        yield Objection(Obstacle.CEILING, RefusalReason.APP_NOT_ALLOWED, "scopes")
    missing = tuple(scope for scope in question.scopes if scope not in grant.scopes)
    if missing:
        yield Objection(Obstacle.MISSING_SCOPES, RefusalReason.MISSING_SCOPES, missing=missing)


def _stopped(obstacle: Obstacle, kind: StopKind) -> Objection:
    return Objection(obstacle, RefusalReason.BLOCKED, kind.value)
