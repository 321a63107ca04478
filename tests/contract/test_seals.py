"""What every store of seals, every key for them and every source of evidence does."""

from dataclasses import replace

import pytest

from chalicelib.adapters.audit_key import KmsAuditKey
from chalicelib.domain.errors import Conflict, KeyUnavailable
from chalicelib.domain.seal import Seal, StoredEntry
from chalicelib.ports import AuditKey, SealStore
from chalicelib.stores.seals import DynamoSealStore
from tests.aws import Aws
from tests.fakes.audit_key import FakeAuditKey
from tests.fakes.stores import FakeSealStore
from tests.samples import NOW

from .places import STORES, aws_of

ENTRIES = (StoredEntry("2027-01-15T08:00:01#a", "1" * 64), StoredEntry("2027-01-15T08:00:02#b", "2" * 64))
SEAL = Seal(1, "2027-01-15T08:00:00", "2027-01-15T08:05:00", NOW, "", ENTRIES, b"mac")
NEXT = Seal(2, SEAL.end, "2027-01-15T08:10:00", NOW, SEAL.fingerprint(), (), b"mac")


class TestSealStore:
    @pytest.fixture(params=STORES)
    def store(self, request: pytest.FixtureRequest) -> SealStore:
        if request.param == "fake":
            return FakeSealStore()
        aws: Aws = aws_of(request)
        return DynamoSealStore(aws.table("vault"), aws.table("vault-keys"))

    def test_gives_back_what_was_added_in_order(self, store: SealStore) -> None:
        store.add(SEAL)
        store.add(NEXT)
        assert list(store.between("0", "~")) == [SEAL, NEXT]
        assert list(store.between(SEAL.begin, NEXT.begin)) == [SEAL]
        assert list(store.between(NEXT.begin, NEXT.begin)) == []
        assert store.before(NEXT.begin) == SEAL
        assert store.before(SEAL.begin) is None

    def test_a_seal_is_written_once(self, store: SealStore) -> None:
        store.add(SEAL)
        with pytest.raises(Conflict):
            store.add(replace(SEAL, sealed_at=NOW + 1))
        assert list(store.between("0", "~")) == [SEAL]

    def test_knows_where_the_chain_ends(self, store: SealStore) -> None:
        assert store.tip() is None
        store.add(SEAL)
        store.add(NEXT)
        assert store.tip() == NEXT.tip()


class TestAuditKey:
    @pytest.fixture(params=["fake", "kms"])
    def key(self, request: pytest.FixtureRequest) -> AuditKey:
        if request.param == "fake":
            return FakeAuditKey()
        aws: Aws = aws_of(request)
        return KmsAuditKey(aws.clients.kms, aws.audit_key)

    def test_knows_its_own_codes_only(self, key: AuditKey) -> None:
        mac = key.mac(b"message")
        assert key.is_valid(b"message", mac)
        assert not key.is_valid(b"another", mac)
        assert not key.is_valid(b"message", mac[:-1] + b"x")
        assert not key.is_valid(b"message", b"")


def test_a_key_that_cannot_be_used_is_said_as_such(aws: Aws) -> None:
    with pytest.raises(KeyUnavailable):
        KmsAuditKey(aws.clients.kms, aws.kms_key).mac(b"message")
    with pytest.raises(KeyUnavailable):
        KmsAuditKey(aws.clients.kms, "no-such-key").is_valid(b"message", b"mac")


def test_the_end_of_the_chain_is_known_when_the_seals_are_gone(aws: Aws) -> None:
    store = DynamoSealStore(aws.table("vault"), aws.table("vault-keys"))
    store.add(SEAL)
    aws.clients.dynamodb.delete_item(TableName="vault", Key={"pk": {"S": "SEALS"}, "sk": {"S": SEAL.begin}})
    assert store.tip() == SEAL.tip()


def test_the_end_of_the_chain_is_known_when_the_run_died_before_it_was_noted(aws: Aws) -> None:
    store = DynamoSealStore(aws.table("vault"), aws.table("vault-keys"))
    store.add(SEAL)
    (noted,) = aws.items("vault-keys")
    store.add(NEXT)
    aws.clients.dynamodb.put_item(TableName="vault-keys", Item=noted)
    assert store.tip() == NEXT.tip()


@pytest.mark.parametrize(
    "odd",
    [{"entries": {"S": "x"}}, {"entries": {"L": [{"S": "a b c"}]}}, {"number": {"S": "one"}}, {"mac": {"N": "-1"}}],
)
def test_a_seal_that_cannot_be_read_has_no_number_and_no_mac(aws: Aws, odd: dict[str, dict[str, object]]) -> None:
    store = DynamoSealStore(aws.table("vault"), aws.table("vault-keys"))
    store.add(SEAL)
    (item,) = aws.items("vault")
    aws.clients.dynamodb.put_item(TableName="vault", Item=item | odd)
    (seal,) = store.between("0", "~")
    assert (seal.number, seal.begin, seal.mac) == (0, SEAL.begin, b"")
