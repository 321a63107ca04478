"""Somebody who can write the tables, but has no right to the key, changes the past: the verification names it."""

from collections.abc import Callable
from datetime import date
from typing import Any

import pytest
from botocore.exceptions import ClientError

from chalicelib.domain import seal as domain
from chalicelib.domain.audit import AuditEvent, AuditTag, Origin, Outcome, Period
from chalicelib.domain.seal import Fault, FaultKind
from chalicelib.services import audit_seals
from chalicelib.services.audit_seals import Anchor, SealService, Verification
from chalicelib.services.background import RESERVE_SECONDS
from chalicelib.stores import audit_log

from .conftest import Running

Item = dict[str, Any]
EVENT = AuditEvent(AuditTag.LOGIN, Outcome.SUCCESS, "S-1", Origin("request-1", "192.0.2.7"), "S-1")
SETTLED = domain.SETTLE_SECONDS + domain.WINDOW_SECONDS


@pytest.fixture
def seals(few_shards: None, running: Running) -> SealService:
    return running.vault.seals


class Tables:
    """The tables as an intruder sees them."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._client = running.aws.clients.dynamodb

    def entries(self) -> list[Item]:
        """The entries of a log-in, in the order of time."""
        items = self._running.aws.items("vault")
        found = [item for item in items if item["pk"]["S"].startswith("AUDIT#") and item["tag"]["S"] == EVENT.tag]
        return sorted(found, key=lambda item: str(item["sk"]["S"]))

    def seals(self) -> list[Item]:
        items = [item for item in self._running.aws.items("vault") if item["pk"]["S"] == "SEALS"]
        return sorted(items, key=lambda item: str(item["sk"]["S"]))

    def put(self, item: Item) -> None:
        self._client.put_item(TableName="vault", Item=item)

    def delete(self, item: Item) -> None:
        self._client.delete_item(TableName="vault", Key={key: item[key] for key in ("pk", "sk")})

    def edit_the_tip(self, **changes: str) -> None:
        key = {"pk": {"S": "AUDIT-SEALS"}}
        tip = self._client.get_item(TableName="vault-keys", Key=key)["Item"]
        self._client.put_item(TableName="vault-keys", Item=tip | {name: {"S": text} for name, text in changes.items()})

    def forget_the_tip(self) -> None:
        self._client.delete_item(TableName="vault-keys", Key={"pk": {"S": "AUDIT-SEALS"}})


@pytest.fixture
def tables(running: Running, seals: SealService) -> Tables:
    """Ten entries in an hour, every window of it sealed."""
    seals.seal_due()
    for _ in range(10):
        running.clock.advance(400)
        running.vault.audit._audit_log.record(EVENT)
    running.clock.advance(SETTLED)
    assert seals.seal_due() > 10
    assert seals.verify().faults == []
    return Tables(running)


def place(item: Item) -> str:
    day = item["pk"]["S"].split("#")[1]
    return f"{day}T{item['sk']['S']}"


def kinds(result: Verification) -> list[FaultKind]:
    return [fault.kind for fault in result.faults]


class TestTampering:
    def test_r71_nothing_is_found_where_nothing_was_done(self, seals: SealService, tables: Tables) -> None:
        result = seals.verify()
        assert result.faults == []
        assert (result.seals, result.tip and result.tip.number) == (len(tables.seals()), len(tables.seals()))
        assert result.entries >= 10

    @pytest.mark.parametrize(
        "change",
        [
            {"outcome": {"S": "failure"}},
            {"actor": {"S": "S-2"}},
            {"facts": {"M": {"cause": {"S": "x"}}}},
            {"at": {"N": "1"}},
            {"expires_at": {"N": "1"}},
            {"odd": {"SS": ["a"]}},
            {"odd": {"NULL": True}},
            {"odd": {"B": b"x"}},
        ],
    )
    def test_r71_an_edited_entry_is_named(self, seals: SealService, tables: Tables, change: Item) -> None:
        victim = tables.entries()[4]
        tables.put(victim | change)
        assert seals.verify().faults == [Fault(FaultKind.ENTRY_CHANGED, place(victim))]

    def test_r71_a_deleted_entry_is_named(self, seals: SealService, tables: Tables) -> None:
        victim = tables.entries()[4]
        tables.delete(victim)
        assert seals.verify().faults == [Fault(FaultKind.ENTRY_MISSING, place(victim))]

    def test_r71_only_what_is_past_its_time_may_be_gone(
        self, running: Running, seals: SealService, tables: Tables
    ) -> None:
        first, second = tables.entries()[:2]
        written = int(first["at"]["N"])
        assert int(first["expires_at"]["N"]) == written + 400 * 86400
        tables.delete(first)
        running.clock.advance(written + 400 * 86400 - running.clock.now())
        assert Fault(FaultKind.ENTRY_MISSING, place(first)) in seals.verify().faults
        running.clock.advance(1)
        assert Fault(FaultKind.ENTRY_MISSING, place(first)) not in seals.verify().faults
        tables.delete(second)
        assert Fault(FaultKind.ENTRY_MISSING, place(second)) in seals.verify().faults

    def test_r71_an_added_entry_is_named(self, seals: SealService, tables: Tables) -> None:
        added = tables.entries()[4] | {"sk": {"S": "08:30:00#forged"}}
        tables.put(added)
        assert seals.verify().faults == [Fault(FaultKind.ENTRY_ADDED, place(added))]

    def test_r71_a_copy_in_another_shard_is_named(self, seals: SealService, tables: Tables) -> None:
        victim = tables.entries()[4]
        day, shard = victim["pk"]["S"].rsplit("#", 1)
        tables.put(victim | {"pk": {"S": f"{day}#{(int(shard) + 1) % audit_log.SHARDS}"}})
        assert seals.verify().faults == [Fault(FaultKind.ENTRY_ADDED, place(victim))]

    def test_r71_swapped_entries_are_named(self, seals: SealService, tables: Tables) -> None:
        one, two = tables.entries()[2], tables.entries()[7]
        keys = ("pk", "sk")
        tables.put(one | {key: two[key] for key in keys})
        tables.put(two | {key: one[key] for key in keys})
        expected = [Fault(FaultKind.ENTRY_CHANGED, place(one)), Fault(FaultKind.ENTRY_CHANGED, place(two))]
        assert seals.verify().faults == expected

    def test_r71_a_moved_entry_is_named_where_it_was_and_where_it_is(self, seals: SealService, tables: Tables) -> None:
        victim = tables.entries()[2]
        moved = victim | {"sk": {"S": "08:40:00#moved"}}
        tables.delete(victim)
        tables.put(moved)
        assert set(seals.verify().faults) == {
            Fault(FaultKind.ENTRY_MISSING, place(victim)),
            Fault(FaultKind.ENTRY_ADDED, place(moved)),
        }

    def test_r71_a_dropped_seal_is_named(self, seals: SealService, tables: Tables) -> None:
        dropped = tables.seals()[4]
        tables.delete(dropped)
        expected = Fault(FaultKind.SEAL_MISSING, dropped["sk"]["S"], dropped["end"]["S"])
        assert seals.verify().faults == [expected]

    def test_r71_the_first_seals_cannot_be_dropped_either(self, seals: SealService, tables: Tables) -> None:
        for item in tables.seals()[:3]:
            tables.delete(item)
        assert kinds(seals.verify()) == [FaultKind.SEAL_MISSING]

    def test_r71_a_tail_that_was_cut_off_is_named(self, seals: SealService, tables: Tables) -> None:
        kept, *gone = tables.seals()[-4:]
        for item in (*gone, tables.entries()[-1]):
            tables.delete(item)
        expected = Fault(FaultKind.SEAL_MISSING, kept["end"]["S"], gone[-1]["end"]["S"])
        assert seals.verify().faults == [expected]

    def test_r71_a_tail_that_was_cut_off_is_not_sealed_again(
        self, running: Running, seals: SealService, tables: Tables
    ) -> None:
        for item in (*tables.seals()[-4:], tables.entries()[-1]):
            tables.delete(item)
        running.clock.advance(SETTLED)
        assert seals.seal_due() > 0
        assert kinds(seals.verify()) == [FaultKind.SEAL_MISSING]

    def test_r71_seals_that_are_all_gone_are_missed(self, seals: SealService, tables: Tables) -> None:
        for item in tables.seals():
            tables.delete(item)
        assert kinds(seals.verify()) == [FaultKind.SEAL_MISSING]

    def test_r71_an_edited_seal_is_named(self, seals: SealService, tables: Tables) -> None:
        victim, seal = tables.entries()[4], tables.seals()
        tables.delete(victim)
        (holding,) = [item for item in seal if any(place(victim) in entry["S"] for entry in item["entries"]["L"])]
        tables.put(holding | {"entries": {"L": []}})
        assert seals.verify().faults == [Fault(FaultKind.SEAL_CHANGED, holding["sk"]["S"], holding["end"]["S"])]

    def test_r71_seals_in_another_order_are_named(self, seals: SealService, tables: Tables) -> None:
        one, two = tables.seals()[3:5]
        tables.put(one | {"sk": two["sk"]})
        tables.put(two | {"sk": one["sk"]})
        result = seals.verify()
        assert result.faults[0] == Fault(FaultKind.SEAL_CHANGED, one["sk"]["S"], two["end"]["S"])
        assert len(result.faults) == 2

    def test_r71_a_seal_that_is_there_twice_is_named(self, seals: SealService, tables: Tables) -> None:
        (before, seal, *_) = seals._seals.between("0", "~")
        assert domain.chain_fault(before.tip(), seal) is None
        again = Fault(FaultKind.SEAL_OUT_OF_ORDER, seal.begin, seal.end)
        assert domain.chain_fault(seal.tip(), seal) == again

    def test_r71_an_end_of_the_chain_that_was_edited_is_named(self, seals: SealService, tables: Tables) -> None:
        last = tables.seals()[-1]
        tables.edit_the_tip(fingerprint="0" * 64)
        assert seals.verify().faults == [Fault(FaultKind.SEAL_CHANGED, last["sk"]["S"], last["end"]["S"])]

    def test_r71_a_seal_of_another_key_is_no_seal(self, running: Running, tables: Tables, seals: SealService) -> None:
        kms = running.aws.clients.kms
        other = kms.create_key(KeyUsage="GENERATE_VERIFY_MAC", KeySpec="HMAC_256")["KeyMetadata"]["Arn"]
        victim = tables.seals()[5]
        (seal,) = seals._seals.between(victim["sk"]["S"], victim["end"]["S"])
        mac = kms.generate_mac(KeyId=other, Message=seal.message(), MacAlgorithm="HMAC_SHA_256")["Mac"]
        tables.put(victim | {"mac": {"B": mac}})
        assert kinds(seals.verify()) == [FaultKind.SEAL_CHANGED]

    def test_r71_a_chain_that_was_made_anew_differs_from_what_was_noted_elsewhere(
        self, running: Running, seals: SealService, tables: Tables
    ) -> None:
        noted = seals.verify().tip
        assert noted
        # Somebody who writes both tables and waits for the next run
        for item in (*tables.seals(), tables.entries()[4]):
            tables.delete(item)
        tables.forget_the_tip()
        running.clock.advance(SETTLED)
        seals.seal_due()
        running.clock.advance(20 * domain.WINDOW_SECONDS)
        seals.seal_due()
        assert seals.verify().faults == []
        assert kinds(seals.verify(anchor=Anchor(noted.number, noted.fingerprint))) == [FaultKind.SEAL_CHANGED]


class TestSealing:
    def test_f29_sealing_twice_is_as_sealing_once(self, seals: SealService, tables: Tables) -> None:
        before = tables.seals()
        assert seals.seal_due() == 0
        assert tables.seals() == before

    def test_a_window_is_sealed_when_nobody_can_write_into_it_any_more(
        self, running: Running, seals: SealService
    ) -> None:
        seals.seal_due()
        # 08:00: the window up to 07:45 is open until 08:01
        running.clock.advance(59)
        assert seals.seal_due() == 0
        running.clock.advance(1)
        assert seals.seal_due() == 1

    def test_f27_r100_after_a_long_pause_it_catches_up_in_bounded_runs(
        self, running: Running, seals: SealService, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        seals.seal_due()
        running.clock.advance(5 * 3600)
        assert kinds(seals.verify()) == [FaultKind.NOT_SEALED]
        add = seals._seals.add
        monkeypatch.setattr(seals._seals, "add", lambda seal: (running.clock.sleep(1), add(seal)))
        left = audit_seals.BUDGET.piece_seconds + RESERVE_SECONDS + 25
        assert seals.seal_due(left) == 25
        behind = [record.__dict__["seconds"] for record in caplog.records if record.getMessage() == "audit.lag"]
        assert behind[-1] - behind[0] > 2.5 * 3600
        assert seals.seal_due() >= 35
        assert seals.verify().faults == []

    def test_f27_a_run_that_died_before_noting_the_end_is_carried_on(
        self, running: Running, seals: SealService, tables: Tables
    ) -> None:
        tables.forget_the_tip()
        running.clock.advance(300)
        assert seals.seal_due() == 1
        assert seals.verify().faults == []

    def test_f29_the_slower_of_two_runs_leaves_the_seal_to_the_other(
        self, running: Running, seals: SealService, tables: Tables, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        tip = seals._seals.tip()
        running.clock.advance(300)
        seals.seal_due()
        before = tables.seals()
        monkeypatch.setattr(seals._seals, "tip", lambda: tip)
        assert seals.seal_due() == 0
        assert tables.seals() == before

    def test_a_window_with_very_many_entries_gets_several_seals(
        self, running: Running, seals: SealService, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seals.seal_due()
        monkeypatch.setattr(audit_seals, "MAX_ENTRIES", 3)
        for _ in range(11):
            running.vault.audit._audit_log.record(EVENT)
        running.clock.advance(SETTLED)
        seals.seal_due()
        result = seals.verify()
        assert result.faults == []
        sizes = [len(item["entries"]["L"]) for item in Tables(running).seals()]
        assert max(sizes) == 3
        assert sum(sizes) >= 11

    def test_midnight_is_a_time_like_others(self, running: Running, seals: SealService) -> None:
        running.clock.advance(15 * 3600)
        seals.seal_due()
        for _ in range(40):
            running.clock.advance(150)
            running.vault.audit._audit_log.record(EVENT)
        running.clock.advance(SETTLED)
        seals.seal_due()
        result = seals.verify()
        assert (result.faults, result.entries) == ([], 40)

    def test_an_entry_that_comes_late_is_noticed_by_the_next_runs_and_recorded(
        self, running: Running, seals: SealService, tables: Tables, caplog: pytest.LogCaptureFixture
    ) -> None:
        late = tables.entries()[-1] | {"sk": {"S": "09:06:00#late"}}
        tables.put(late)
        for _ in range(20):
            running.clock.advance(300)
            seals.seal_due()
        found = running.audit_tags().count(AuditTag.AUDIT_TAMPERED)
        assert found == 1
        assert "audit.tampered" in caplog.messages

    def test_r54_without_the_key_nothing_is_sealed_and_nothing_is_lost(
        self,
        running: Running,
        seals: SealService,
        tables: Tables,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        def disabled(**_: object) -> None:
            raise ClientError({"Error": {"Code": "DisabledException", "Message": "no"}}, "GenerateMac")

        running.clock.advance(300)
        with monkeypatch.context() as broken:
            broken.setattr(running.aws.clients.kms, "generate_mac", disabled)
            assert seals.seal_due() == 0
        assert "background.failed" in caplog.messages
        assert seals.seal_due() == 1
        assert seals.verify().faults == []


class TestPeriods:
    @pytest.fixture
    def two_days(self, running: Running, seals: SealService) -> Callable[[int, int], Period]:
        """Sealed from the 15th, 22:00, to the 16th, 02:00."""
        running.clock.advance(14 * 3600)
        seals.seal_due()
        for _ in range(4 * 12):
            running.clock.advance(300)
            seals.seal_due()
        return lambda first, last: Period(date(2027, 1, first), date(2027, 1, last))

    def test_a_part_can_be_verified_alone(self, seals: SealService, two_days: Callable[[int, int], Period]) -> None:
        everything = seals.verify()
        parts = [seals.verify(two_days(day, day)) for day in (15, 16)]
        assert [part.faults for part in parts] == [[], []]
        assert sum(part.seals for part in parts) == everything.seals
        assert seals.verify(two_days(15, 20)).faults == []

    def test_days_without_seals_are_said_to_be_so(
        self, seals: SealService, two_days: Callable[[int, int], Period]
    ) -> None:
        result = seals.verify(two_days(10, 12))
        assert result.faults == [Fault(FaultKind.NOT_SEALED, "2027-01-10T00:00:00", "2027-01-13T00:00:00")]

    def test_the_first_seal_of_a_day_must_follow_the_last_one_of_the_day_before(
        self, running: Running, seals: SealService, two_days: Callable[[int, int], Period]
    ) -> None:
        tables = Tables(running)
        (midnight,) = [item for item in tables.seals() if item["sk"]["S"] == "2027-01-16T00:00:00"]
        tables.delete(midnight)
        assert kinds(seals.verify(two_days(16, 16))) == [FaultKind.SEAL_MISSING]


def test_before_the_first_run_nothing_is_sealed(seals: SealService) -> None:
    result = seals.verify()
    assert (kinds(result), result.seals, result.tip) == ([FaultKind.NOT_SEALED], 0, None)
