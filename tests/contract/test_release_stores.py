"""What every store of aliases and releases does, and the log's lines that exist once."""

from dataclasses import dataclass, replace

import pytest

from chalicelib.adapters.system import SystemRandom
from chalicelib.domain.audit import AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.client_application import Subject
from chalicelib.domain.errors import Conflict
from chalicelib.ports import AuditLog, ClientApplicationStore, GrantStore, ProviderStore, ReleaseStore, UserAliasStore
from chalicelib.stores.audit_log import DynamoAuditLog
from chalicelib.stores.client_applications import DynamoClientApplicationStore
from chalicelib.stores.grants import DynamoGrantStore
from chalicelib.stores.providers import DynamoProviderStore
from chalicelib.stores.releases import DynamoReleaseStore
from chalicelib.stores.user_aliases import DynamoUserAliasStore
from tests.aws import Aws
from tests.fakes.stores import (
    FakeAuditLog,
    FakeClientApplicationStore,
    FakeGrantStore,
    FakeProviderStore,
    FakeReleaseStore,
    FakeUserAliasStore,
)
from tests.fakes.system import FakeClock
from tests.samples import ALICE, APPLICATION, BOB, GRANT, KEY, NOW, PROVIDER

NAMES = ("contoso\\alice", "alice@contoso.example")
EVENT = AuditEvent(AuditTag.TOKEN_RELEASED, Outcome.SUCCESS, "scanner", Origin("request-1", "127.0.0.1"))


@dataclass(frozen=True)
class Stores:
    providers: ProviderStore
    grants: GrantStore
    applications: ClientApplicationStore
    aliases: UserAliasStore
    releases: ReleaseStore
    audit_log: AuditLog


def fakes() -> Stores:
    providers, applications, aliases = FakeProviderStore(), FakeClientApplicationStore(), FakeUserAliasStore()
    grants = FakeGrantStore(providers)
    return Stores(
        providers, grants, applications, aliases, FakeReleaseStore(applications, grants, aliases), FakeAuditLog()
    )


def dynamodb(aws: Aws) -> Stores:
    client, vault, keys = aws.clients.dynamodb, aws.table("vault"), aws.table("vault-keys")
    grants = DynamoGrantStore(client, vault, keys, aws.table("vault-sessions"))
    return Stores(
        DynamoProviderStore(vault, keys),
        grants,
        DynamoClientApplicationStore(client, vault),
        DynamoUserAliasStore(vault),
        DynamoReleaseStore(grants),
        DynamoAuditLog(vault, FakeClock(), SystemRandom()),
    )


@pytest.fixture(params=["fake", "dynamodb"])
def stores(request: pytest.FixtureRequest) -> Stores:
    made = fakes() if request.param == "fake" else dynamodb(request.getfixturevalue("aws"))
    made.providers.add(PROVIDER, KEY)
    made.applications.add(APPLICATION)
    made.aliases.claim(ALICE.id, NAMES)
    made.grants.save(GRANT, replaces=None)
    return made


@pytest.mark.parametrize("name", [*NAMES, ALICE.id])
def test_reads_everything_that_decides(stores: Stores, name: str) -> None:
    for _ in range(2):
        held = stores.releases.load("scanner", "northwind", name)
        assert (held.application, held.owners, held.subject) == (APPLICATION, (ALICE.id,), Subject(ALICE.id))
        assert held.holding == stores.grants.load(ALICE.id, "northwind")


def test_a_name_that_is_claimed_twice_is_nobodys_also_after_it_was_somebodys(stores: Stores) -> None:
    stores.releases.load("scanner", "northwind", NAMES[1])
    stores.aliases.claim(BOB.id, (NAMES[1],))
    stores.aliases.claim(BOB.id, (NAMES[1],))
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
