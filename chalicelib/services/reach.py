"""Who could get whose token: the question administrators ask of everybody, and people of themselves."""

from dataclasses import dataclass

from chalicelib.domain.accounts import askable
from chalicelib.domain.audit import AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.client_application import ClientApplication, check_id
from chalicelib.domain.errors import NotFound
from chalicelib.domain.grant import Grant
from chalicelib.domain.provider import Provider
from chalicelib.domain.reach import Reach, in_the_way, reach
from chalicelib.domain.release import STOPS
from chalicelib.domain.stop import Block, Stop, StopKind
from chalicelib.domain.text import in_order
from chalicelib.domain.user import User
from chalicelib.ports import (
    AuditLog,
    ClientApplicationStore,
    Clock,
    GrantStore,
    ProviderHealthStore,
    ProviderStore,
    StopStore,
)

from .people import PeopleService, Person

_LOOKED_BACK = 500
"""So many entries of a person's history are searched for releases: enough to see who is at work."""


@dataclass(frozen=True, slots=True)
class WhoCould:
    """The answer to “who could get this person's token of this provider?”, applications by name."""

    person: Person
    provider: Provider
    grants: tuple[Grant, ...]
    """What the person has authorized there, the default account first."""
    reaches: tuple[Reach, ...]


@dataclass(frozen=True, slots=True)
class OwnApplication:
    """An application that can fetch tokens of a person, or did; times are epoch seconds.

    `providers` are the names of those whose tokens it could fetch if nobody stopped it; `fetched_at` and
    `fetched_from`, a provider's name, are the last release, as far back as is looked. `blocked_at`: since when the
    person does not let it.
    """

    id: str
    name: str
    providers: tuple[str, ...] = ()
    fetched_at: int | None = None
    fetched_from: str = ""
    blocked_at: int | None = None
    is_registered: bool = True


class ReachService:
    """Reads registrations, authorizations and stops together; and keeps what people block for themselves."""

    def __init__(
        self,
        *,
        applications: ClientApplicationStore,
        providers: ProviderStore,
        grants: GrantStore,
        stops: StopStore,
        health: ProviderHealthStore,
        people: PeopleService,
        audit_log: AuditLog,
        clock: Clock,
    ) -> None:
        self._health = health
        self._applications = applications
        self._providers = providers
        self._grants = grants
        self._stops = stops
        self._people = people
        self._audit_log = audit_log
        self._clock = clock

    def who_could_get(self, typed: str, provider_id: str) -> WhoCould:
        """Raises NotFound or InvalidRequest for a person, NotFound for a provider that is none."""
        provider = next((one for one in self._providers.all() if one.id == provider_id), None)
        if provider is None:
            raise NotFound("Please choose a provider.")
        person = self._people.find(typed)
        held = self._grants.at(person.id, provider.id, provider.generation)
        is_misconfigured = self._health.get(provider.id).is_misconfigured(provider.version)
        every, blocked = self._stops.all(), {block.application_id for block in self._stops.blocks(person.id)}
        found = (
            reach(
                application,
                provider,
                person.subject,
                held,
                stops=_kinds(every, provider.id, person.id, is_own=application.id in blocked),
                now=self._clock.now(),
                is_misconfigured=is_misconfigured,
            )
            for application in self._applications.all()
        )
        grants = tuple(grant for grant in held.at(provider.id, provider.generation) if grant.token_set is not None)
        return WhoCould(person, provider, grants, tuple(one for one in found if one is not None))

    def own(self, user: User) -> list[OwnApplication]:
        """What can fetch this person's tokens or did, blocked ones too; by name."""
        registered = {application.id: application for application in self._applications.all()}
        blocks = {block.application_id: block.at for block in self._stops.blocks(user.id)}
        providers = self._providers.all()
        reached = self._reached(user, registered, providers)
        releases = self._last_releases(user, {provider.id: provider.name for provider in providers})
        ids = releases.keys() | blocks.keys() | {client_id for client_id, names in reached.items() if names}
        found = [
            _own(client_id, registered, reached.get(client_id, ()), releases.get(client_id), blocks.get(client_id))
            for client_id in ids
        ]
        return sorted(found, key=lambda one: (in_order(one.name), one.id))

    def block(self, user: User, application_id: str, origin: Origin) -> None:
        """From the next call on this application gets nothing of this person. Raises NotFound for an unknown one."""
        application = self._applications.get(check_id(application_id))
        with self._audit_log.recording(_event(AuditTag.CLIENT_BLOCKED, user, application.id, origin)):
            self._stops.block(Block(user.id, application.id, self._clock.now()))

    def unblock(self, user: User, application_id: str, origin: Origin) -> None:
        """Take that back, also for an application that does not exist any more."""
        is_blocked = any(block.application_id == application_id for block in self._stops.blocks(user.id))
        if not is_blocked and all(one.id != application_id for one in self._applications.all()):
            # Text that names nothing is nothing to record
            return
        with self._audit_log.recording(_event(AuditTag.CLIENT_UNBLOCKED, user, application_id, origin)):
            self._stops.unblock(user.id, application_id)

    def _last_releases(self, user: User, names: dict[str, str]) -> dict[str, tuple[int, str, str]]:
        """By application: when it last fetched a token, of which provider, and what it was called then."""
        found: dict[str, tuple[int, str, str]] = {}
        for entry, _ in zip(self._audit_log.of_user(user.id), range(_LOOKED_BACK), strict=False):
            event = entry.event
            if event.tag is AuditTag.TOKEN_RELEASED:
                found.setdefault(
                    event.actor, (entry.at, names.get(event.provider_id, event.provider_id), event.actor_name)
                )
        return found

    def _reached(
        self, user: User, registered: dict[str, ClientApplication], providers: list[Provider]
    ) -> dict[str, tuple[str, ...]]:
        """By application: the providers whose tokens it could fetch, were nothing stopped."""
        subject, now = self._people.with_id(user.id).subject, self._clock.now()
        grants = self._grants.of_user(user.id)
        reached: dict[str, tuple[str, ...]] = dict.fromkeys(registered, ())
        for provider in providers:
            held = askable(grants.at(provider.id, provider.generation))
            for application in registered.values():
                found = (in_the_way(application, provider, subject, grant, now=now) for grant in held)
                if any(STOPS.issuperset(obstacles) for obstacles in found):
                    reached[application.id] += (provider.name,)
        return reached


def _event(tag: AuditTag, user: User, application_id: str, origin: Origin) -> AuditEvent:
    name = user.login_name
    facts = {"client": application_id}
    return AuditEvent(tag, Outcome.SUCCESS, user.id, origin, user.id, facts=facts, actor_name=name, user_name=name)


def _kinds(stops: list[Stop], provider_id: str, user_id: str, *, is_own: bool) -> frozenset[StopKind]:
    """The stops that concern one application, provider and person, as one release would find them."""
    targets = {StopKind.PROVIDER: provider_id, StopKind.PERSON: user_id}
    found = frozenset(stop.kind for stop in stops if targets.get(stop.kind, stop.target) == stop.target)
    return found | ({StopKind.OWN} if is_own else set())


def _own(
    client_id: str,
    registered: dict[str, ClientApplication],
    providers: tuple[str, ...],
    release: tuple[int, str, str] | None,
    blocked_at: int | None,
) -> OwnApplication:
    fetched_at, fetched_from, name_then = release or (None, "", "")
    application = registered.get(client_id)
    name = application.name if application else name_then or client_id
    return OwnApplication(
        client_id, name, providers, fetched_at, fetched_from, blocked_at, is_registered=application is not None
    )
