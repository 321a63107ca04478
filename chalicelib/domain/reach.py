"""Who could get whose token: read from registrations, authorizations and stops, for people to see."""

from dataclasses import dataclass
from functools import partial

from .accounts import UserGrants, askable
from .client_application import AccessRule, ClientApplication, Subject
from .grant import Grant
from .provider import Provider
from .release import Obstacle, Question, objections
from .stop import StopKind


@dataclass(frozen=True, slots=True)
class Reach:
    """One application, the rules of it that fit one provider and person, and what is in its way.

    `accounts` are the person's cloud accounts whose token it could get, the default first; where there is none,
    `obstacles` says why it does not get that of the default.
    """

    application: ClientApplication
    rules: tuple[AccessRule, ...]
    accounts: tuple[Grant, ...] = ()
    obstacles: tuple[Obstacle, ...] = ()

    @property
    def could_fetch(self) -> bool:
        """From a source that its rules allow."""
        return bool(self.accounts)


def reach(
    application: ClientApplication,
    provider: Provider,
    subject: Subject,
    held: UserGrants,
    *,
    stops: frozenset[StopKind],
    now: int,
    is_misconfigured: bool = False,
) -> Reach | None:
    """How far an application reaches; None where no rule of it fits provider and person.

    `held` is what the person has authorized there; `is_misconfigured`: the cloud refuses the vault's own client.
    `release.decide` is asked, for each account, the same.
    """
    rules = tuple(application.rules_for(provider.id, subject, None))
    if not rules:
        return None
    grants = askable(held.at(provider.id, provider.generation))
    ask = partial(in_the_way, application, provider, subject, stops=stops, now=now, is_misconfigured=is_misconfigured)
    found = [ask(grant) for grant in grants or (None,)]
    accounts = tuple(grant for grant, obstacles in zip(grants, found, strict=False) if not obstacles)
    return Reach(application, rules, accounts, () if accounts else found[0])


def in_the_way(
    application: ClientApplication,
    provider: Provider,
    subject: Subject,
    grant: Grant | None,
    *,
    stops: frozenset[StopKind] = frozenset(),
    now: int,
    is_misconfigured: bool = False,
) -> tuple[Obstacle, ...]:
    """All that keeps an application from the token of one grant."""
    question = Question(
        application=application,
        provider_id=provider.id,
        provider=provider,
        subject=subject,
        owners=(subject.user_id,),
        grant=grant,
        stops=stops,
    )
    must_renew = is_misconfigured and grant is not None and grant.waits_for_its_cloud(now)
    late = (Obstacle.MISCONFIGURED,) if must_renew else ()
    proof = () if application.can_prove_itself(now) else (Obstacle.NO_PROOF,)
    return (*(one.obstacle for one in objections(question)), *late, *proof)
