"""What every store of users does."""

from dataclasses import replace

import pytest

from chalicelib.domain.distinguished_name import folded_dn
from chalicelib.domain.errors import Conflict, InvalidRequest
from chalicelib.domain.user import Departure, SweepProgress, UserRecord
from chalicelib.ports import UserStore
from chalicelib.stores.tables import KEY, SORT
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
        return DynamoUserStore(aws_of(request).table("vault"))

    def record(self, store: UserStore, user_id: str = ALICE.id) -> UserRecord:
        found = store.get(user_id)
        assert found is not None
        return found

    def leave(self, store: UserStore, user_id: str, at: int) -> UserRecord:
        return store.save(replace(self.record(store, user_id), departure=Departure.DISABLED, departed_at=at))

    def test_somebody_who_logged_in_is_known(self, store: UserStore) -> None:
        alice = replace(ALICE, password_stamp="p1")
        store.enrol(alice, sessions_until=NOW + 60)
        assert self.record(store) == UserRecord(alice, NOW + 60, version=1)

    def test_nobody_else_is(self, store: UserStore) -> None:
        assert store.get(BOB.id) is None

    def test_the_next_log_in_brings_everything_up_to_date(self, store: UserStore) -> None:
        store.enrol(ALICE, sessions_until=NOW + 60)
        self.leave(store, ALICE.id, NOW)
        store.enrol(replace(ALICE, display_name="Alice Baker"), sessions_until=NOW + 120)
        record = self.record(store)
        assert (record.user.display_name, record.departure, record.departed_at) == ("Alice Baker", None, 0)
        assert (record.sessions_until, record.version) == (NOW + 120, 3)

    def test_a_change_of_an_older_version_is_a_conflict(self, store: UserStore) -> None:
        store.enrol(ALICE, sessions_until=NOW)
        older = self.record(store)
        store.enrol(ALICE, sessions_until=NOW + 60)
        with pytest.raises(Conflict):
            store.save(older)
        with pytest.raises(Conflict):
            store.delete(older)

    def test_somebody_who_is_not_there_cannot_be_changed(self, store: UserStore) -> None:
        with pytest.raises(Conflict):
            store.save(UserRecord(BOB, NOW, 1))

    def test_deleting_is_idempotent(self, store: UserStore) -> None:
        store.enrol(ALICE, sessions_until=NOW)
        record = self.record(store)
        store.delete(record)
        store.delete(record)
        assert store.get(ALICE.id) is None
        assert store.present(limit=10, cursor=None).users == []

    def test_the_present_are_listed_page_after_page(self, store: UserStore) -> None:
        for user in (ADMIN, BOB, ALICE):
            store.enrol(user, sessions_until=NOW)
        first = store.present(limit=2, cursor=None)
        rest = store.present(limit=2, cursor=first.next_cursor)
        assert [r.user.id for r in (*first.users, *rest.users)] == [ALICE.id, BOB.id, ADMIN.id]
        assert first.users[0] == self.record(store)
        assert rest.next_cursor is None

    def test_the_departed_are_listed_by_the_time_they_left_and_not_among_the_present(self, store: UserStore) -> None:
        for user in (ALICE, BOB, ADMIN):
            store.enrol(user, sessions_until=NOW)
        self.leave(store, ALICE.id, NOW + 5)
        self.leave(store, BOB.id, NOW + 4)
        assert [r.user.id for r in store.present(limit=10, cursor=None).users] == [ADMIN.id]
        first = store.departed(limit=1, cursor=None)
        second = store.departed(limit=1, cursor=first.next_cursor)
        assert [r.user.id for r in (*first.users, *second.users)] == [BOB.id, ALICE.id]

    def test_r98_where_somebody_was_and_since_when_they_are_missing_outlasts_a_log_in(self, store: UserStore) -> None:
        store.enrol(ALICE, sessions_until=NOW)
        missed = store.save(replace(self.record(store), dn="CN=Alice,DC=x", missing_since=NOW))
        assert store.present(limit=10, cursor=None).users == [missed], "read through the index, and written back whole"
        store.enrol(ALICE, sessions_until=NOW)
        assert (self.record(store).dn, self.record(store).missing_since) == ("CN=Alice,DC=x", NOW)

    def test_a_cursor_of_somebody_elses_making_is_refused(self, store: UserStore) -> None:
        with pytest.raises(InvalidRequest):
            store.departed(limit=10, cursor="nonsense")

    def test_remembers_how_far_the_sweep_is(self, store: UserStore) -> None:
        assert store.progress() == SweepProgress()
        counted = SweepProgress(NOW, NOW + 3, None, 150, {"CONTOSO": (3, 1)}, frozenset({"FABRIKAM"}))
        for progress in (SweepProgress(NOW, 0, "cursor", 100), counted):
            store.note_progress(progress)
            assert store.progress() == progress


def test_items_of_before_are_read(aws: Aws) -> None:
    """As the version before wrote them: no `facts`, no counts, a group in another spelling."""
    table = aws.table("vault")
    store = DynamoUserStore(table)
    store.enrol(replace(ALICE, groups=frozenset({"cn=staff\\, eu,dc=x", "S-1-5-21-1-2-3-9"})), sessions_until=NOW)
    record = store.get(ALICE.id)
    assert record is not None
    assert (record.dn, record.missing_since) == ("", 0)
    assert record.user.groups == {folded_dn("CN=Staff\\2C EU,DC=x"), "S-1-5-21-1-2-3-9"}
    table.put({KEY: "SWEEP", SORT: "USERS", "started_at": NOW, "finished_at": 0, "cursor": "c", "checked": 7})
    assert store.progress() == SweepProgress(NOW, 0, "c", 7)
