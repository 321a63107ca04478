"""The stores in memory. The contract tests hold them to what DynamoDB does."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date
from itertools import count

from chalicelib.domain.accounts import UserGrants, chosen
from chalicelib.domain.administrators import Appointments
from chalicelib.domain.aliases import aliases_of, bearing, claimed_by, own_names
from chalicelib.domain.audit import AuditEntry, AuditEvent, Period, position
from chalicelib.domain.authorization_request import AuthorizationRequest, ConsentFailed, ConsentProblem
from chalicelib.domain.client_application import ClientApplication, Subject
from chalicelib.domain.errors import Conflict, InvalidRequest, KeyUnavailable, NotFound, StorageUnavailable
from chalicelib.domain.grant import FIRST_SLOT, Grant, GrantState, Holding, ReleaseHolding, Revocation
from chalicelib.domain.ids import is_person_id
from chalicelib.domain.provider import Provider, ProviderKey
from chalicelib.domain.provider_health import ProviderHealth
from chalicelib.domain.removal import CloudReceipt, Everything, Receipt, Removal
from chalicelib.domain.seal import Seal, StoredEntry, Tip
from chalicelib.domain.secret import fingerprint
from chalicelib.domain.session import Notice, Session
from chalicelib.domain.stop import ALL, Block, Stop, StopKind
from chalicelib.domain.text import in_order
from chalicelib.domain.use import LastUse, UseCount
from chalicelib.domain.user import AliasClaim, SweepProgress, User, UserRecord
from chalicelib.ports import Clock, GrantPage, UserPage
from tests.fakes.system import FakeClock


class FakeSessionStore:
    """Implements `ports.SessionStore`."""

    def __init__(self) -> None:
        self.sessions: dict[str, Session] = {}

    def add(self, session: Session, expires_at: int) -> None:
        self.sessions[session.id_hash] = session

    def get(self, id_hash: str) -> Session | None:
        return self.sessions.get(id_hash)

    def touch(self, id_hash: str, last_seen_at: int, expires_at: int) -> None:
        self._change(id_hash, last_seen_at=last_seen_at)

    def open_requests(self, id_hash: str, state_hashes: tuple[str, ...]) -> None:
        self._change(id_hash, open_requests=state_hashes)

    def notify(self, id_hash: str, notice: Notice, *, open_requests: tuple[str, ...]) -> None:
        self._change(id_hash, notice=notice, open_requests=open_requests)

    def update_user(self, id_hash: str, user: User) -> None:
        self._change(id_hash, user=user)

    def delete(self, *id_hashes: str) -> None:
        for id_hash in id_hashes:
            self.sessions.pop(id_hash, None)

    def of_user(self, user_id: str) -> list[Session]:
        mine = [session for session in self.sessions.values() if session.user.id == user_id]
        return sorted(mine, key=lambda session: session.created_at, reverse=True)

    def _change(self, id_hash: str, **values: object) -> None:
        if id_hash in self.sessions:
            self.sessions[id_hash] = replace(self.sessions[id_hash], **values)


class FakeTryStore:
    """Implements `ports.TryStore`."""

    def __init__(self) -> None:
        self.tries: dict[str, tuple[int, int]] = {}
        self.browsers: dict[str, tuple[frozenset[str], int]] = {}

    def reserve(self, key: str, *, limit: int, seconds: int, now: int) -> int | None:
        count, last_at = self.tries.get(key, (0, 0))
        if last_at <= now - seconds:
            count = 0
        elif count >= limit:
            return max(1, last_at + seconds - now)
        self.tries[key] = count + 1, now
        return None

    def waiting(self, key: str, *, limit: int, seconds: int, now: int) -> int | None:
        count, last_at = self.tries.get(key, (0, 0))
        return max(1, last_at + seconds - now) if count >= limit and last_at > now - seconds else None

    def give_back(self, key: str) -> None:
        count, last_at = self.tries.get(key, (0, 0))
        if count:
            self.tries[key] = count - 1, last_at

    def forget(self, key: str) -> None:
        self.tries.pop(key, None)

    def known_accounts(self, browser_hash: str, now: int) -> frozenset[str]:
        accounts, expires_at = self.browsers.get(browser_hash, (frozenset(), 0))
        return accounts if expires_at > now else frozenset()

    def remember(self, browser_hash: str, accounts: frozenset[str], expires_at: int) -> None:
        self.browsers[browser_hash] = accounts, expires_at


class FakeUserStore:
    """Implements `ports.UserStore`."""

    def __init__(self, aliases: "FakeUserAliasStore | None" = None) -> None:
        self.records: dict[str, UserRecord] = {}
        self.aliases = aliases or FakeUserAliasStore()
        self._progress = SweepProgress()
        self._believed: dict[str, int] = {}

    def enrol(self, user: User, *, sessions_until: int, at: int) -> None:
        before, names = self.records.get(user.id), frozenset(aliases_of(user))
        known = before.names if before else None
        version = (before.version if before else 0) + (1 if known == names else 2)
        kept = {"dn": before.dn, "missing_since": before.missing_since} if before else {}
        self.records[user.id] = UserRecord(user, sessions_until, version, names=names, proved_at=at, **kept)
        self._move(user.id, claimed_by(before) if before else frozenset(), known or frozenset(), names, at)

    def rename(self, record: UserRecord, user: User, *, at: int) -> UserRecord:
        before, now = frozenset(aliases_of(record.user)), frozenset(aliases_of(user))
        names = now if record.names is None else record.names & now | now - before | own_names(user)
        saved = self.save(replace(record, user=user, names=names, proved_at=at))
        self._move(user.id, claimed_by(record), record.names or frozenset(), names, at)
        return saved

    def disown(self, record: UserRecord, alias: str) -> None:
        self.save(replace(record, names=claimed_by(record) - {alias}))

    def _move(
        self, user_id: str, had: frozenset[str], claimed: frozenset[str], names: frozenset[str], at: int = 0
    ) -> None:
        self.aliases.claim(user_id, names - claimed, at)
        for alias in had - names:
            self.aliases.release(alias, [one for one in self.aliases.claims(alias) if one.user_id == user_id])

    def get(self, user_id: str) -> UserRecord | None:
        return self.records.get(user_id)

    def get_all(self, user_ids: Collection[str]) -> list[UserRecord]:
        return [self.records[user_id] for user_id in set(user_ids) if user_id in self.records]

    def save(self, record: UserRecord) -> UserRecord:
        self._expect(record)
        self.records[record.user.id] = replace(record, version=record.version + 1)
        return self.records[record.user.id]

    def delete(self, record: UserRecord) -> None:
        if record.user.id in self.records:
            self._expect(record)
            del self.records[record.user.id]
        self._move(record.user.id, claimed_by(record) | frozenset(aliases_of(record.user)), frozenset(), frozenset())

    def present(self, *, limit: int, cursor: str | None) -> UserPage:
        here = sorted((r for r in self.records.values() if not r.departure), key=lambda r: r.user.id)
        return self._page([(record.user.id, record) for record in here], limit, cursor)

    def departed(self, *, limit: int, cursor: str | None) -> UserPage:
        gone = [(f"{r.departed_at:012d}#{r.user.id}", r) for r in self.records.values() if r.departure]
        return self._page(sorted(gone, key=lambda pair: pair[0]), limit, cursor)

    def progress(self) -> SweepProgress:
        return self._progress

    def note_progress(self, progress: SweepProgress) -> None:
        self._progress = progress

    def believed(self) -> dict[str, int]:
        return self._believed

    def believe(self, domain: str, until: int) -> None:
        self._believed = {**self._believed, domain: until}

    def _expect(self, record: UserRecord) -> None:
        there = self.records.get(record.user.id)
        if there is None or there.version != record.version:
            raise Conflict

    @staticmethod
    def _page(listed: list[tuple[str, UserRecord]], limit: int, cursor: str | None) -> UserPage:
        if cursor is not None and not cursor.startswith("|"):
            raise InvalidRequest
        rest = [pair for pair in listed if cursor is None or pair[0] > cursor[1:]]
        page = rest[:limit]
        return UserPage([record for _, record in page], f"|{page[-1][0]}" if len(rest) > limit else None)


class FakeAuthorizationRequestStore:
    """Implements `ports.AuthorizationRequestStore`."""

    def __init__(self) -> None:
        self.requests: dict[str, AuthorizationRequest] = {}

    def add(self, request: AuthorizationRequest) -> None:
        self.requests[request.state_hash] = request

    def consume(
        self, state_hash: str, *, user_id: str, flow_hash: str, provider_id: str, now: int
    ) -> AuthorizationRequest:
        request = self.requests.get(state_hash)
        if request is None:
            raise ConsentFailed(ConsentProblem.USED)
        if (request.user_id, request.flow_hash, request.provider_id) != (user_id, flow_hash, provider_id):
            raise ConsentFailed(ConsentProblem.FOREIGN)
        if request.expires_at <= now:
            raise ConsentFailed(ConsentProblem.EXPIRED)
        return self.requests.pop(state_hash)

    def discard(self, state_hash: str) -> None:
        self.requests.pop(state_hash, None)


class FakeProviderStore:
    """Implements `ports.ProviderStore`."""

    def __init__(self) -> None:
        self.providers: dict[str, Provider] = {}
        self.keys: dict[tuple[str, int], ProviderKey] = {}
        self.removed = Everything()

    def all(self) -> list[Provider]:
        found = (provider.under(self.removed) for provider in self.providers.values())
        return sorted(found, key=lambda provider: in_order(provider.name))

    def odd(self) -> list[str]:
        return []

    def get(self, provider_id: str) -> Provider:
        if provider_id not in self.providers:
            raise NotFound
        return self.providers[provider_id].under(self.removed)

    def everything(self) -> Everything:
        return self.removed

    def save_everything(self, everything: Everything, *, replaces: int) -> None:
        if self.removed.last != replaces:
            raise Conflict
        self.removed = everything

    def add(self, provider: Provider) -> None:
        if provider.id in self.providers:
            raise Conflict
        self.providers[provider.id] = provider

    def update(self, provider: Provider) -> Provider:
        if self.get(provider.id).version != provider.version or provider.is_ending:
            raise Conflict
        self.providers[provider.id] = replace(provider, version=provider.version + 1)
        return self.providers[provider.id]

    def delete(self, provider: Provider) -> None:
        there = self.providers.get(provider.id)
        if there is not None and there.version != provider.version:
            raise Conflict
        self.providers.pop(provider.id, None)

    def generations(self, provider_id: str) -> list[int]:
        return sorted(generation for of, generation in self.keys if of == provider_id)

    def key(self, provider_id: str, generation: int) -> ProviderKey:
        if (provider_id, generation) not in self.keys:
            raise NotFound
        return self.keys[provider_id, generation]

    def add_key(self, key: ProviderKey) -> None:
        if (key.provider_id, key.generation) in self.keys:
            raise Conflict
        self.keys[key.provider_id, key.generation] = key

    def replace_key(self, old: ProviderKey, new: ProviderKey) -> None:
        if self.keys.get((old.provider_id, old.generation)) != old:
            raise Conflict
        self.keys[new.provider_id, new.generation] = new

    def delete_key(self, provider_id: str, generation: int) -> None:
        self.keys.pop((provider_id, generation), None)


class FakeGrantStore:
    """Implements `ports.GrantStore`. `fail_saving` plays a store that cannot be written."""

    def __init__(self, providers: FakeProviderStore) -> None:
        self._providers = providers
        self.grants: dict[tuple[str, str, int, str], Grant] = {}
        self.preferred: dict[tuple[str, str], tuple[int, str]] = {}
        self.health = FakeProviderHealthStore()
        self.spills: dict[tuple[str, str, int, str], Grant] = {}
        self.ended: dict[tuple[str, str, int, str], int] = {}
        self.fail_saving = False

    def load(self, user_id: str, provider_id: str, slot: str = FIRST_SLOT) -> Holding:
        provider = self._providers.get(provider_id)
        try:
            key = self._providers.key(provider_id, provider.generation)
        except NotFound:
            if not provider.is_ending:
                raise KeyUnavailable from None
            key = ProviderKey(provider_id, provider.generation, b"")
        where = (user_id, provider_id, provider.generation, slot)
        stored, ended = self.grants.get(where), self.ended.get(where, 0)
        stored = stored.at(provider) if stored else None
        grant = stored.under(ended) if stored else None
        generation, preferred = self.preferred.get((user_id, provider_id), (0, None))
        preferred = preferred if generation == provider.generation else None
        health = self.health.get(provider_id)
        return Holding(provider, key, grant, health, preferred, ended, is_put_back=grant is not stored)

    def of_user(self, user_id: str) -> UserGrants:
        mine = ((at, *chosen) for (who, at), chosen in self.preferred.items() if who == user_id)
        preferred = {(provider_id, generation): slot for provider_id, generation, slot in mine}
        return UserGrants(tuple(grant for grant in self.grants.values() if grant.user_id == user_id), preferred)

    def at(self, user_id: str, provider_id: str, generation: int) -> UserGrants:
        found = self.of_user(user_id)
        where = (provider_id, generation)
        return replace(found, grants=tuple(g for g in found if (g.provider_id, g.generation) == where))

    def prefer(self, user_id: str, provider_id: str, generation: int, slot: str | None) -> None:
        self.preferred.pop((user_id, provider_id), None)
        if slot is not None:
            self.preferred[user_id, provider_id] = generation, slot

    def save(
        self,
        grant: Grant,
        *,
        replaces: int | None,
        fence: int | None = None,
        expires_at: int | None = None,
        ended: int | None = None,
    ) -> None:
        if self.fail_saving:
            raise StorageUnavailable
        key = _key(grant)
        current = self.grants.get(key)
        if (current.version if current else None) != replaces:
            raise Conflict
        if fence is not None and (current is None or current.fence != fence):
            raise Conflict
        if ended is not None:
            self._mark(key, ended)
        self.grants[key] = grant

    def _mark(self, key: tuple[str, str, int, str], ended: int) -> None:
        if self.ended.get(key, ended) > ended:
            raise Conflict
        self.ended[key] = ended

    def note_use(self, use: LastUse) -> None:
        key = (use.user_id, use.provider_id, use.generation, use.slot)
        grant = self.grants.get(key)
        if grant is None or grant.state is GrantState.REMOVED or grant.authorized_at > use.at:
            return
        if grant.last_used_at is None or grant.last_used_at < use.hour:
            self.grants[key] = replace(grant, last_used_at=use.hour)

    def spill(self, outcome: Grant, expires_at: int) -> None:
        self.spills[_key(outcome)] = outcome

    def spilled(self, leased: Grant) -> Grant | None:
        outcome = self.spills.get(_key(leased))
        fits = outcome is not None and (outcome.version, outcome.fence) == (leased.version + 1, leased.fence)
        return outcome if fits else None

    def delete(self, grant: Grant, *, ended: int) -> None:
        key = _key(grant)
        if self.grants.get(key, grant).version != grant.version:
            raise Conflict
        if key not in self.grants:
            ended = max(ended, self.ended.get(key, 0))
        self._mark(key, ended)
        self.grants.pop(key, None)

    def page(
        self,
        provider_id: str,
        generation: int,
        *,
        user_prefix: str,
        limit: int,
        cursor: str | None,
        matches: Callable[[Grant], bool] | None = None,
    ) -> GrantPage:
        if cursor is not None and "\n" not in cursor:
            raise InvalidRequest
        matching = [grant for grant in self._listed(provider_id, generation) if _matches(grant, user_prefix)]
        matching = [grant for grant in matching if matches is None or matches(grant)]
        found = [grant for grant in matching if _position(grant) > (cursor or "")]
        shown = [replace(grant, token_set=None, is_renewable=True) for grant in found[:limit]]
        return GrantPage(shown, _position(shown[-1]) if len(found) > limit else None)

    def sealed(self, grants: Sequence[Grant]) -> list[Grant]:
        return [self.grants[_key(grant)] for grant in grants if _key(grant) in self.grants]

    def of_these(self, provider_id: str, generation: int, whose: Iterable[tuple[str, str]]) -> list[Grant]:
        keys = [(user_id, provider_id, generation, slot) for user_id, slot in whose]
        return [self.grants[key] for key in dict.fromkeys(keys) if key in self.grants]

    def count(self, provider_id: str, generation: int, *, at_most: int) -> int:
        return min(len(self._listed(provider_id, generation)), at_most)

    def bury(self, grants: list[Grant], expires_at: int) -> None:
        for grant in grants:
            self.grants[_key(grant)] = grant

    def _listed(self, provider_id: str, generation: int) -> list[Grant]:
        live = [
            grant
            for grant in self.grants.values()
            if (grant.provider_id, grant.generation) == (provider_id, generation)
            and grant.state is not GrantState.REMOVED
        ]
        return sorted(live, key=_position)


def _position(grant: Grant) -> str:
    """Where a grant stands in a listing."""
    domain, _, name = grant.user_name.casefold().rpartition("\\")
    return f"{name}\\{domain}\n{grant.user_id}{grant.slot}"


def _key(grant: Grant) -> tuple[str, str, int, str]:
    return grant.user_id, grant.provider_id, grant.generation, grant.slot


def _matches(grant: Grant, prefix: str) -> bool:
    domain, _, name = prefix.casefold().rpartition("\\")
    grant_domain, _, grant_name = grant.user_name.casefold().rpartition("\\")
    return grant_name.startswith(name) and domain in ("", grant_domain)


class FakeUsageStore:
    """Implements `ports.UsageStore`."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.people: dict[str, set[str]] = {}

    def add_call(self, window: str, expires_at: int) -> int:
        self.calls[window] += 1
        return self.calls[window]

    def add_person(self, window: str, person: str, expires_at: int) -> int | None:
        counted = self.people.setdefault(window, set())
        if person in counted:
            return None
        counted.add(person)
        return len(counted)


class FakeUseCountStore:
    """Implements `ports.UseCountStore`."""

    def __init__(self) -> None:
        self.counts: dict[tuple[date, str, str], tuple[UseCount, str]] = {}

    def add(self, count: UseCount, *, counted_to: str, expires_at: int) -> None:
        where = (count.day, count.application, count.provider)
        before, counted_before = self.counts.get(where, (UseCount(*where), ""))
        if counted_before < counted_to:
            refused = dict(sorted((Counter(before.refused) + Counter(count.refused)).items()))
            added = replace(before, released=before.released + count.released, refused=refused)
            self.counts[where] = added, counted_to

    def between(self, first: date, last: date) -> Iterator[UseCount]:
        found = [count for count, _ in self.counts.values() if first <= count.day <= last]
        return iter(sorted(found, key=lambda count: (count.day, count.application, count.provider)))


class FakeAdministratorStore:
    """Implements `ports.AdministratorStore`."""

    def __init__(self) -> None:
        self.stored = Appointments()

    def get(self) -> Appointments:
        return self.stored

    def save(self, appointments: Appointments) -> None:
        if appointments.version != self.stored.version:
            raise Conflict
        self.stored = replace(appointments, version=appointments.version + 1)


class FakeRemovalStore:
    """Implements `ports.RemovalStore`."""

    def __init__(self) -> None:
        self.removals: dict[str, Removal] = {}
        self.counted: dict[tuple[str, str], Counter[str]] = {}
        self._last: dict[tuple[str, str], str] = {}

    def add(self, removal: Removal) -> None:
        self.removals[removal.id] = removal

    def count(self, removal_id: str, provider_id: str, at: int, *, of: str, **counted: int) -> None:
        if any(counted.values()) and self._last.get((removal_id, provider_id)) != of:
            self._last[removal_id, provider_id] = of
            self.counted.setdefault((removal_id, provider_id), Counter()).update(counted)

    def receipt(self, removal_id: str) -> Receipt:
        if removal_id not in self.removals:
            raise NotFound
        counted = ((provider_id, c) for (id_, provider_id), c in self.counted.items() if id_ == removal_id)
        return Receipt(self.removals[removal_id], tuple(CloudReceipt(name, **counts) for name, counts in counted))

    def recent(self, *, limit: int) -> list[Removal]:
        return sorted(self.removals.values(), key=lambda removal: (removal.at, removal.id), reverse=True)[:limit]


class FakeRevocationStore:
    """Implements `ports.RevocationStore`."""

    def __init__(self) -> None:
        self.revocations: dict[str, Revocation] = {}

    def add(self, revocation: Revocation) -> None:
        self.revocations[revocation.id] = revocation

    def add_all(self, revocations: Sequence[Revocation]) -> None:
        for revocation in revocations:
            self.add(revocation)

    def claim(self, revocation: Revocation) -> None:
        current = self.revocations.get(revocation.id)
        if current is None or current.attempts != revocation.attempts - 1:
            raise Conflict
        self.revocations[revocation.id] = revocation

    def delete(self, revocation_id: str) -> None:
        self.revocations.pop(revocation_id, None)

    def due(self, provider_id: str, now: int) -> Iterator[Revocation]:
        due = [r for r in self.revocations.values() if r.provider_id == provider_id and r.next_attempt_at <= now]
        return iter(sorted(due, key=lambda revocation: revocation.next_attempt_at))

    def any_of(self, provider_id: str, generation: int) -> bool:
        wanted = (provider_id, generation)
        return any((r.provider_id, r.generation) == wanted for r in self.revocations.values())


class FakeProviderHealthStore:
    """Implements `ports.ProviderHealthStore`."""

    def __init__(self) -> None:
        self.stored: dict[str, ProviderHealth] = {}

    def get(self, provider_id: str) -> ProviderHealth:
        return self.stored.get(provider_id, ProviderHealth(provider_id))

    def of_each(self, provider_ids: Sequence[str]) -> dict[str, ProviderHealth]:
        return {provider_id: self.get(provider_id) for provider_id in provider_ids}

    def save(self, health: ProviderHealth) -> None:
        if self.get(health.provider_id).version != health.version:
            raise Conflict
        self.stored[health.provider_id] = replace(health, version=health.version + 1)


class FakeCursorStore:
    """Implements `ports.CursorStore`."""

    def __init__(self) -> None:
        self.cursors: dict[str, str | None] = {}

    def get(self, name: str) -> str | None:
        return self.cursors.get(name)

    def put(self, name: str, cursor: str | None) -> None:
        self.cursors[name] = cursor


class FakeClientApplicationStore:
    """Implements `ports.ClientApplicationStore`."""

    def __init__(self) -> None:
        self.applications: dict[str, ClientApplication] = {}

    def all(self) -> list[ClientApplication]:
        return sorted(self.applications.values(), key=lambda application: in_order(application.name))

    def get(self, application_id: str) -> ClientApplication:
        if application_id not in self.applications:
            raise NotFound
        return self.applications[application_id]

    def add(self, application: ClientApplication) -> None:
        if application.id in self.applications:
            raise Conflict
        self.applications[application.id] = application

    def update(self, application: ClientApplication) -> ClientApplication:
        if self.get(application.id).version != application.version:
            raise Conflict
        self.applications[application.id] = replace(application, version=application.version + 1)
        return self.applications[application.id]

    def delete(self, application: ClientApplication) -> None:
        if self.applications.get(application.id, application).version != application.version:
            raise Conflict
        self.applications.pop(application.id, None)


class FakeStopStore:
    """Implements `ports.StopStore`."""

    def __init__(self) -> None:
        self.stops: dict[tuple[StopKind, str], Stop] = {}
        self.blocked: dict[tuple[str, str], Block] = {}

    def all(self) -> list[Stop]:
        return sorted(self.stops.values(), key=lambda stop: stop.at, reverse=True)

    def add(self, stop: Stop) -> None:
        if (stop.kind, stop.target) in self.stops:
            raise Conflict
        self.stops[stop.kind, stop.target] = stop

    def remove(self, kind: StopKind, target: str) -> Stop | None:
        return self.stops.pop((kind, target), None)

    def blocks(self, user_id: str) -> list[Block]:
        return [block for block in self.blocked.values() if block.user_id == user_id]

    def block(self, block: Block) -> bool:
        key = block.user_id, block.application_id
        return self.blocked.setdefault(key, block) is block

    def unblock(self, user_id: str, application_id: str) -> bool:
        return self.blocked.pop((user_id, application_id), None) is not None


class FakeUserAliasStore:
    """Implements `ports.UserAliasStore`."""

    def __init__(self) -> None:
        self.claimed: dict[str, set[AliasClaim]] = {}
        self._marks = count()

    def claim(self, user_id: str, aliases: Iterable[str], at: int) -> None:
        for alias in aliases:
            self.claimed.setdefault(alias, set()).add(AliasClaim(user_id, f"{at}~{next(self._marks)}"))

    def claims(self, alias: str) -> tuple[AliasClaim, ...]:
        return tuple(sorted(self.claimed.get(alias, ()), key=lambda claim: (claim.user_id, claim.mark)))

    def release(self, alias: str, claims: Iterable[AliasClaim]) -> None:
        self.claimed.get(alias, set()).difference_update(claims)


class FakeReleaseStore:
    """Implements `ports.ReleaseStore` over the other fakes."""

    def __init__(
        self,
        applications: FakeClientApplicationStore,
        grants: FakeGrantStore,
        aliases: FakeUserAliasStore,
        users: FakeUserStore,
        stops: FakeStopStore | None = None,
    ) -> None:
        self._stops = stops or FakeStopStore()
        self._applications = applications
        self._grants = grants
        self._aliases = aliases
        self._users = users
        self.loads = 0

    def load(self, application_id: str, provider_id: str, name: str, account: str = "") -> ReleaseHolding:
        self.loads += 1
        owners = (name,) if is_person_id(name) else self._claimants(name)
        subject = self._subject(owners[0], name) if len(owners) == 1 else None
        owners = owners if subject or len(owners) > 1 else ()
        try:
            holding = self._grants.load(subject.user_id if subject else "-", provider_id)
            if subject is not None:
                held = self._grants.at(subject.user_id, provider_id, holding.provider.generation)
                meant = chosen(held, holding.preferred, account)
                holding = replace(holding, grant=meant or holding.grant)
        except NotFound:
            holding = None
        application = self._applications.applications.get(application_id)
        return ReleaseHolding(application, owners, subject, holding, self._found(application_id, provider_id, subject))

    def _claimants(self, name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys(claim.user_id for claim in self._aliases.claims(name)))

    def _subject(self, user_id: str, name: str) -> Subject | None:
        record = self._users.get(user_id)
        if name != user_id and (record is None or not bearing(record, name)):
            return None
        if record is None:
            return Subject(user_id)
        return Subject(user_id, record.user.groups, is_blocked=record.departure is not None)

    def _found(self, application_id: str, provider_id: str, subject: Subject | None) -> frozenset[StopKind]:
        person = subject.user_id if subject else ""
        wanted = {(StopKind.EVERYTHING, ALL), (StopKind.PROVIDER, provider_id), (StopKind.PERSON, person)}
        own = {StopKind.OWN} if (person, application_id) in self._stops.blocked else set()
        return frozenset({kind for kind, _ in wanted & self._stops.stops.keys()} | own)


class FakeAuditLog:
    """Implements `ports.AuditLog`; `broken` plays a log that cannot be written."""

    def __init__(self, clock: Clock | None = None) -> None:
        self.events: list[AuditEvent] = []
        self.once: set[tuple[str, int]] = set()
        self.broken = False
        self._clock = clock or FakeClock()
        self._entries: list[AuditEntry] = []

    def record(self, event: AuditEvent) -> None:
        if self.broken:
            raise StorageUnavailable
        self.events.append(event)
        at = self._clock.now()
        self._entries.append(AuditEntry(position(at, f"entry{len(self.events):06}"), at, event))

    @contextmanager
    def recording(self, *events: AuditEvent) -> Iterator[None]:
        """What is done is not taken back: a broken log keeps it from being begun, and who is killed has done it."""
        if self.broken:
            raise StorageUnavailable
        try:
            yield
        except Exception:
            raise
        except BaseException:
            self.record_all(events)
            raise
        self.record_all(events)

    def record_all(self, events: Sequence[AuditEvent]) -> None:
        for event in events:
            self.record(event)

    def record_once(self, event: AuditEvent, entry_id: str, at: int) -> None:
        if self.broken:
            raise StorageUnavailable
        if (entry_id, at) in self.once:
            raise Conflict
        self.once.add((entry_id, at))
        self.events.append(event)
        self._entries.append(AuditEntry(position(at, entry_id), at, event))

    def entries(self, period: Period, *, before: str | None = None) -> Iterator[AuditEntry]:
        first, last = f"{period.first}", f"{period.last}T24:00:00"
        found = [entry for entry in self._entries if first <= entry.position < min(last, before or last)]
        return iter(sorted(found, key=lambda entry: entry.position, reverse=True))

    def of_user(self, user_id: str, *, period: Period | None = None, before: str | None = None) -> Iterator[AuditEntry]:
        period = period or Period(date.min, date(9998, 12, 31))
        return (entry for entry in self.entries(period, before=before) if user_id == entry.event.user_id != "")

    def stored(self, begin: str, end: str) -> Iterator[StoredEntry]:
        found = [entry for entry in self._entries if begin <= entry.position < end]
        evidence = [StoredEntry(entry.position, fingerprint(repr(entry)), entry.event) for entry in found]
        return iter(sorted(evidence, key=lambda entry: entry.position))


class FakeSealStore:
    """Implements `ports.SealStore`."""

    def __init__(self) -> None:
        self.seals: dict[str, Seal] = {}
        self._tip: Tip | None = None

    def tip(self) -> Tip | None:
        return self._tip

    def add(self, seal: Seal) -> None:
        if seal.begin in self.seals:
            raise Conflict
        self.seals[seal.begin] = seal
        if self._tip is None or self._tip.number < seal.number:
            self._tip = seal.tip()

    def between(self, begin: str, end: str) -> Iterator[Seal]:
        return iter([self.seals[place] for place in sorted(self.seals) if begin <= place < end])

    def before(self, begin: str) -> Seal | None:
        places = [place for place in self.seals if place < begin]
        return self.seals[max(places)] if places else None
