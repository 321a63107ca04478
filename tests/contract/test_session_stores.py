"""What every session store and every store of authorization requests does."""

from dataclasses import replace

import pytest

from chalicelib.domain.authorization_request import ConsentFailed, ConsentProblem
from chalicelib.domain.session import Notice, NoticeKind
from chalicelib.ports import AuthorizationRequestStore, SessionStore
from chalicelib.stores.authorization_requests import DynamoAuthorizationRequestStore
from chalicelib.stores.sessions import DynamoSessionStore
from tests.fakes.stores import FakeAuthorizationRequestStore, FakeSessionStore
from tests.samples import ALICE, BOB, NOW, REQUEST, SESSION

from .places import STORES, aws_of

NOTICE = Notice("n1", NoticeKind.AUTHORIZED, {"provider": "northwind"}, NOW)
OWNER = {"user_id": ALICE.id, "flow_hash": REQUEST.flow_hash, "provider_id": "northwind"}


class TestSessionStore:
    @pytest.fixture(params=STORES)
    def store(self, request: pytest.FixtureRequest) -> SessionStore:
        if request.param == "fake":
            return FakeSessionStore()
        return DynamoSessionStore(aws_of(request).table("vault-sessions"))

    def test_gives_back_what_was_added(self, store: SessionStore) -> None:
        for session in (SESSION, replace(SESSION, id_hash="3" * 64, by_openid=True, id_token="e30.sealed")):
            store.add(session, NOW + 60)
            assert store.get(session.id_hash) == session

    def test_knows_no_session_that_was_not_added(self, store: SessionStore) -> None:
        assert store.get("f" * 64) is None

    def test_notes_activity(self, store: SessionStore) -> None:
        store.add(SESSION, NOW + 60)
        store.touch(SESSION.id_hash, NOW + 30, NOW + 90)
        assert store.get(SESSION.id_hash) == replace(SESSION, last_seen_at=NOW + 30)

    def test_keeps_one_notice_and_the_open_requests(self, store: SessionStore) -> None:
        store.add(SESSION, NOW + 60)
        store.open_requests(SESSION.id_hash, ("one", "two"))
        assert store.get(SESSION.id_hash) == replace(SESSION, open_requests=("one", "two"))
        store.notify(SESSION.id_hash, NOTICE, open_requests=("two",))
        assert store.get(SESSION.id_hash) == replace(SESSION, notice=NOTICE, open_requests=("two",))

    def test_an_ended_session_stays_ended_whatever_is_noted_on_it(self, store: SessionStore) -> None:
        store.add(SESSION, NOW + 60)
        store.delete(SESSION.id_hash)
        store.delete(SESSION.id_hash)
        store.touch(SESSION.id_hash, NOW + 30, NOW + 90)
        store.notify(SESSION.id_hash, NOTICE, open_requests=())
        store.open_requests(SESSION.id_hash, ("one",))
        assert store.get(SESSION.id_hash) is None

    def test_lists_the_sessions_of_one_user_newest_first(self, store: SessionStore) -> None:
        older = replace(SESSION, id_hash="1" * 64, created_at=NOW - 10)
        for session in (older, SESSION, replace(SESSION, id_hash="2" * 64, user=BOB)):
            store.add(session, NOW + 60)
        assert store.of_user(ALICE.id) == [SESSION, older]


class TestAuthorizationRequestStore:
    @pytest.fixture(params=STORES)
    def store(self, request: pytest.FixtureRequest) -> AuthorizationRequestStore:
        if request.param == "fake":
            return FakeAuthorizationRequestStore()
        return DynamoAuthorizationRequestStore(aws_of(request).table("vault-sessions"))

    def test_r37_a_request_is_consumed_once(self, store: AuthorizationRequestStore) -> None:
        store.add(REQUEST)
        assert store.consume(REQUEST.state_hash, **OWNER, now=NOW) == REQUEST
        with pytest.raises(ConsentFailed) as failure:
            store.consume(REQUEST.state_hash, **OWNER, now=NOW)
        assert failure.value.problem is ConsentProblem.USED

    @pytest.mark.parametrize("wrong", OWNER)
    def test_r38_a_foreign_callback_consumes_nothing(self, store: AuthorizationRequestStore, wrong: str) -> None:
        store.add(REQUEST)
        with pytest.raises(ConsentFailed) as failure:
            store.consume(REQUEST.state_hash, **{**OWNER, wrong: "other"}, now=NOW)
        assert failure.value.problem is ConsentProblem.FOREIGN
        assert store.consume(REQUEST.state_hash, **OWNER, now=NOW) == REQUEST

    def test_r37_a_request_dies_after_ten_minutes(self, store: AuthorizationRequestStore) -> None:
        store.add(REQUEST)
        with pytest.raises(ConsentFailed) as failure:
            store.consume(REQUEST.state_hash, **OWNER, now=NOW + 600)
        assert failure.value.problem is ConsentProblem.EXPIRED

    def test_r37_a_store_that_gives_nothing_back_has_consumed_nothing(self) -> None:
        class Forgetful:
            def delete(self, *_: object) -> None:
                """As one whose answer lacks the item."""

        with pytest.raises(ConsentFailed) as failure:
            DynamoAuthorizationRequestStore(Forgetful()).consume(REQUEST.state_hash, **OWNER, now=NOW)  # type: ignore[arg-type]
        assert failure.value.problem is ConsentProblem.USED

    def test_a_discarded_request_is_gone(self, store: AuthorizationRequestStore) -> None:
        store.add(REQUEST)
        store.discard(REQUEST.state_hash)
        store.discard(REQUEST.state_hash)
        with pytest.raises(ConsentFailed):
            store.consume(REQUEST.state_hash, **OWNER, now=NOW)
