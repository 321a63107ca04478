"""What every store of users does."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

import pytest

from chalicelib.adapters.system import SystemRandom
from chalicelib.domain.aliases import aliases_of
from chalicelib.domain.distinguished_name import folded_dn
from chalicelib.domain.errors import Conflict, InvalidRequest
from chalicelib.domain.user import AliasClaim, Departure, SweepProgress, UserRecord
from chalicelib.ports import UserStore
from chalicelib.stores.tables import KEY, SORT
from chalicelib.stores.user_aliases import DynamoUserAliasStore
from chalicelib.stores.users import DynamoUserStore
from tests.aws import Aws
from tests.fakes.stores import FakeUserStore
from tests.samples import ADMIN, ALICE, BOB, NOW

from .places import STORES, aws_of


class TestUserStore:
    @pytest.fixture(params=STORES)
    def store(self, request: pytest.FixtureRequest) -> UserStore:
        if request.param == "fake":
            return FakeUserStore()
        vault = aws_of(request).table("vault")
        return DynamoUserStore(vault, DynamoUserAliasStore(vault, SystemRandom()))

    def record(self, store: UserStore, user_id: str = ALICE.id) -> UserRecord:
        found = store.get(user_id)
        assert found is not None
        return found

    def leave(self, store: UserStore, user_id: str, at: int) -> UserRecord:
        return store.save(replace(self.record(store, user_id), departure=Departure.DISABLED, departed_at=at))

    def test_somebody_who_logged_in_is_known(self, store: UserStore) -> None:
        alice = replace(ALICE, password_stamp="p1")
        store.enrol(alice, sessions_until=NOW + 60, at=NOW)
        names = frozenset({"contoso\\alice", "alice@contoso.example"})
        assert self.record(store) == UserRecord(alice, NOW + 60, version=2, names=names, proved_at=NOW)

    def test_nobody_else_is(self, store: UserStore) -> None:
        assert store.get(BOB.id) is None

    def test_several_are_read_at_once_and_strangers_left_out(self, store: UserStore) -> None:
        store.enrol(ALICE, sessions_until=NOW, at=NOW)
        store.enrol(ADMIN, sessions_until=NOW, at=NOW)
        found = store.get_all([ALICE.id, ADMIN.id, ALICE.id, BOB.id])
        assert {record.user.id for record in found} == {ALICE.id, ADMIN.id}
        assert store.get_all([]) == []

    def test_the_next_log_in_brings_everything_up_to_date(self, store: UserStore) -> None:
        store.enrol(ALICE, sessions_until=NOW + 60, at=NOW)
        self.leave(store, ALICE.id, NOW)
        store.enrol(replace(ALICE, display_name="Alice Baker"), sessions_until=NOW + 120, at=NOW)
        record = self.record(store)
        assert (record.user.display_name, record.departure, record.departed_at) == ("Alice Baker", None, 0)
        assert (record.sessions_until, record.version) == (NOW + 120, 4)

    def test_a_change_of_an_older_version_is_a_conflict(self, store: UserStore) -> None:
        store.enrol(ALICE, sessions_until=NOW, at=NOW)
        older = self.record(store)
        store.enrol(ALICE, sessions_until=NOW + 60, at=NOW)
        with pytest.raises(Conflict):
            store.save(older)
        with pytest.raises(Conflict):
            store.delete(older)

    def test_somebody_who_is_not_there_cannot_be_changed(self, store: UserStore) -> None:
        with pytest.raises(Conflict):
            store.save(UserRecord(BOB, NOW, 1))

    def test_deleting_is_idempotent(self, store: UserStore) -> None:
        store.enrol(ALICE, sessions_until=NOW, at=NOW)
        record = self.record(store)
        store.delete(record)
        store.delete(record)
        assert store.get(ALICE.id) is None
        assert store.present(limit=10, cursor=None).users == []

    def test_the_present_are_listed_page_after_page(self, store: UserStore) -> None:
        for user in (ADMIN, BOB, ALICE):
            store.enrol(user, sessions_until=NOW, at=NOW)
        first = store.present(limit=2, cursor=None)
        rest = store.present(limit=2, cursor=first.next_cursor)
        assert [r.user.id for r in (*first.users, *rest.users)] == [ALICE.id, BOB.id, ADMIN.id]
        assert first.users[0] == self.record(store)
        assert rest.next_cursor is None

    def test_a_record_of_a_list_is_the_whole_record_so_that_writing_it_back_loses_nothing(
        self, store: UserStore
    ) -> None:
        store.enrol(replace(ALICE, password_stamp="p1"), sessions_until=NOW + 60, at=NOW)
        assert store.present(limit=10, cursor=None).users == [self.record(store)]
        self.leave(store, ALICE.id, NOW)
        assert store.departed(limit=10, cursor=None).users == [self.record(store)]

    def test_the_departed_are_listed_by_the_time_they_left_and_not_among_the_present(self, store: UserStore) -> None:
        for user in (ALICE, BOB, ADMIN):
            store.enrol(user, sessions_until=NOW, at=NOW)
        self.leave(store, ALICE.id, NOW + 5)
        self.leave(store, BOB.id, NOW + 4)
        assert [r.user.id for r in store.present(limit=10, cursor=None).users] == [ADMIN.id]
        first = store.departed(limit=1, cursor=None)
        second = store.departed(limit=1, cursor=first.next_cursor)
        assert [r.user.id for r in (*first.users, *second.users)] == [BOB.id, ALICE.id]

    def test_r98_where_somebody_was_and_since_when_they_are_missing_outlasts_a_log_in(self, store: UserStore) -> None:
        store.enrol(ALICE, sessions_until=NOW, at=NOW)
        missed = store.save(replace(self.record(store), dn="CN=Alice,DC=x", missing_since=NOW))
        assert store.present(limit=10, cursor=None).users == [missed], "read through the index, and written back whole"
        store.enrol(ALICE, sessions_until=NOW, at=NOW)
        assert (self.record(store).dn, self.record(store).missing_since) == ("CN=Alice,DC=x", NOW)

    def test_a_cursor_of_somebody_elses_making_is_refused(self, store: UserStore) -> None:
        with pytest.raises(InvalidRequest):
            store.departed(limit=10, cursor="nonsense")

    def test_remembers_how_far_the_sweep_is(self, store: UserStore) -> None:
        assert store.progress() == SweepProgress()
        assert store.believed() == {}
        store.believe("CONTOSO", NOW)
        store.believe("FABRIKAM", NOW + 1)
        assert store.believed() == {"CONTOSO": NOW, "FABRIKAM": NOW + 1}
        counted = SweepProgress(NOW, NOW + 3, None, 150, {"CONTOSO": (3, 1)}, frozenset({"FABRIKAM"}))
        for progress in (SweepProgress(NOW, 0, "cursor", 100), counted):
            store.note_progress(progress)
            assert store.progress() == progress

    def test_r91_a_page_has_records_as_they_are_and_all_of_them(self, store: UserStore) -> None:
        """The index lags, and does not hold every attribute."""
        alice = replace(ALICE, also_called=("alice@contoso.com",))
        store.enrol(alice, sessions_until=NOW, at=NOW)
        (found,) = store.present(limit=10, cursor=None).users
        assert found == self.record(store)
        assert found.user == alice
        assert found.names == {"contoso\\alice", "alice@contoso.example", "alice@contoso.com"}

    @pytest.mark.parametrize(
        "user_id",
        [
            "0f8fad5b-d9cb-469f-a165-70867728950e",
            "aaaabbbb-0000-cccc-1111-dddd2222eeee.00000000-0000-0000-66f3-3332eca7ea81",
            f"openid.{'0' * 40}",
        ],
    )
    def test_a_cursor_goes_on_behind_every_kind_of_id(self, store: UserStore, user_id: str) -> None:
        for user in (replace(ALICE, id=user_id), BOB):
            store.enrol(user, sessions_until=NOW, at=NOW)
        first = store.present(limit=1, cursor=None)
        rest = store.present(limit=5, cursor=first.next_cursor)
        assert sorted(r.user.id for r in (*first.users, *rest.users)) == sorted((user_id, BOB.id))


class TestWhoWritesMeanwhile:
    """A log-in writes who it is, claims the names, and lets the record bear them; others write in between."""

    @pytest.fixture
    def aliases(self, aws: Aws) -> DynamoUserAliasStore:
        return DynamoUserAliasStore(aws.table("vault"), SystemRandom())

    @pytest.fixture
    def store(self, aws: Aws, aliases: DynamoUserAliasStore) -> DynamoUserStore:
        return DynamoUserStore(aws.table("vault"), aliases)

    @staticmethod
    def each_time(
        monkeypatch: pytest.MonkeyPatch, aliases: DynamoUserAliasStore, acts: Iterator[Callable[[], object]]
    ) -> None:
        """Whenever names are claimed, the next act comes in between."""
        claim = aliases.claim

        def claim_late(user_id: str, names: Iterable[str], at: int) -> None:
            claim(user_id, names, at)
            next(acts, lambda: None)()

        monkeypatch.setattr(aliases, "claim", claim_late)

    def test_the_names_are_borne_all_the_same(
        self, store: DynamoUserStore, aliases: DynamoUserAliasStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def write() -> None:
            store.save(self.record(store))

        self.each_time(monkeypatch, aliases, iter([write]))
        store.enrol(ALICE, sessions_until=NOW, at=NOW)
        assert self.record(store).names == set(aliases_of(ALICE))

    def test_where_somebody_writes_all_the_time_the_next_log_in_does_it(
        self, store: DynamoUserStore, aliases: DynamoUserAliasStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def write() -> None:
            store.save(self.record(store))

        self.each_time(monkeypatch, aliases, iter([write] * 3))
        store.enrol(ALICE, sessions_until=NOW, at=NOW)
        assert self.record(store).names is None
        store.enrol(ALICE, sessions_until=NOW, at=NOW)
        assert self.record(store).names == set(aliases_of(ALICE))

    def test_who_is_removed_meanwhile_bears_nothing(
        self, store: DynamoUserStore, aliases: DynamoUserAliasStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.each_time(monkeypatch, aliases, iter([lambda: store.delete(self.record(store))]))
        store.enrol(ALICE, sessions_until=NOW, at=NOW)
        assert store.get(ALICE.id) is None

    @pytest.mark.parametrize("act", ["delete", "rename"])
    def test_r91_who_logs_in_right_behind_keeps_the_names(
        self, store: DynamoUserStore, aliases: DynamoUserAliasStore, monkeypatch: pytest.MonkeyPatch, act: str
    ) -> None:
        store.enrol(ALICE, sessions_until=NOW, at=NOW)
        release, comes = aliases.release, iter([lambda: store.enrol(ALICE, sessions_until=NOW, at=NOW)])

        def release_late(alias: str, claims: Iterable[AliasClaim]) -> None:
            next(comes, lambda: None)()
            release(alias, claims)

        monkeypatch.setattr(aliases, "release", release_late)
        if act == "delete":
            store.delete(self.record(store))
        else:
            store.rename(self.record(store), replace(ALICE, login_name="CONTOSO\\jones", email=""), at=NOW)
        for name in aliases_of(ALICE):
            assert [claim.user_id for claim in aliases.claims(name)] == [ALICE.id]
        assert self.record(store).names == set(aliases_of(ALICE))

    @staticmethod
    def record(store: UserStore) -> UserRecord:
        found = store.get(ALICE.id)
        assert found is not None
        return found


def test_items_of_before_are_read(aws: Aws) -> None:
    """As the version before wrote them: no `dn`, no `missing_since`, no counts, a group in another spelling."""
    table = aws.table("vault")
    store = DynamoUserStore(table, DynamoUserAliasStore(table, SystemRandom()))
    groups = frozenset({"cn=staff\\, eu,dc=x", "S-1-5-21-1-2-3-9"})
    store.enrol(replace(ALICE, groups=groups), sessions_until=NOW, at=NOW)
    key = {KEY: f"USER#{ALICE.id}", SORT: "RECORD"}
    item = table.get(key)
    assert item is not None
    table.put({name: value for name, value in item.items() if name not in ("dn", "missing_since")})
    record = store.get(ALICE.id)
    assert record is not None
    assert (record.dn, record.missing_since) == ("", 0)
    assert record.user.groups == {folded_dn("CN=Staff\\2C EU,DC=x"), "S-1-5-21-1-2-3-9"}
    table.put({KEY: "SWEEP", SORT: "USERS", "started_at": NOW, "finished_at": 0, "cursor": "c", "checked": 7})
    assert store.progress() == SweepProgress(NOW, 0, "c", 7)
