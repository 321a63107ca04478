"""Who could get whose token: read from registrations, authorizations and stops, for people to see."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum

from .client_application import AccessRule, ClientApplication, Subject, permits
from .grant import Grant, GrantState
from .stop import StopKind


class Obstacle(StrEnum):
    """Why an application gets nothing although a rule of it fits provider and person."""

    EVERYTHING_STOPPED = "everything_stopped"
    APPLICATION_STOPPED = "application_stopped"
    PROVIDER_STOPPED = "provider_stopped"
    PERSON_STOPPED = "person_stopped"
    ACCOUNT_CLOSED = "account_closed"
    """In the directory, or the person may not use the vault any more."""
    BLOCKED_BY_PERSON = "blocked_by_person"
    NOT_AUTHORIZED = "not_authorized"
    NEEDS_REAUTHORIZATION = "needs_reauthorization"
    CEILING = "ceiling"
    """The token can do more than any of the rules allows."""
    NO_PROOF = "no_proof"
    """It has neither a key that is good nor a role."""


_OF_STOP = {
    StopKind.EVERYTHING: Obstacle.EVERYTHING_STOPPED,
    StopKind.PROVIDER: Obstacle.PROVIDER_STOPPED,
    StopKind.PERSON: Obstacle.PERSON_STOPPED,
    StopKind.OWN: Obstacle.BLOCKED_BY_PERSON,
    StopKind.DIRECTORY: Obstacle.ACCOUNT_CLOSED,
}


@dataclass(frozen=True, slots=True)
class Reach:
    """One application, the rules of it that fit one provider and person, and what is in its way."""

    application: ClientApplication
    rules: tuple[AccessRule, ...]
    obstacles: tuple[Obstacle, ...] = ()

    @property
    def could_fetch(self) -> bool:
        """From a source that its rules allow."""
        return not self.obstacles


def reach(
    application: ClientApplication,
    provider_id: str,
    subject: Subject,
    grant: Grant | None,
    *,
    stops: Collection[StopKind],
    now: int,
) -> Reach | None:
    """How far an application reaches; None where no rule of it fits provider and person.

    `grant` is what the person holds there. `release.decide` takes the same things into account.
    """
    rules = tuple(r for r in application.rules if r.provider_id == provider_id and r.whose.includes(subject))
    if not rules:
        return None
    found = [_OF_STOP[kind] for kind in StopKind if kind in _OF_STOP and kind in stops]
    if subject.is_blocked:
        found.append(Obstacle.ACCOUNT_CLOSED)
    if not application.enabled:
        found.append(Obstacle.APPLICATION_STOPPED)
    if not application.can_prove_itself(now):
        found.append(Obstacle.NO_PROOF)
    return Reach(application, rules, (*found, *_of_grant(grant, rules)))


def _of_grant(grant: Grant | None, rules: tuple[AccessRule, ...]) -> tuple[Obstacle, ...]:
    if grant is None or grant.state is GrantState.REMOVED:
        return (Obstacle.NOT_AUTHORIZED,)
    if grant.state is GrantState.NEEDS_REAUTHORIZATION:
        return (Obstacle.NEEDS_REAUTHORIZATION,)
    return () if permits(rules, grant.scopes) else (Obstacle.CEILING,)
