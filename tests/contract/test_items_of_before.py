"""What people have stored: each kind of item as version 0.1.0 (commit c03c96e) wrote it is read as what it was then.

`items_of_before.json` has the items of its tables as DynamoDB held them, binary values in Base64. They were written
through the stores of that commit, on moto, in every form that these have, and stay as they are. A field that is new
since needs a default (`items.load`, `later`): without it this test fails, and people would lose what they have.
"""

import json
import logging
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from chalicelib.domain.administrators import Appointment, Appointments
from chalicelib.domain.audit import AuditEvent, AuditTag, Origin, Outcome, Period
from chalicelib.domain.client_application import (
    AccessRule,
    ApplicationKey,
    ClientApplication,
    SubjectMode,
    TrustedIssuer,
    Whose,
)
from chalicelib.domain.event import Channel, Delivery, Event, EventKind, MailsSent
from chalicelib.domain.grant import GrantReason, GrantState, RefreshLease
from chalicelib.domain.provider_health import ProviderHealth
from chalicelib.domain.removal import CloudReceipt, Everything, Receipt, Removal, RemovalOrder, RemovalScope
from chalicelib.domain.seal import Seal, StoredEntry
from chalicelib.domain.session import Notice, NoticeKind
from chalicelib.domain.stop import Block, Stop, StopKind
from chalicelib.domain.user import AliasClaim, Departure, SweepProgress, UserRecord
from chalicelib.ports import EARLIER
from tests.aws import TABLES, Aws
from tests.samples import (
    ADMINISTRATOR,
    ALICE,
    APPLICATION,
    BOB,
    GRANT,
    KEY,
    NOW,
    PROVIDER,
    REQUEST,
    REVOCATION,
    SESSION,
)

from .stores import Stores

SLOT = "006b49d200abc"
ITEMS: dict[str, list[dict[str, Any]]] = json.loads((Path(__file__).parent / "items_of_before.json").read_text())

NORTHWIND = replace(
    PROVIDER, generation=2, removals=(RemovalOrder(1, "r1", revoke=True, by=ADMINISTRATOR),), removed_at=NOW,
    fields={"issuer": "https://cloud.example"}, visible_to=("S-1-5-32",), secret_ends_at=NOW + 86400,
    has_older_secret=True, authorize_again_since=NOW - 60,
)  # fmt: skip
OTHER = replace(PROVIDER, id="other", name="Other Cloud")
FAILING = replace(
    GRANT, generation=2, state=GrantState.FAILING, reason=GrantReason.CLOUD_UNAVAILABLE, refreshed_at=NOW, fence=3,
    lease=RefreshLease(NOW, NOW + 15), failures=2, next_attempt_at=NOW + 60, unknown_since=NOW, is_renewable=False,
)  # fmt: skip
SECOND = replace(GRANT, generation=2, slot=SLOT)
REMOVED = replace(
    GRANT, user_id=BOB.id, user_name=BOB.login_name, generation=2, state=GrantState.REMOVED,
    reason=GrantReason.REMOVED_BY_ADMINISTRATOR, token_set=None,
)  # fmt: skip
LEFT = UserRecord(replace(ALICE, password_stamp="p1"), NOW + 60, 2, Departure.DISABLED, NOW, keeps_tokens=True)
MAILER = ClientApplication(
    "mailer", "Mailer", SubjectMode.IDENTITY_PROVIDER, NOW,
    (ApplicationKey("k1", "ES256", {"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}, NOW, NOW + 60),),
    "arn:aws:iam::123456789012:role/mailer",
    TrustedIssuer("https://idp.example", "https://idp.example/jwks", "mailer-app", "upn"),
    (AccessRule("northwind", ("openid",), Whose(False, frozenset({"S-1-5-32"}), frozenset({ALICE.id})),
                ("10.0.0.0/8",)),),
    60, 100, False, "limit_calls", NOW, "CONTOSO\\admin",
)  # fmt: skip
HEALTH = ProviderHealth(
    "northwind", failures=5, failing_since=NOW, open_until=NOW + 30, misconfigured_error="invalid_client",
    misconfigured_version=2, misconfigured_until=NOW + 60, version=1,
)  # fmt: skip
# Stamped with the version of the grant then
NEEDS = replace(
    Event.of_grant(EventKind.GRANT_NEEDS_REAUTHORIZATION, replace(GRANT, slot="s"), PROVIDER, NOW),
    stamp=GRANT.version,
    sequence=0,
)
FROZEN = Event.of_client(APPLICATION, "calls", NOW)
REMOVAL = Removal(
    "r1", RemovalScope.PROVIDER, True, ADMINISTRATOR, NOW, "northwind", "Northwind Cloud", (("northwind", 1),)
)
SIGNED_IN = replace(
    SESSION, by_openid=True, was_appointed=True, open_requests=("x",),
    notice=Notice("n", NoticeKind.REVOKED, {"a": "b"}, NOW),
)  # fmt: skip
SEAL = Seal(
    1, "2027-01-15T08:00:00", "2027-01-15T08:05:00", NOW, "", (StoredEntry("2027-01-15T08:01:00.entry", "d" * 64),),
    b"mac",
)  # fmt: skip
CHANGED = AuditEvent(
    AuditTag.PROVIDER_CHANGED, Outcome.SUCCESS, ADMINISTRATOR.id, Origin("r", "192.0.2.1", "Firefox"), ALICE.id,
    "northwind", {"changed": "name"}, ADMINISTRATOR.name, ALICE.login_name,
)  # fmt: skip
DAY = date(2027, 1, 15)


def plain(value: Any) -> Any:
    """An attribute value as boto3 takes it."""
    if isinstance(value, dict):
        return {name: b64decode(one) if name == "B" and isinstance(one, str) else plain(one)
                for name, one in value.items()}  # fmt: skip
    return [plain(one) for one in value] if isinstance(value, list) else value


@pytest.fixture
def stores(aws: Aws) -> Stores:
    for table in TABLES:
        for item in ITEMS[table]:
            aws.clients.dynamodb.put_item(TableName=table, Item=plain(item))
    return Stores(aws)


def consumed(stores: Stores) -> Any:
    return stores.requests.consume(
        REQUEST.state_hash, user_id=ALICE.id, flow_hash=REQUEST.flow_hash, provider_id="northwind", now=NOW
    )


def listed(stores: Stores) -> list[Any]:
    page = stores.grants.page("northwind", 2, user_prefix="", limit=9, cursor=None)
    return sorted((grant.slot, grant.state, grant.version, grant.account) for grant in page.grants)


READ: list[tuple[str, Callable[[Stores], Any], Any]] = [
    ("providers", lambda s: s.providers.all(), [NORTHWIND, OTHER]),
    ("provider", lambda s: s.providers.get("northwind"), NORTHWIND),
    ("nothing was removed altogether", lambda s: s.providers.everything(), Everything()),
    ("provider key", lambda s: s.providers.key("northwind", 2), replace(KEY, generation=2)),
    ("holding", lambda s: s.grants.load(ALICE.id, "northwind").grant, FAILING),
    ("default account", lambda s: s.grants.load(ALICE.id, "northwind").preferred, SLOT),
    ("grants", lambda s: s.grants.of_user(ALICE.id).grants, (FAILING, SECOND)),
    ("tombstone", lambda s: s.grants.of_user(BOB.id).grants, (REMOVED,)),
    ("last use", lambda s: s.grants.of_user(ALICE.id).grants[0].last_used_at, NOW),
    ("list of grants", listed, sorted((g.slot, g.state, g.version, g.account) for g in (FAILING, SECOND))),
    ("spilled grant", lambda s: s.grants.spilled(replace(GRANT, fence=1)), replace(GRANT, version=2, fence=1)),
    ("user", lambda s: s.users.get(ALICE.id), LEFT),
    ("users", lambda s: s.users.present(limit=9, cursor=None).users, [UserRecord(BOB, NOW + 60, 1)]),
    ("departed", lambda s: s.users.departed(limit=9, cursor=None).users, [LEFT]),
    ("sweep", lambda s: s.users.progress(), SweepProgress(NOW, NOW + 3, "cursor", 100)),
    ("alias", lambda s: s.aliases.claims("contoso\\bob"), (AliasClaim(BOB.id),)),
    ("alias of two", lambda s: s.aliases.claims("alice@contoso.example"), (AliasClaim(ALICE.id), AliasClaim(BOB.id))),
    ("release", lambda s: s.releases.load("scanner", "northwind", "contoso\\bob").holding.grant, REMOVED),  # type: ignore[union-attr]
    ("release by the default account", lambda s: s.releases.load("scanner", "northwind", ALICE.id).holding.grant,  # type: ignore[union-attr]
     SECOND),
    ("applications", lambda s: s.applications.all(), [MAILER, APPLICATION]),
    ("stops", lambda s: s.stops.all(),
     [Stop(StopKind.PROVIDER, "northwind", "their incident", NOW, ADMINISTRATOR, "Northwind Cloud")]),
    ("blocks", lambda s: s.stops.blocks(ALICE.id), [Block(ALICE.id, "scanner", NOW)]),
    ("health", lambda s: s.health.get("northwind"), HEALTH),
    ("revocations", lambda s: list(s.revocations.due(EARLIER, NOW + 60)),
     [replace(REVOCATION, slot=SLOT, removal_id="r1")]),
    ("deliveries", lambda s: {delivery.channel: delivery for delivery in s.outbox.due(None, NOW)},
     {Channel.PERSON: Delivery(NEEDS, Channel.PERSON, NOW), Channel.BUS: Delivery(FROZEN, Channel.BUS, NOW)}),
    ("mails sent", lambda s: s.outbox.mails_sent("northwind"),
     MailsSent("northwind", {EventKind.GRANT_FAILING: (NOW, "e1")}, 1)),
    ("receipt", lambda s: s.removals.receipt("r1"),
     Receipt(REMOVAL, (CloudReceipt("northwind", removed=2, asked=1),))),
    ("removals", lambda s: s.removals.recent(limit=9), [REMOVAL]),
    ("administrators", lambda s: s.administrators.get(),
     Appointments((Appointment(ALICE.id, False, "CONTOSO\\alice", NOW, ADMINISTRATOR),), 1)),
    ("session", lambda s: s.sessions.get(SESSION.id_hash), SIGNED_IN),
    ("sessions", lambda s: s.sessions.of_user(BOB.id), [replace(SESSION, id_hash="e" * 64, user=BOB)]),
    ("authorization request", consumed, replace(REQUEST, slot=SLOT, is_test=True)),
    ("cursor", lambda s: s.cursors.get("keep-alive"), "here"),
    ("seals", lambda s: list(s.seals.between("0", "9")), [SEAL]),
    ("end of the seals", lambda s: s.seals.tip(), SEAL.tip()),
    ("audit log", lambda s: [entry.event for entry in s.audit_log.entries(Period(DAY, DAY))], [CHANGED]),
    ("audit log of a person", lambda s: [entry.event for entry in s.audit_log.of_user(ALICE.id)], [CHANGED]),
    ("tries", lambda s: s.tries.waiting("alice", limit=2, seconds=60, now=NOW), 60),
    ("known browser", lambda s: s.tries.known_accounts("f" * 64, NOW), frozenset({ALICE.id})),
    ("calls", lambda s: s.usage.add_call("minute", NOW + 60), 2),
]  # fmt: skip


@pytest.mark.parametrize(("read", "was"), [pytest.param(read, was, id=name) for name, read, was in READ])
def test_r94_what_the_version_before_stored_is_read_as_what_it_was(
    stores: Stores, read: Callable[[Stores], Any], was: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    assert read(stores) == was
    assert "item.unreadable" not in caplog.messages
