"""What every store of aliases and releases does, and the log's lines that exist once."""

from dataclasses import dataclass, replace

import pytest

from chalicelib.adapters.system import SystemRandom
from chalicelib.domain.aliases import aliases_of
from chalicelib.domain.audit import AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.client_application import Subject
from chalicelib.domain.errors import Conflict
from chalicelib.domain.grant import Grant
from chalicelib.domain.stop import ALL, Block, Stop, StopKind
from chalicelib.domain.user import Departure, UserRecord
from chalicelib.ports import (
    AuditLog,
    ClientApplicationStore,
    GrantStore,
    ProviderStore,
    ReleaseStore,
    StopStore,
    UserAliasStore,
    UserStore,
)
from chalicelib.stores import releases
from chalicelib.stores.audit_log import DynamoAuditLog
from chalicelib.stores.client_applications import DynamoClientApplicationStore
from chalicelib.stores.grants import DynamoGrantStore
from chalicelib.stores.providers import DynamoProviderStore
from chalicelib.stores.releases import DynamoReleaseStore
from chalicelib.stores.stops import DynamoStopStore
from chalicelib.stores.user_aliases import DynamoUserAliasStore
from chalicelib.stores.users import DynamoUserStore
from tests.aws import Aws
from tests.fakes.stores import (
    FakeAuditLog,
    FakeClientApplicationStore,
    FakeGrantStore,
    FakeProviderStore,
    FakeReleaseStore,
    FakeStopStore,
    FakeUserAliasStore,
    FakeUserStore,
)
from tests.fakes.system import FakeClock
from tests.samples import ADMINISTRATOR, ALICE, APPLICATION, BOB, GRANT, KEY, NOW, OTHER_ACCOUNT, PROVIDER

from .places import STORES, aws_of

NAMES = ("contoso\\alice", "alice@contoso.example")
EVENT = AuditEvent(AuditTag.TOKEN_RELEASED, Outcome.SUCCESS, "scanner", Origin("request-1", "127.0.0.1"))


@dataclass(frozen=True)
class Stores:
    providers: ProviderStore
    grants: GrantStore
    applications: ClientApplicationStore
    aliases: UserAliasStore
    users: UserStore
    releases: ReleaseStore
    stops: StopStore
    audit_log: AuditLog


def fakes() -> Stores:
    providers, applications, aliases = FakeProviderStore(), FakeClientApplicationStore(), FakeUserAliasStore()
    grants, stops, users = FakeGrantStore(providers), FakeStopStore(), FakeUserStore(aliases)
    released = FakeReleaseStore(applications, grants, aliases, users, stops)
    return Stores(providers, grants, applications, aliases, users, released, stops, FakeAuditLog())


def dynamodb(aws: Aws) -> Stores:
    vault, keys = aws.table("vault"), aws.table("vault-keys")
    grants = DynamoGrantStore(vault, keys, aws.table("vault-sessions"))
    aliases = DynamoUserAliasStore(vault, SystemRandom())
    return Stores(
        DynamoProviderStore(vault, keys),
        grants,
        DynamoClientApplicationStore(vault),
        aliases,
        DynamoUserStore(vault, aliases),
        DynamoReleaseStore(grants),
        DynamoStopStore(vault),
        DynamoAuditLog(vault, FakeClock(), SystemRandom(), days=400),
    )


@pytest.fixture(params=STORES)
def stores(request: pytest.FixtureRequest) -> Stores:
    made = fakes() if request.param == "fake" else dynamodb(aws_of(request))
    made.providers.add_key(KEY)
    made.providers.add(PROVIDER)
    made.applications.add(APPLICATION)
    made.users.enrol(ALICE, sessions_until=NOW, at=NOW)
    made.grants.save(GRANT, replaces=None)
    return made


@pytest.mark.parametrize("name", [*NAMES, ALICE.id])
def test_reads_everything_that_decides(stores: Stores, name: str) -> None:
    for _ in range(2):
        held = stores.releases.load("scanner", "northwind", name)
        assert (held.application, held.owners, held.subject) == (
            APPLICATION,
            (ALICE.id,),
            Subject(ALICE.id, ALICE.groups),
        )
        assert held.holding == stores.grants.load(ALICE.id, "northwind")


def test_a_name_that_is_claimed_twice_is_nobodys_also_after_it_was_somebodys(stores: Stores) -> None:
    stores.releases.load("scanner", "northwind", NAMES[1])
    for at in (NOW, NOW + 1):
        stores.users.enrol(replace(BOB, email=ALICE.email), sessions_until=NOW, at=at)
    held = stores.releases.load("scanner", "northwind", NAMES[1])
    assert (held.owners, held.subject) == ((ALICE.id, BOB.id), None)
    assert held.holding is not None
    assert held.holding.grant is None


def test_f21_r76_what_was_changed_a_moment_ago_is_seen(stores: Stores) -> None:
    stores.releases.load("scanner", "northwind", NAMES[0])
    stopped = stores.applications.update(APPLICATION.stopped("reason", NOW))
    stores.providers.add_key(replace(KEY, generation=2))
    raised = stores.providers.update(replace(PROVIDER, generation=2))
    held = stores.releases.load("scanner", "northwind", NAMES[0])
    assert held.application == stopped
    assert held.holding is not None
    assert (held.holding.provider, held.holding.grant) == (raised, None)


STOPS = {
    StopKind.EVERYTHING: (ALL, "other"),
    StopKind.PROVIDER: ("northwind", "other"),
    StopKind.PERSON: (ALICE.id, BOB.id),
}


@pytest.mark.parametrize("name", [*NAMES, ALICE.id])
@pytest.mark.parametrize("kind", STOPS)
def test_r76_a_stop_is_read_along_and_so_is_its_end(stores: Stores, kind: StopKind, name: str) -> None:
    target, other = STOPS[kind]
    stores.stops.add(Stop(kind, other, "reason", NOW, ADMINISTRATOR))
    assert stores.releases.load("scanner", "northwind", name).stops == frozenset()
    stores.stops.add(Stop(kind, target, "reason", NOW, ADMINISTRATOR))
    assert stores.releases.load("scanner", "northwind", name).stops == {kind}
    stores.stops.remove(kind, target)
    assert stores.releases.load("scanner", "northwind", name).stops == frozenset()


@pytest.mark.parametrize("name", [*NAMES, ALICE.id])
def test_r76_a_persons_own_block_is_read_along(stores: Stores, name: str) -> None:
    stores.stops.block(Block(ALICE.id, "other", NOW))
    stores.stops.block(Block(BOB.id, "scanner", NOW))
    assert stores.releases.load("scanner", "northwind", name).stops == frozenset()
    stores.stops.block(Block(ALICE.id, "scanner", NOW))
    assert stores.releases.load("scanner", "northwind", name).stops == {StopKind.OWN}


def test_stops_of_who_was_guessed_at_are_not_those_of_a_name_that_is_nobodys(stores: Stores) -> None:
    stores.releases.load("scanner", "northwind", NAMES[1])
    stores.stops.add(Stop(StopKind.PERSON, ALICE.id, "reason", NOW, ADMINISTRATOR))
    stores.users.enrol(replace(BOB, email=ALICE.email), sessions_until=NOW, at=NOW)
    assert stores.releases.load("scanner", "northwind", NAMES[1]).stops == frozenset()


def claimants(stores: Stores, alias: str) -> list[str]:
    return [claim.user_id for claim in stores.aliases.claims(alias)]


class TestNames:
    """A record and its claims, as they move along with the person."""

    SMITH = replace(ALICE, login_name="CONTOSO\\smith", email="smith@contoso.example", also_called=("smith@contoso",))
    JONES = replace(SMITH, login_name="CONTOSO\\jones", email="jones@contoso.example", also_called=("jones@contoso",))
    NEW = replace(SMITH, id=BOB.id)
    OLD_NAMES, NEW_NAMES = aliases_of(SMITH), aliases_of(JONES)

    @pytest.fixture
    def named(self, stores: Stores) -> Stores:
        stores.users.enrol(self.SMITH, sessions_until=NOW, at=NOW)
        return stores

    @staticmethod
    def found(stores: Stores, name: str) -> str | None:
        """Who is meant, the same from the first call on."""
        held = [stores.releases.load("scanner", "northwind", name) for _ in range(2)]
        subjects = {one.subject.user_id if one.subject else None for one in held}
        assert len(subjects) == 1
        assert held[0].owners == tuple(filter(None, subjects))
        assert (held[0].holding.grant is not None) == (subjects == {ALICE.id})
        return subjects.pop()

    @staticmethod
    def record(stores: Stores, user_id: str = ALICE.id) -> UserRecord:
        found = stores.users.get(user_id)
        assert found is not None
        return found

    @pytest.mark.parametrize("by", ["log-in", "sweep"])
    def test_r91_a_rename_frees_the_old_names_and_the_new_ones_count_at_once(self, named: Stores, by: str) -> None:
        assert [self.found(named, name) for name in self.OLD_NAMES] == [ALICE.id] * 3
        if by == "log-in":
            named.users.enrol(self.JONES, sessions_until=NOW, at=NOW + 9)
        else:
            named.users.rename(self.record(named), self.JONES, at=NOW + 9)
        assert [self.found(named, name) for name in self.OLD_NAMES] == [None] * 3
        assert [self.found(named, name) for name in self.NEW_NAMES] == [ALICE.id] * 3
        assert [claimants(named, name) for name in self.OLD_NAMES] == [[]] * 3
        assert self.record(named).proved_at == NOW + 9

    def test_r91_who_takes_a_freed_name_gets_the_own_token_and_never_the_others(self, named: Stores) -> None:
        named.users.enrol(self.JONES, sessions_until=NOW, at=NOW)
        named.users.enrol(self.NEW, sessions_until=NOW, at=NOW)
        assert [self.found(named, name) for name in self.OLD_NAMES] == [BOB.id] * 3
        assert [self.found(named, name) for name in self.NEW_NAMES] == [ALICE.id] * 3

    def test_r91_a_name_that_moves_while_a_process_remembers_its_owner_moves_there_too(self, named: Stores) -> None:
        for user, owner in ((self.SMITH, ALICE.id), (self.JONES, None)):
            named.users.enrol(user, sessions_until=NOW, at=NOW)
            assert self.found(named, self.OLD_NAMES[0]) == owner
        named.users.enrol(self.NEW, sessions_until=NOW, at=NOW)
        assert self.found(named, self.OLD_NAMES[0]) == BOB.id

    def test_r91_a_removal_frees_all_names(self, named: Stores) -> None:
        named.users.delete(self.record(named))
        assert [claimants(named, name) for name in self.OLD_NAMES] == [[]] * 3
        assert [self.found(named, name) for name in self.OLD_NAMES] == [None] * 3

    def test_r91_an_account_that_is_deleted_in_the_directory_bears_no_name(self, named: Stores) -> None:
        named.users.save(replace(self.record(named), departure=Departure.DELETED, departed_at=NOW))
        assert [self.found(named, name) for name in self.OLD_NAMES] == [None] * 3

    def test_r91_a_claim_without_a_record_that_bears_the_name_is_nothing(self, named: Stores) -> None:
        named.aliases.claim(ALICE.id, ("contoso\\admin",), NOW)
        named.aliases.claim(BOB.id, ("contoso\\bob",), NOW)
        assert [self.found(named, name) for name in ("contoso\\admin", "contoso\\bob")] == [None, None]

    def test_a_name_that_is_somebody_elses_stays_so_until_it_is_proved_again(self, named: Stores) -> None:
        name = "smith@contoso.example"
        named.users.disown(self.record(named), name)
        named.users.rename(self.record(named), replace(self.SMITH, display_name="Sam"), at=NOW)
        assert self.found(named, name) is None
        named.users.enrol(self.SMITH, sessions_until=NOW, at=NOW)
        assert self.found(named, name) == ALICE.id

    def test_r91_a_name_of_ones_own_counts_again_once_the_directory_says_so(self, named: Stores) -> None:
        for name in self.OLD_NAMES:
            named.users.disown(self.record(named), name)
            named.aliases.release(name, named.aliases.claims(name))
        named.users.rename(self.record(named), self.SMITH, at=NOW)
        assert [self.found(named, name) for name in self.OLD_NAMES] == [ALICE.id, None, ALICE.id]

    def test_a_claim_that_is_renewed_meanwhile_is_not_taken_away_with_the_old_one(self, named: Stores) -> None:
        name = self.OLD_NAMES[0]
        old = named.aliases.claims(name)
        named.aliases.claim(ALICE.id, (name,), NOW)
        for _ in range(2):
            named.aliases.release(name, old)
        assert claimants(named, name) == [ALICE.id]
        named.aliases.release(name, named.aliases.claims(name))
        assert named.aliases.claims(name) == ()
        named.aliases.release(name, [])
        assert named.aliases.claims(name) == ()

    def test_what_changed_meanwhile_is_a_conflict(self, named: Stores) -> None:
        older = self.record(named)
        named.users.enrol(self.SMITH, sessions_until=NOW, at=NOW)
        with pytest.raises(Conflict):
            named.users.rename(older, self.JONES, at=NOW)
        with pytest.raises(Conflict):
            named.users.disown(older, self.OLD_NAMES[0])
        assert [self.found(named, name) for name in self.OLD_NAMES] == [ALICE.id] * 3


def test_what_does_not_exist_is_none(stores: Stores) -> None:
    held = stores.releases.load("nobody", "nothing", "contoso\\nobody")
    assert (held.application, held.owners, held.subject, held.holding) == (None, (), None, None)
    assert stores.releases.load("scanner", "nothing", ALICE.id).application == APPLICATION


def test_r73_a_line_that_exists_once_cannot_be_written_twice(stores: Stores) -> None:
    stores.audit_log.record_once(EVENT, "use-1", NOW)
    with pytest.raises(Conflict):
        stores.audit_log.record_once(replace(EVENT, outcome=Outcome.FAILURE), "use-1", NOW)
    stores.audit_log.record_once(EVENT, "use-2", NOW)
    stores.audit_log.record_once(EVENT, "use-1", NOW + 1)


class TestAccounts:
    LATER = replace(GRANT, slot="0065a", account=OTHER_ACCOUNT)

    @pytest.fixture
    def several(self, stores: Stores) -> Stores:
        stores.grants.save(self.LATER, replaces=None)
        stores.grants.prefer(ALICE.id, "northwind", 1, "")
        return stores

    @staticmethod
    def meant(stores: Stores, account: str = "") -> Grant | None:
        """The grant that is read, the same from the first call on."""
        found = [stores.releases.load("scanner", "northwind", NAMES[0], account).holding for _ in range(3)]
        assert found[0] == found[1] == found[2]
        return found[0].grant if found[0] else None

    def test_an_account_is_named_by_label_or_subject(self, several: Stores) -> None:
        for account in (OTHER_ACCOUNT.label, OTHER_ACCOUNT.subject):
            assert self.meant(several, account) == self.LATER
        assert self.meant(several, GRANT.account.label) == GRANT

    def test_r91_a_subject_is_meant_before_another_accounts_label_of_the_same_text(self, several: Stores) -> None:
        first = replace(GRANT, account=replace(GRANT.account, label=OTHER_ACCOUNT.subject))
        several.grants.save(replace(first, version=GRANT.version + 1), replaces=GRANT.version)
        assert self.meant(several, OTHER_ACCOUNT.subject) == self.LATER

    def test_r105_of_two_of_one_name_the_one_that_is_left_is_meant(self, several: Stores) -> None:
        several.grants.save(GRANT.removed(NOW), replaces=GRANT.version)
        again = replace(GRANT, slot="0066b")
        several.grants.save(again, replaces=None)
        assert self.meant(several, GRANT.account.label) == again

    def test_without_a_name_it_is_the_default(self, several: Stores) -> None:
        assert self.meant(several) == GRANT
        several.grants.prefer(ALICE.id, "northwind", 1, "0065a")
        assert self.meant(several) == self.LATER
        several.grants.prefer(ALICE.id, "northwind", 1, "")
        assert self.meant(several) == GRANT

    def test_a_default_that_no_longer_works_gives_way_to_none(self, several: Stores) -> None:
        removed = GRANT.removed(NOW)
        several.grants.save(removed, replaces=GRANT.version)
        assert self.meant(several) == removed

    def test_a_default_that_is_gone_gives_way_to_the_first(self, several: Stores) -> None:
        several.grants.prefer(ALICE.id, "northwind", 1, "0065a")
        several.grants.delete(self.LATER, ended=1)
        assert self.meant(several) == GRANT


def test_a_process_that_remembers_very_many_people_forgets_them_and_finds_them_again(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(releases, "_REMEMBERED", 1)
    stores = dynamodb(aws)
    stores.providers.add_key(KEY)
    stores.providers.add(PROVIDER)
    stores.applications.add(APPLICATION)
    for person in (ALICE, BOB):
        stores.users.enrol(person, sessions_until=NOW, at=NOW)
    for _ in range(2):
        for person, name in ((ALICE, "contoso\\alice"), (BOB, "contoso\\bob")):
            assert stores.releases.load("scanner", "northwind", name).owners == (person.id,)
