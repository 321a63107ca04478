"""What every store of providers, grants and revocations does."""

from dataclasses import dataclass, replace
from typing import Any

import pytest

from chalicelib.domain.audit import Actor
from chalicelib.domain.errors import Conflict, InvalidRequest, KeyUnavailable, NotFound
from chalicelib.domain.grant import Grant, GrantReason, GrantState
from chalicelib.domain.provider import ProviderKey
from chalicelib.domain.provider_health import ProviderHealth
from chalicelib.domain.removal import (
    CloudReceipt,
    Everything,
    EverythingOrder,
    FormerClient,
    Removal,
    RemovalOrder,
    RemovalScope,
)
from chalicelib.domain.use import LastUse
from chalicelib.ports import (
    EARLIER,
    CursorStore,
    GrantStore,
    ProviderHealthStore,
    ProviderStore,
    RemovalStore,
    RevocationStore,
)
from chalicelib.stores import grants
from chalicelib.stores.cursors import DynamoCursorStore
from chalicelib.stores.grants import DynamoGrantStore
from chalicelib.stores.provider_health import DynamoProviderHealthStore
from chalicelib.stores.providers import DynamoProviderStore
from chalicelib.stores.removals import DynamoRemovalStore
from chalicelib.stores.revocations import DynamoRevocationStore
from chalicelib.stores.table import Condition, Table
from tests.aws import Aws
from tests.fakes.stores import FakeCursorStore, FakeGrantStore, FakeProviderStore, FakeRemovalStore, FakeRevocationStore
from tests.samples import ALICE, BOB, GRANT, KEY, NOW, OTHER_ACCOUNT, PROVIDER, REVOCATION, SERVER

from .places import STORES, aws_of

BY = Actor(BOB.id, BOB.login_name)
REMOVAL = Removal(
    "r1",
    RemovalScope.PROVIDER,
    True,
    BY,
    NOW,
    "northwind",
    "Northwind Cloud",
    (("northwind", 1),),
    (("northwind", "r0"), ("northwind", "r9")),
)


@dataclass(frozen=True)
class Stores:
    providers: ProviderStore
    grants: GrantStore
    revocations: RevocationStore
    removals: RemovalStore
    health: ProviderHealthStore


@pytest.fixture(params=STORES)
def stores(request: pytest.FixtureRequest) -> Stores:
    if request.param == "fake":
        providers = FakeProviderStore()
        held = FakeGrantStore(providers)
        return Stores(providers, held, FakeRevocationStore(), FakeRemovalStore(), held.health)
    aws: Aws = aws_of(request)
    vault, keys = aws.table("vault"), aws.table("vault-keys")
    return Stores(
        DynamoProviderStore(vault, keys),
        DynamoGrantStore(vault, keys, aws.table("vault-sessions")),
        DynamoRevocationStore(vault),
        DynamoRemovalStore(vault),
        DynamoProviderHealthStore(vault),
    )


@pytest.fixture
def registered(stores: Stores) -> Stores:
    stores.providers.add_key(KEY)
    stores.providers.add(PROVIDER)
    return stores


def listed(grant: Grant) -> Grant:
    """As a listing gives it: without the token set."""
    return replace(grant, token_set=None)


class TestProviderStore:
    def test_gives_back_what_was_added(self, registered: Stores) -> None:
        assert registered.providers.get("northwind") == PROVIDER
        assert registered.providers.key("northwind", 1) == KEY

    def test_lists_by_name(self, registered: Stores) -> None:
        other = replace(PROVIDER, id="box", name="box")
        registered.providers.add_key(replace(KEY, provider_id="box"))
        registered.providers.add(other)
        assert registered.providers.all() == [other, PROVIDER]

    def test_refuses_a_second_one_with_the_same_id(self, registered: Stores) -> None:
        with pytest.raises(Conflict):
            registered.providers.add(replace(PROVIDER, name="another"))
        assert registered.providers.get("northwind") == PROVIDER

    def test_the_second_of_two_updates_is_told(self, registered: Stores) -> None:
        former = FormerClient(SERVER, "vault", b"sealed")
        orders = (RemovalOrder(1, "r1", True, BY), RemovalOrder(2, "r2", False, BY, former))
        updated = registered.providers.update(replace(PROVIDER, name="New name", removals=orders))
        assert updated == replace(PROVIDER, name="New name", version=2, removals=orders)
        with pytest.raises(Conflict):
            registered.providers.update(replace(PROVIDER, name="Older"))
        assert registered.providers.get("northwind") == updated

    def test_a_key_is_never_replaced(self, registered: Stores) -> None:
        with pytest.raises(Conflict):
            registered.providers.add_key(ProviderKey("northwind", 1, b"other"))
        assert registered.providers.key("northwind", 1) == KEY

    def test_a_deleted_key_is_gone(self, registered: Stores) -> None:
        registered.providers.delete_key("northwind", 1)
        registered.providers.delete_key("northwind", 1)
        with pytest.raises(NotFound):
            registered.providers.key("northwind", 1)

    def test_what_does_not_exist_is_not_found(self, stores: Stores) -> None:
        with pytest.raises(NotFound):
            stores.providers.get("nobody")

    def test_r66_one_write_removes_everything_for_every_read(self, registered: Stores) -> None:
        registered.grants.save(GRANT, replaces=None)
        order = EverythingOrder(1, "r1", True, BY, NOW)
        assert registered.providers.everything() == Everything()
        registered.providers.save_everything(Everything((order,)), replaces=0)
        (shown,) = registered.providers.all()
        assert shown == registered.providers.get("northwind") == PROVIDER.under(Everything((order,)))
        assert (shown.generation, shown.is_ending, shown.order(1)) == (2, True, RemovalOrder(1, "r1", True, BY))
        holding = registered.grants.load(ALICE.id, "northwind")
        assert (holding.provider, holding.key, holding.grant) == (shown, ProviderKey("northwind", 2, b""), None)
        with pytest.raises(NotFound):
            registered.providers.get("#EVERYTHING")
        with pytest.raises(NotFound):
            registered.grants.load(ALICE.id, "#EVERYTHING")
        with pytest.raises(Conflict):
            registered.providers.update(shown)
        registered.providers.add_key(replace(KEY, generation=2))
        raised = registered.providers.update(replace(shown, is_ending=False))
        assert registered.providers.get("northwind") == raised
        assert not raised.is_ending
        later = Everything((order, replace(order, number=2)))
        with pytest.raises(Conflict):
            registered.providers.save_everything(later, replaces=0)
        registered.providers.save_everything(later, replaces=1)
        assert registered.providers.everything() == later
        assert registered.providers.get("northwind").generation == 3

    def test_what_is_deleted_is_not_emptied_once_more(self, registered: Stores) -> None:
        gone = registered.providers.update(replace(PROVIDER, is_deleted=True))
        registered.providers.save_everything(Everything((EverythingOrder(1, "r1", True, BY, NOW),)), replaces=0)
        assert registered.providers.get("northwind") == gone

    def test_deletes_exactly_one_version_and_what_is_gone_is_gone(self, registered: Stores) -> None:
        with pytest.raises(Conflict):
            registered.providers.delete(replace(PROVIDER, version=2))
        assert registered.providers.get("northwind") == PROVIDER
        for _ in range(2):
            registered.providers.delete(PROVIDER)
            with pytest.raises(NotFound):
                registered.providers.get("northwind")


class TestRemovalStore:
    def test_what_is_counted_adds_up_before_and_after_the_removal_is_noted(self, stores: Stores) -> None:
        stores.removals.count("r1", "northwind", NOW, of="a", removed=2, asked=2, unreadable=0)
        stores.removals.add(REMOVAL)
        stores.removals.count("r1", "northwind", NOW, of="b", removed=1, confirmed=1)
        stores.removals.count("r1", "box", NOW, of="a", not_offered=1)
        receipt = stores.removals.receipt("r1")
        assert receipt.removal == REMOVAL
        assert set(receipt.clouds) == {
            CloudReceipt("northwind", removed=3, asked=2, confirmed=1),
            CloudReceipt("box", not_offered=1),
        }
        assert stores.removals.receipt("r1").clouds[0].pending in (0, 1)

    def test_of_single_tokens_it_is_noted_whose_they_were(self, stores: Stores) -> None:
        removal = replace(REMOVAL, scope=RemovalScope.TOKENS, tokens=("northwind.S-1",), people=("CONTOSO\\bob",))
        stores.removals.add(removal)
        assert stores.removals.receipt("r1").removal == removal

    def test_the_same_counted_twice_running_counts_once(self, stores: Stores) -> None:
        stores.removals.add(REMOVAL)
        for what in ("a", "a", "b"):
            stores.removals.count("r1", "northwind", NOW, of=what, removed=25)
        assert stores.removals.receipt("r1").clouds == (CloudReceipt("northwind", removed=50),)

    def test_a_removal_is_noted_over_what_was_said_of_it_before(self, stores: Stores) -> None:
        stores.removals.add(replace(REMOVAL, ended=(("box", 1),)))
        stores.removals.add(REMOVAL)
        assert stores.removals.receipt("r1").removal == REMOVAL

    def test_the_last_ones_come_first(self, stores: Stores) -> None:
        assert stores.removals.recent(limit=5) == []
        for number in range(3):
            stores.removals.add(replace(REMOVAL, id=f"r{number}", at=NOW + number))
        assert [removal.id for removal in stores.removals.recent(limit=2)] == ["r2", "r1"]

    def test_nothing_to_count_leaves_no_line(self, stores: Stores) -> None:
        stores.removals.add(REMOVAL)
        stores.removals.count("r1", "northwind", NOW, of="a", removed=0)
        assert stores.removals.receipt("r1").clouds == ()

    def test_what_was_never_removed_has_no_receipt(self, stores: Stores) -> None:
        stores.removals.count("r9", "northwind", NOW, of="a", removed=1)
        with pytest.raises(NotFound):
            stores.removals.receipt("r9")


class TestGrantStore:
    def test_a_search_reads_page_after_page(self, registered: Stores) -> None:
        for number in range(7):
            registered.grants.save(replace(GRANT, user_id=f"S-{number}", authorized_at=number), replaces=None)
        found: list[Grant] = []
        cursor = None
        while True:
            page = registered.grants.page(
                "northwind", 1, user_prefix="al", limit=2, cursor=cursor, matches=lambda grant: grant.authorized_at % 2
            )
            assert len(page.grants) <= 2
            found += page.grants
            cursor = page.next_cursor
            if cursor is None:
                break
        # People of one name come in any order: an index has none among equal keys
        assert sorted(grant.authorized_at for grant in found) == [1, 3, 5]

    def test_gives_the_token_sets_of_a_page(self, registered: Stores) -> None:
        others = [replace(GRANT, user_id=f"S-{number}", token_set=f"{number}".encode()) for number in range(120)]
        for grant in others:
            registered.grants.save(grant, replaces=None)
        gone = replace(GRANT, user_id="S-gone")
        sealed = registered.grants.sealed([listed(grant) for grant in [*others, gone]])
        assert {grant.token_set for grant in sealed} == {grant.token_set for grant in others}

    def test_loads_provider_key_and_grant_together(self, registered: Stores) -> None:
        registered.grants.save(GRANT, replaces=None)
        holding = registered.grants.load(ALICE.id, "northwind")
        assert (holding.provider, holding.key, holding.grant) == (PROVIDER, KEY, GRANT)
        assert registered.grants.load(BOB.id, "northwind").grant is None

    def test_several_accounts_have_a_grant_each(self, registered: Stores) -> None:
        later = replace(GRANT, slot="0065a", account=OTHER_ACCOUNT, token_set=b"other")
        for grant in (GRANT, later):
            registered.grants.save(grant, replaces=None)
        assert registered.grants.load(ALICE.id, "northwind", "0065a").grant == later
        assert registered.grants.load(ALICE.id, "northwind").grant == GRANT
        assert {grant.id for grant in registered.grants.of_user(ALICE.id)} == {GRANT.id, later.id}
        page = registered.grants.page("northwind", 1, user_prefix="", limit=9, cursor=None)
        assert sorted(grant.slot for grant in page.grants) == ["", "0065a"]
        assert {grant.token_set for grant in registered.grants.sealed(page.grants)} == {b"encrypted", b"other"}
        whose = [(ALICE.id, ""), (ALICE.id, "0065a"), (ALICE.id, ""), (BOB.id, "")]
        assert sorted(one.slot for one in registered.grants.of_these("northwind", 1, whose)) == ["", "0065a"]
        assert registered.grants.of_these("northwind", 2, whose) == []
        outcome = replace(later, version=2, fence=1)
        registered.grants.spill(outcome, NOW + 60)
        assert registered.grants.spilled(replace(later, fence=1)) == outcome
        assert registered.grants.spilled(replace(GRANT, fence=1)) is None
        registered.grants.bury([grant.removed(NOW) for grant in page.grants], NOW + 60)
        assert all(grant.token_set is None for grant in registered.grants.at(ALICE.id, "northwind", 1))
        registered.grants.delete(replace(later, version=2), ended=2)
        assert [grant.slot for grant in registered.grants.of_user(ALICE.id)] == [""]

    def test_accounts_at_one_provider_are_of_one_generation(self, registered: Stores) -> None:
        others = (replace(GRANT, generation=11), replace(GRANT, provider_id="northwind2"))
        for grant in (GRANT, *others):
            registered.grants.save(grant, replaces=None)
        assert list(registered.grants.at(ALICE.id, "northwind", 1)) == [GRANT]

    def test_the_preferred_account_is_read_along_until_the_generation_ends(self, registered: Stores) -> None:
        assert registered.grants.load(ALICE.id, "northwind").preferred is None
        for slot in ("0065a", ""):
            registered.grants.prefer(ALICE.id, "northwind", 1, slot)
            assert registered.grants.load(ALICE.id, "northwind").preferred == slot
            assert registered.grants.of_user(ALICE.id).preferred == {("northwind", 1): slot}
            assert registered.grants.load(BOB.id, "northwind").preferred is None
        registered.grants.prefer(ALICE.id, "northwind", 2, "0065a")
        assert registered.grants.load(ALICE.id, "northwind").preferred is None
        registered.grants.prefer(ALICE.id, "northwind", 1, None)
        assert registered.grants.of_user(ALICE.id).preferred == {}

    def test_loads_nothing_of_an_unknown_provider(self, stores: Stores) -> None:
        with pytest.raises(NotFound):
            stores.grants.load(ALICE.id, "nobody")

    def test_cannot_load_without_a_key(self, registered: Stores) -> None:
        registered.providers.delete_key("northwind", 1)
        with pytest.raises(KeyUnavailable):
            registered.grants.load(ALICE.id, "northwind")

    def test_a_grant_of_an_ended_generation_is_not_there(self, registered: Stores) -> None:
        registered.grants.save(GRANT, replaces=None)
        registered.grants.load(ALICE.id, "northwind")
        second = replace(KEY, generation=2)
        registered.providers.add_key(second)
        raised = registered.providers.update(replace(PROVIDER, generation=2))
        holding = registered.grants.load(ALICE.id, "northwind")
        assert (holding.provider, holding.key, holding.grant) == (raised, second, None)
        assert list(registered.grants.of_user(ALICE.id)) == [GRANT]

    def test_saves_only_over_the_version_it_was_made_from(self, registered: Stores) -> None:
        registered.grants.save(GRANT, replaces=None)
        with pytest.raises(Conflict):
            registered.grants.save(GRANT, replaces=None)
        second = replace(GRANT, version=2)
        registered.grants.save(second, replaces=1)
        with pytest.raises(Conflict):
            registered.grants.save(replace(GRANT, version=2, scopes=()), replaces=1)
        assert registered.grants.load(ALICE.id, "northwind").grant == second

    def test_deletes_exactly_one_version(self, registered: Stores) -> None:
        registered.grants.save(GRANT, replaces=None)
        with pytest.raises(Conflict):
            registered.grants.delete(replace(GRANT, version=2), ended=2)
        registered.grants.delete(GRANT, ended=1)
        assert not list(registered.grants.of_user(ALICE.id))

    def test_f9_a_delete_that_is_repeated_finds_its_work_done(self, registered: Stores) -> None:
        registered.grants.save(GRANT, replaces=None)
        registered.grants.delete(GRANT, ended=1)
        registered.grants.delete(GRANT, ended=1)
        assert not list(registered.grants.of_user(ALICE.id))

    @pytest.mark.parametrize("end", ["deleted", "deleted by somebody else", "removed", "replaced"])
    def test_r50_what_has_ended_stays_so_when_it_is_put_back(self, registered: Stores, end: str) -> None:
        earlier, last = GRANT, replace(GRANT, version=2)
        registered.grants.save(earlier, replaces=None)
        registered.grants.save(last, replaces=1)
        assert registered.grants.load(ALICE.id, "northwind").ended == 0
        removed, new = last.removed(NOW), replace(GRANT, version=9, account=OTHER_ACCOUNT)
        if end == "removed":
            registered.grants.save(removed, replaces=2, ended=2)
        elif end == "replaced":
            registered.grants.save(new, replaces=2, ended=2)
        else:
            if end != "deleted":
                registered.grants.bury([removed], NOW + 60)
                registered.grants.delete(removed, ended=0)
            registered.grants.delete(last, ended=2)
        for put_back in (earlier, last):
            registered.grants.bury([put_back], NOW + 60)
            holding = registered.grants.load(ALICE.id, "northwind")
            assert (holding.ended, holding.is_put_back) == (2, True)
            assert holding.grant is not None
            assert (holding.grant.state, holding.grant.reason) == (GrantState.REMOVED, GrantReason.PUT_BACK)
            assert (holding.grant.token_set, holding.grant.version) == (None, put_back.version)
        registered.grants.save(new, replaces=2)
        again = registered.grants.load(ALICE.id, "northwind")
        assert (again.grant, again.is_put_back) == (new, False)

    def test_r50_an_end_is_about_one_slot_of_one_person_provider_and_generation(self, registered: Stores) -> None:
        registered.grants.save(GRANT, replaces=None)
        registered.grants.delete(GRANT, ended=GRANT.version)
        others = [replace(GRANT, user_id=BOB.id), replace(GRANT, slot="0065a")]
        for other in others:
            registered.grants.save(other, replaces=None)
            assert registered.grants.load(other.user_id, "northwind", other.slot).grant == other
        registered.providers.add_key(replace(KEY, generation=2))
        registered.providers.update(replace(PROVIDER, generation=2))
        later = replace(GRANT, generation=2)
        registered.grants.save(later, replaces=None)
        assert registered.grants.load(ALICE.id, "northwind").grant == later

    def test_r50_an_end_is_never_taken_back_by_who_comes_late(self, registered: Stores) -> None:
        registered.grants.save(GRANT, replaces=None, ended=5)
        with pytest.raises(Conflict):
            registered.grants.save(replace(GRANT, version=2), replaces=1, ended=4)
        registered.grants.bury([GRANT.removed(NOW)], NOW + 60)
        registered.grants.delete(GRANT.removed(NOW), ended=5)
        registered.grants.delete(GRANT, ended=3)
        assert registered.grants.load(ALICE.id, "northwind").ended == 5

    def test_pages_by_user_name_without_token_sets(self, registered: Stores) -> None:
        grants = [replace(GRANT, user_id=f"S-{n}", user_name=f"CONTOSO\\User{n}") for n in range(5)]
        for grant in reversed(grants):
            registered.grants.save(grant, replaces=None)
        found: list[Grant] = []
        cursor = None
        for expected in (2, 2, 1):
            page = registered.grants.page("northwind", 1, user_prefix="", limit=2, cursor=cursor)
            assert len(page.grants) == expected
            found += page.grants
            cursor = page.next_cursor
        assert cursor is None
        assert found == [listed(grant) for grant in grants]

    def test_a_cursor_works_when_what_was_before_it_is_gone(self, registered: Stores) -> None:
        grants = [replace(GRANT, user_id=f"S-{n}", user_name=f"CONTOSO\\User{n}") for n in range(5)]
        for grant in grants:
            registered.grants.save(grant, replaces=None)
        first = registered.grants.page("northwind", 1, user_prefix="", limit=2, cursor=None)
        registered.grants.bury([grant.removed(NOW) for grant in first.grants], NOW + 60)
        rest = registered.grants.page("northwind", 1, user_prefix="", limit=9, cursor=first.next_cursor)
        assert rest.grants == [listed(grant) for grant in grants[2:]]

    @pytest.mark.parametrize("prefix", ["ali", "ALICE", "contoso\\al", "CONTOSO\\alice"])
    def test_finds_users_by_the_start_of_their_name(self, registered: Stores, prefix: str) -> None:
        fabrikam = replace(GRANT, user_id="S-9", user_name="FABRIKAM\\zed")
        for grant in (GRANT, fabrikam, replace(GRANT, user_id=BOB.id, user_name=BOB.login_name)):
            registered.grants.save(grant, replaces=None)
        page = registered.grants.page("northwind", 1, user_prefix=prefix, limit=10, cursor=None)
        assert page.grants == [listed(GRANT)]

    def test_a_domain_alone_narrows_too(self, registered: Stores) -> None:
        fabrikam = replace(GRANT, user_id="S-9", user_name="FABRIKAM\\alice")
        for grant in (GRANT, fabrikam):
            registered.grants.save(grant, replaces=None)
        page = registered.grants.page("northwind", 1, user_prefix="fabrikam\\", limit=10, cursor=None)
        assert page.grants == [listed(fabrikam)]

    def test_a_domain_far_down_the_list_is_found_on_the_first_page(self, registered: Stores) -> None:
        for n in range(9):
            registered.grants.save(replace(GRANT, user_id=f"S-{n}", user_name=f"CONTOSO\\a{n}"), replaces=None)
        fabrikam = replace(GRANT, user_id="S-z", user_name="FABRIKAM\\zoe")
        registered.grants.save(fabrikam, replaces=None)
        page = registered.grants.page("northwind", 1, user_prefix="fabrikam\\", limit=2, cursor=None)
        assert page.grants == [listed(fabrikam)]

    @pytest.mark.parametrize("cursor", ["not-a-cursor", "%%", "e30"])
    def test_refuses_a_cursor_it_did_not_give_out(self, registered: Stores, cursor: str) -> None:
        with pytest.raises(InvalidRequest):
            registered.grants.page("northwind", 1, user_prefix="", limit=2, cursor=cursor)

    def test_counts_no_further_than_asked(self, registered: Stores) -> None:
        for n in range(7):
            registered.grants.save(replace(GRANT, user_id=f"S-{n}"), replaces=None)
        assert registered.grants.count("northwind", 1, at_most=100) == 7
        assert registered.grants.count("northwind", 1, at_most=5) == 5
        assert registered.grants.count("northwind", 2, at_most=5) == 0

    def test_a_removed_grant_leaves_the_listing_and_stays_for_its_user(self, registered: Stores) -> None:
        grants = [replace(GRANT, user_id=f"S-{n}") for n in range(30)]
        for grant in grants:
            registered.grants.save(grant, replaces=None)
        removed = [grant.removed(NOW) for grant in grants]
        registered.grants.bury(removed[1:], NOW + 60)
        registered.grants.save(removed[0], replaces=1, expires_at=NOW + 60)
        assert registered.grants.count("northwind", 1, at_most=100) == 0
        for user in ("S-0", "S-29"):
            (left,) = registered.grants.of_user(user)
            assert (left.state, left.state_at, left.token_set) == (GrantState.REMOVED, NOW, None)

    def test_the_hour_of_the_last_use_only_rises_and_changes_no_version(self, registered: Stores) -> None:
        registered.grants.save(GRANT, replaces=None)
        hour = NOW // 3600 * 3600
        for at, noted in ((NOW, hour), (NOW + 7200, hour + 7200), (NOW + 3600, hour + 7200)):
            registered.grants.note_use(LastUse(GRANT.user_id, "northwind", 1, "", at))
            grant = registered.grants.load(GRANT.user_id, "northwind").grant
            assert grant is not None
            assert (grant.last_used_at, grant.version) == (noted, GRANT.version)
        page = registered.grants.page("northwind", 1, user_prefix="", limit=9, cursor=None)
        assert [grant.last_used_at for grant in page.grants] == [hour + 7200]

    def test_what_writes_the_grant_at_the_same_moment_wins_and_knows_its_own_write(self, registered: Stores) -> None:
        registered.grants.save(GRANT, replaces=None)
        registered.grants.note_use(LastUse(GRANT.user_id, "northwind", 1, "", NOW))
        refreshed = replace(GRANT, version=GRANT.version + 1)
        registered.grants.save(refreshed, replaces=GRANT.version)
        registered.grants.note_use(LastUse(GRANT.user_id, "northwind", 1, "", NOW))
        grant = registered.grants.load(GRANT.user_id, "northwind").grant
        assert grant is not None
        assert grant.last_used_at is not None
        assert grant == refreshed

    def test_a_use_counts_only_for_the_grant_that_was_used(self, registered: Stores) -> None:
        registered.grants.note_use(LastUse(GRANT.user_id, "northwind", 1, "", NOW))
        assert registered.grants.load(GRANT.user_id, "northwind").grant is None
        later = replace(GRANT, authorized_at=NOW + 1)
        registered.grants.save(later, replaces=None)
        removed = replace(GRANT, slot="b").removed(NOW)
        registered.grants.save(removed, replaces=None)
        for slot in ("", "b", "c"):
            registered.grants.note_use(LastUse(GRANT.user_id, "northwind", 1, slot, NOW))
        assert [grant.last_used_at for grant in registered.grants.of_user(GRANT.user_id)] == [None, None]

    def test_r82_a_lease_is_given_once_and_fences_what_is_written(self, registered: Stores) -> None:
        registered.grants.save(GRANT, replaces=None)
        leased = GRANT.leased(NOW)
        registered.grants.save(leased, replaces=1, fence=0)
        assert registered.grants.load(ALICE.id, "northwind").grant == leased
        with pytest.raises(Conflict):
            registered.grants.save(leased, replaces=1, fence=0)
        stolen = leased.leased(NOW + 60)
        registered.grants.save(stolen, replaces=1, fence=1)
        with pytest.raises(Conflict):
            registered.grants.save(leased.refreshed(NOW + 9, (), NOW), replaces=1, fence=1)
        outcome = stolen.failed(NOW, None, answer_lost=True)
        registered.grants.save(outcome, replaces=1, fence=2)
        assert registered.grants.load(ALICE.id, "northwind").grant == outcome

    def test_keeps_how_often_it_was_refused_and_since_when(self, registered: Stores) -> None:
        registered.grants.save(GRANT, replaces=None)
        refused = GRANT.leased(NOW).refused(NOW + 1, None)
        registered.grants.save(refused, replaces=1)
        loaded = registered.grants.load(ALICE.id, "northwind").grant
        assert loaded == refused
        assert (refused.refusals, refused.refused_since, refused.next_attempt_at) == (1, NOW + 1, NOW + 16)

    def test_f28_an_outcome_does_not_bring_back_what_was_deleted(self, registered: Stores) -> None:
        registered.grants.save(GRANT, replaces=None)
        leased = GRANT.leased(NOW)
        registered.grants.save(leased, replaces=1, fence=0)
        registered.grants.delete(GRANT, ended=1)
        with pytest.raises(Conflict):
            registered.grants.save(leased.refreshed(NOW + 9, (), NOW), replaces=1, fence=1)
        assert registered.grants.load(ALICE.id, "northwind").grant is None

    def test_f10_what_is_kept_aside_belongs_to_one_version_and_lease(self, registered: Stores) -> None:
        leased = GRANT.leased(NOW)
        outcome = leased.refreshed(NOW + 9, ("openid",), NOW)
        assert registered.grants.spilled(leased) is None
        registered.grants.spill(outcome, NOW + 60)
        assert registered.grants.spilled(leased) == outcome
        assert registered.grants.spilled(leased.leased(NOW)) is None
        assert registered.grants.spilled(replace(leased, version=2)) is None
        assert registered.grants.spilled(replace(leased, user_id=BOB.id)) is None

    def test_loads_how_the_cloud_is_doing_along_with_it(self, registered: Stores) -> None:
        assert registered.grants.load(ALICE.id, "northwind").health == ProviderHealth("northwind")
        registered.health.save(ProviderHealth("northwind").failed("a person", NOW, 30))
        assert registered.grants.load(ALICE.id, "northwind").health == registered.health.get("northwind")


class TestProviderHealthStore:
    def test_what_nobody_has_noted_is_well(self, stores: Stores) -> None:
        assert stores.health.get("northwind") == ProviderHealth("northwind")

    def test_several_are_read_at_once_and_those_without_a_note_are_well(self, stores: Stores) -> None:
        stores.health.save(ProviderHealth("northwind").failed("a person", NOW, 30))
        assert stores.health.of_each(["box", "northwind"]) == {
            "box": ProviderHealth("box"),
            "northwind": stores.health.get("northwind"),
        }
        assert stores.health.of_each([]) == {}

    def test_the_second_of_two_notes_is_told(self, stores: Stores) -> None:
        first = ProviderHealth("northwind").misconfigured("invalid_client", 3, NOW)
        stores.health.save(first)
        with pytest.raises(Conflict):
            stores.health.save(first)
        stored = stores.health.get("northwind")
        assert stored == replace(first, version=1)
        stores.health.save(stored.recovered())
        with pytest.raises(Conflict):
            stores.health.save(stored.failed("a person", NOW, None))
        assert stores.health.get("northwind") == ProviderHealth("northwind", version=2)

    def test_keeps_who_failed_and_who_was_refused_in_which_word(self, stores: Stores) -> None:
        health = ProviderHealth("northwind").failed("a", NOW, None).failed("b", NOW, 60)
        health = health.doubted("invalid_request", "a", 3, NOW).doubted("invalid_scope", "b", 3, NOW)
        stores.health.save(health)
        assert stores.health.get("northwind") == replace(health, version=1)


class TestCursorStore:
    @pytest.fixture(params=STORES)
    def cursors(self, request: pytest.FixtureRequest) -> CursorStore:
        if request.param == "fake":
            return FakeCursorStore()
        return DynamoCursorStore(aws_of(request).table("vault"))

    def test_remembers_where_each_function_stopped(self, cursors: CursorStore) -> None:
        assert cursors.get("one") is None
        cursors.put("one", "here")
        cursors.put("two", "there")
        cursors.put("one", "further")
        assert (cursors.get("one"), cursors.get("two")) == ("further", "there")
        cursors.put("one", None)
        assert cursors.get("one") is None


class TestRevocationStore:
    def test_gives_what_is_due_earliest_first(self, stores: Stores) -> None:
        later = replace(REVOCATION, id="rev2", next_attempt_at=NOW + 90)
        for revocation in (later, REVOCATION, replace(REVOCATION, id="rev3", next_attempt_at=NOW + 500)):
            stores.revocations.add(revocation)
        assert list(stores.revocations.due("northwind", NOW + 59)) == []
        assert list(stores.revocations.due("northwind", NOW + 90)) == [REVOCATION, later]

    def test_r99_each_provider_has_a_list_of_its_own(self, stores: Stores) -> None:
        other = replace(REVOCATION, id="rev2", provider_id="box")
        stores.revocations.add_all([REVOCATION, other])
        assert list(stores.revocations.due("northwind", NOW + 60)) == [REVOCATION]
        assert list(stores.revocations.due("box", NOW + 60)) == [other]
        assert list(stores.revocations.due(EARLIER, NOW + 60)) == []

    def test_a_claimed_one_waits(self, stores: Stores) -> None:
        stores.revocations.add(REVOCATION)
        waiting = replace(REVOCATION, attempts=1, next_attempt_at=NOW + 300)
        stores.revocations.claim(waiting)
        assert list(stores.revocations.due("northwind", NOW + 60)) == []
        assert list(stores.revocations.due("northwind", NOW + 300)) == [waiting]

    def test_f41_an_index_that_lags_brings_back_nothing_that_is_put_off_or_done(
        self, stores: Stores, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        done, still = replace(REVOCATION, id="rev2"), replace(REVOCATION, id="rev3")
        stores.revocations.add_all([REVOCATION, done, still])
        query, seen = Table.query, {}

        def as_it_was(table: Table, condition: Condition, **how: Any) -> Any:
            asked = (condition.expression, str(sorted(condition.values.items())), str(how))
            if asked not in seen:
                seen[asked] = query(table, condition, **how)
            return seen[asked]

        monkeypatch.setattr(Table, "query", as_it_was)
        assert len(list(stores.revocations.due("northwind", NOW + 60))) == 3
        stores.revocations.claim(replace(REVOCATION, attempts=1, next_attempt_at=NOW + 300))
        stores.revocations.delete(done.id)
        assert list(stores.revocations.due("northwind", NOW + 60)) == [still]

    def test_f29_of_two_runs_one_claims_it(self, stores: Stores) -> None:
        stores.revocations.add(REVOCATION)
        stores.revocations.claim(replace(REVOCATION, attempts=1, next_attempt_at=NOW + 300))
        with pytest.raises(Conflict):
            stores.revocations.claim(replace(REVOCATION, attempts=1, next_attempt_at=NOW + 400))

    def test_f29_a_finished_one_does_not_come_back(self, stores: Stores) -> None:
        with pytest.raises(Conflict):
            stores.revocations.claim(replace(REVOCATION, attempts=1))
        assert list(stores.revocations.due("northwind", NOW + 60)) == []

    def test_tells_whether_a_generation_still_has_any(self, stores: Stores) -> None:
        stores.revocations.add(REVOCATION)
        assert stores.revocations.any_of("northwind", 1)
        assert not stores.revocations.any_of("northwind", 2)
        stores.revocations.delete("rev1")
        stores.revocations.delete("rev1")
        assert not stores.revocations.any_of("northwind", 1)


def test_revocations_that_the_version_before_wrote_down_are_found_and_counted(aws: Aws) -> None:
    """They are on one list for all providers, until they are claimed."""
    table = aws.table("vault")
    store = DynamoRevocationStore(table)
    store.add(REVOCATION)
    item = table.get({"pk": "REVOCATION#rev1", "sk": "REVOCATION"})
    assert item is not None
    table.put(item | {"listing": "REVOCATIONS"})
    assert list(store.due("northwind", NOW + 60)) == []
    assert list(store.due(EARLIER, NOW + 60)) == [REVOCATION]
    assert store.any_of("northwind", 1)
    assert not store.any_of("northwind", 2)
    waiting = replace(REVOCATION, attempts=1, next_attempt_at=NOW + 300)
    store.claim(waiting)
    assert list(store.due(EARLIER, NOW + 300)) == []
    assert list(store.due("northwind", NOW + 300)) == [waiting]


def test_r94_a_grant_that_cannot_be_read_hides_none_behind_it(aws: Aws, caplog: pytest.LogCaptureFixture) -> None:
    table = aws.table("vault")
    store = DynamoGrantStore(table, aws.table("vault-keys"), aws.table("vault-sessions"))
    store.save(GRANT, replaces=None)
    store.save(replace(GRANT, user_id="S-1-5-21-9", user_name="CONTOSO\\zoe"), replaces=None)
    key = {"pk": f"USER#{GRANT.user_id}", "sk": "GRANT#northwind#1"}
    item = table.get(key)
    assert item is not None
    table.put(item | {"state": "of tomorrow"})
    page = store.page("northwind", 1, user_prefix="", limit=10, cursor=None)
    assert [(grant.user_id, grant.reason) for grant in page.grants] == [
        (GRANT.user_id, GrantReason.UNREADABLE),
        ("S-1-5-21-9", GrantReason.NONE),
    ]
    assert "item.unreadable" in caplog.messages


def test_two_threads_that_learn_of_a_new_generation_disturb_each_other_in_nothing(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The guess that the other one corrects is not taken for one's own: the key that was read is of the old one."""
    vault, keys = aws.table("vault"), aws.table("vault-keys")
    providers = DynamoProviderStore(vault, keys)
    store = DynamoGrantStore(vault, keys, aws.table("vault-sessions"))
    providers.add_key(KEY)
    providers.add(PROVIDER)
    providers.add_key(replace(KEY, generation=2))
    providers.update(replace(PROVIDER, generation=2))
    read = store._read

    def overtaken(*arguments: Any) -> Any:
        found = read(*arguments)
        store._likely_generation["northwind"] = 2
        return found

    monkeypatch.setattr(store, "_read", overtaken)
    assert store.load(GRANT.user_id, "northwind").key.generation == 2


def test_r92_what_was_stored_before_servers_were_noted_is_read_as_it_was(aws: Aws) -> None:
    """Items of the version before, attribute by attribute."""
    client, vault, keys = aws.clients.dynamodb, aws.table("vault"), aws.table("vault-keys")
    providers, held = (
        DynamoProviderStore(vault, keys),
        DynamoGrantStore(vault, keys, aws.table("vault-sessions")),
    )
    ended = replace(PROVIDER, generation=2, removals=(RemovalOrder(1, "r1", True, BY),))
    providers.add_key(replace(KEY, generation=2))
    providers.add(ended)
    held.save(replace(GRANT, generation=2), replaces=None)
    for item in aws.items("vault"):
        for name in ("server", "emptied"):
            if item["sk"]["S"].startswith("GRANT#") or name != "server":
                item.pop(name, None)
        for order in item.get("removals", {"L": []})["L"]:
            order["M"].pop("former", None)
        client.put_item(TableName="vault", Item=item)
    assert providers.all() == [providers.get("northwind")] == [ended]
    stored = held.load(ALICE.id, "northwind").grant
    assert stored == replace(GRANT, generation=2)
    assert "server" not in stored.encryption_context()
    removals = DynamoRemovalStore(vault)
    removals.add(replace(REMOVAL, joined=()))
    (head,) = (item for item in aws.items("vault") if item["sk"]["S"] == "HEAD")
    head.pop("joined")
    client.put_item(TableName="vault", Item=head)
    assert removals.receipt("r1").removal == replace(REMOVAL, joined=())


class TestBounds:
    """However much there is, one request reads a bounded part of it."""

    @pytest.fixture
    def dynamo(self, aws: Aws) -> Stores:
        vault, keys = aws.table("vault"), aws.table("vault-keys")
        made = Stores(
            DynamoProviderStore(vault, keys),
            DynamoGrantStore(vault, keys, aws.table("vault-sessions")),
            DynamoRevocationStore(vault),
            DynamoRemovalStore(vault),
            DynamoProviderHealthStore(vault),
        )
        made.providers.add_key(KEY)
        made.providers.add(PROVIDER)
        for number in range(6):
            domain = "FABRIKAM" if number < 5 else "CONTOSO"
            name = rf"{domain}\alice{number}"
            made.grants.save(replace(GRANT, user_id=f"S-1-5-21-{number}", user_name=name), replaces=None)
        return made

    def all_pages(self, stores: Stores, **how: Any) -> tuple[int, int]:
        """How many pages, and how many grants on them."""
        pages = found = 0
        cursor: str | None = None
        while pages == 0 or cursor is not None:
            page = stores.grants.page("northwind", 1, limit=2, cursor=cursor, **how)
            pages, found, cursor = pages + 1, found + len(page.grants), page.next_cursor
        return pages, found

    def test_a_page_of_one_domain_may_come_out_empty_and_the_next_ones_find_the_rest(
        self, dynamo: Stores, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(grants, "_FILTERED_QUERIES", 1)
        pages, found = self.all_pages(dynamo, user_prefix="CONTOSO\\al")
        assert found == 1
        assert pages > 1

    def test_a_search_for_a_rare_word_ends_and_goes_on(self, dynamo: Stores, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(grants, "_SEARCH_QUERIES", 1)
        monkeypatch.setattr(grants, "_SEARCHED", 2)
        pages, found = self.all_pages(
            dynamo, user_prefix="", matches=lambda grant: grant.user_name.startswith("CONTOSO")
        )
        assert found == 1
        assert pages > 2

    def test_a_provider_whose_tokens_are_removed_all_the_time_is_a_conflict(
        self, dynamo: Stores, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(grants, "_GENERATION_GUESSES", 1)
        dynamo.providers.update(replace(PROVIDER, generation=2))
        with pytest.raises(Conflict):
            dynamo.grants.load(ALICE.id, "northwind")
