"""Every page in every state, with sample data: to be looked at, and to prove that each template renders.

python -m tests.browser.gallery FOLDER
python -m http.server --bind 127.0.0.1 --directory FOLDER
"""

import shutil
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from chalicelib.adapters.catalogue import FileCatalogue
from chalicelib.domain.administrators import Appointment
from chalicelib.domain.audit import Actor, AuditFilter, AuditTag, Origin, Outcome
from chalicelib.domain.authorization_request import ConsentProblem
from chalicelib.domain.client_application import Subject
from chalicelib.domain.directory_report import Step, StepName
from chalicelib.domain.errors import LoginRefused
from chalicelib.domain.event import Channel, Delivery, Event, EventKind
from chalicelib.domain.grant import GrantReason, GrantState, RevocationOutcome
from chalicelib.domain.mail import OPTIONAL, MailRefusal, MailStanding, RefusalKind
from chalicelib.domain.odd_item import OddKind
from chalicelib.domain.personal_data import KINDS
from chalicelib.domain.provider_report import CLOUD_ADVICE, CloudStep
from chalicelib.domain.release import Obstacle
from chalicelib.domain.removal import CloudReceipt, Removal, RemovalScope
from chalicelib.domain.sign_in import SignInFailed, SignInProblem
from chalicelib.domain.sign_in_kinds import PRESETS, ProviderKind
from chalicelib.domain.stop import StopKind
from chalicelib.domain.token_exchange import RefusalReason
from chalicelib.domain.user import Departure
from chalicelib.routes.departures import BACK_FROM_APPROVAL
from chalicelib.routes.provider_views import type_view
from chalicelib.services.people import Person
from chalicelib.web.pages import (
    AbsenceDialog,
    ActivityItem,
    AuditFilterForm,
    AuditRow,
    AuthorizedDialog,
    ClientRow,
    ClientView,
    CloudRow,
    ConsentFailedDialog,
    DeleteClientDialog,
    DeleteProviderDialog,
    DeveloperView,
    DirectoryView,
    ErrorView,
    FormView,
    HeldAccount,
    KeyRow,
    LeaverDialog,
    LeaverRow,
    ListPart,
    OddDialog,
    OddList,
    OwnApplicationRow,
    ProviderCard,
    ProviderChoice,
    ProviderDialog,
    ProviderRow,
    ProviderView,
    ReachRow,
    ReachView,
    ReceiptView,
    RemoveDialog,
    RemovedNotice,
    RemoveKeyDialog,
    RemoveRuleDialog,
    RevokedDialog,
    RevokeDialog,
    RuleRow,
    SessionRow,
    StepsView,
    StopDialog,
    StopRow,
    StoredKindRow,
    TestConsentView,
    TokenFilter,
    TokenRow,
    TokenTable,
    Viewer,
)
from chalicelib.web.render import Renderer
from tests.samples import GRANT, PROVIDER

NONCE = "gallery"
NOW = 1_795_408_920
DAY = 24 * 3600

ALICE = Viewer("Alice Adams", "CONTOSO\\alice", is_administrator=False, csrf="csrf-token")
ADMIN = Viewer("Adele Administratorsdottir", "CONTOSO\\adele", is_administrator=True, csrf="csrf-token")

OFFERED = ProviderCard(
    "northwind",
    "Northwind Cloud",
    "OpenID Connect",
    scopes=("Know who you are", "See your e-mail address", "Read and write your files", "Work while you are away"),
    is_revocable=True,
    side_effect="Northwind ends every authorization that this account gave to any client of the same project.",
    account_page="https://northwind.example/account",
)
CONNECTED = replace(
    OFFERED,
    state=GrantState.ACTIVE,
    account="alice@contoso.example",
    since=NOW - 40 * DAY,
    last_used_at=NOW // 3600 * 3600,
)
FAILING = replace(CONNECTED, id="fabrikam", name="Fabrikam Documents", state=GrantState.FAILING)
REMOVED = replace(
    OFFERED,
    id="box",
    name="Box",
    type_name="Box",
    state=GrantState.REMOVED,
    reason=GrantReason.REMOVED_BY_ADMINISTRATOR,
    account="alice@contoso.example",
    removed_at=NOW - 2 * DAY,
)
WITHOUT_REVOCATION = replace(
    CONNECTED,
    id="mail",
    name="Microsoft 365 for the whole Contoso group of companies",
    type_name="Microsoft 365",
    account="a.very.long.address.of.alice.adams@engineering.contoso-international.example",
)
MISCONFIGURED = replace(CONNECTED, id="refused", name="Tailspin Files", is_misconfigured=True)
BROKEN = tuple(
    replace(CONNECTED, id=f"broken-{reason}", name="Tailspin", state=GrantState.NEEDS_REAUTHORIZATION, reason=reason)
    for reason in GrantReason
    if reason not in (GrantReason.REMOVED_BY_ADMINISTRATOR, GrantReason.PROVIDER_CHANGED, GrantReason.PUT_BACK)
)
SEVERAL = replace(
    CONNECTED,
    id="several",
    name="Adventure Works",
    others=(
        replace(CONNECTED, id="several", slot="1", account="scans@contoso.example", since=NOW - 3 * DAY),
        replace(BROKEN[1], id="several", slot="2", account="a.very.long.address.of.alice.adams@mail.example"),
        replace(REMOVED, id="several", slot="3", account="archive@contoso.example"),
    ),
)
MANY = (CONNECTED, *(replace(OFFERED, id=f"cloud-{n}", name=f"Cloud {n}") for n in range(1, 13)))
CARDS = (
    CONNECTED,
    SEVERAL,
    replace(OFFERED, id="dropbox", name="Dropbox"),
    WITHOUT_REVOCATION,
    FAILING,
    BROKEN[0],
    REMOVED,
    replace(REMOVED, id="moved", name="Fourth Coffee", reason=GrantReason.PROVIDER_CHANGED),
    replace(REMOVED, id="back", name="Wide World Importers", reason=GrantReason.PUT_BACK),
)


def _row(number: int, **changes: Any) -> TokenRow:
    name = f"CONTOSO\\person{number:03}"
    account = f"person{number:03}@contoso.example"
    row = TokenRow(f"northwind.S-1-5-21-1-2-3-{1100 + number}", name, account, GrantState.ACTIVE, NOW - 9 * DAY)
    return replace(row, **changes)


ROWS = (
    _row(1, refreshed_at=NOW - 4000, last_used_at=NOW // 3600 * 3600),
    _row(2, last_used_at=NOW // 3600 * 3600 - 12 * DAY),
    _row(3, state=GrantState.NEEDS_REAUTHORIZATION, refreshed_at=NOW - 8 * DAY),
    _row(4, state=GrantState.FAILING, account="a.very.long.address.of.person.four@engineering.contoso.example"),
)
TABLES = (
    TokenTable("northwind", "Northwind Cloud", ROWS, next_cursor="abc"),
    TokenTable("box", "Box", (replace(ROWS[0], id="box.S-1-5-21-1-2-3-1101"),), is_first_page=False),
    TokenTable("dropbox", "Dropbox", ()),
)
SESSIONS = (
    SessionRow("a1", "Firefox on Windows", NOW - 1200, NOW - 20, is_current=True),
    SessionRow("b2", "Safari on iPhone", NOW - DAY, NOW - 3000, is_current=False),
    SessionRow("c3", "Unknown browser", NOW - 2 * DAY, NOW - DAY, is_current=False),
)


WINDOWS = Origin("7f3c9a52-0b1e-4f7d-9d55-1f2f0c6c1d11", "203.0.113.7", "Chrome on Windows")
IN_BACKGROUND = Origin("-", "background")


def _entry(number: int, tag: AuditTag, outcome: Outcome = Outcome.SUCCESS, **changes: Any) -> AuditRow:
    alice = ("S-1-5-21-1-2-3-1101", "CONTOSO\\alice")
    row = AuditRow(NOW - number * 4007, tag, outcome, *alice, *alice, "Northwind Cloud", WINDOWS, ())
    return replace(row, **changes)


AUDIT_ROWS = (
    _entry(
        0,
        AuditTag.GRANT_REMOVED,
        actor_id="S-1-5-21-1-2-3-1103",
        actor="CONTOSO\\adele",
        facts=(("account", "a.very.long.address.of.alice.adams@engineering.contoso-international.example"),),
    ),
    _entry(1, AuditTag.PROVIDER_TOKENS_REMOVED, user_id="", user="", facts=(("generation", "2"),)),
    _entry(2, AuditTag.LOGIN, Outcome.FAILURE, actor_id="", actor="", user_id="", user="", provider=""),
    _entry(3, AuditTag.REVOCATION_RETRIED, actor_id="", actor="", origin=IN_BACKGROUND, facts=(("attempts", "2"),)),
    *(_entry(number, tag) for number, tag in enumerate(AuditTag, 4)),
)
ACCOUNT = {"account": "alice@contoso.example"}


def _act(number: int, tag: AuditTag, outcome: Outcome = Outcome.SUCCESS, **changes: Any) -> ActivityItem:
    provider = "" if tag.startswith("session.") else "Northwind Cloud"
    item = ActivityItem(NOW - number * 4007, tag, outcome, provider, by_other=False, origin=WINDOWS, facts={})
    return replace(item, **changes)


ACTIVITY = (
    _act(0, AuditTag.GRANT_REMOVED, by_other=True, facts=ACCOUNT),
    _act(1, AuditTag.REVOCATION_RETRIED, by_other=True, origin=IN_BACKGROUND),
    _act(2, AuditTag.REVOCATION_RETRIED, Outcome.FAILURE, by_other=True, origin=IN_BACKGROUND),
    *(_act(3, AuditTag.GRANT_REVOKED, facts=ACCOUNT | {"cloud": outcome}) for outcome in RevocationOutcome),
    _act(4, AuditTag.GRANT_AUTHORIZED, facts=ACCOUNT | {"account_changed": "true"}),
    _act(5, AuditTag.GRANT_AUTHORIZED, facts=ACCOUNT | {"account_changed": "false"}),
    *(_act(6, AuditTag.CONSENT_FAILED, Outcome.FAILURE, facts={"problem": problem}) for problem in ConsentProblem),
    _act(7, AuditTag.SESSION_ENDED, facts={"count": "1"}),
    _act(8, AuditTag.SESSION_ENDED, facts={"count": "3"}),
    _act(8, AuditTag.SESSION_ENDED, by_other=True, facts={"count": "2", "cause": "disabled"}),
    _act(9, AuditTag.INTEGRITY_VIOLATED, Outcome.FAILURE),
    _act(9, AuditTag.TOKEN_RELEASED, actor="Scan server", facts=ACCOUNT | {"reason": "nightly filing"}),
    *(
        _act(9, AuditTag.TOKEN_REFUSED, Outcome.FAILURE, actor="Scan server", facts={"code": reason.value})
        for reason in RefusalReason
    ),
    *(
        _act(
            9,
            AuditTag.TOKEN_REFUSED,
            Outcome.FAILURE,
            actor="Scan server",
            facts={"code": "blocked", "stopped": kind.value, "reason": "nightly filing"},
        )
        for kind in StopKind
    ),
    _act(9, AuditTag.CLIENT_BLOCKED, facts={"client": "scanner"}),
    _act(9, AuditTag.CLIENT_UNBLOCKED, facts={"client": "scanner"}),
    _act(9, AuditTag.RELEASES_STOPPED, by_other=True),
    _act(9, AuditTag.RELEASES_RESUMED, by_other=True),
    _act(10, AuditTag.LOGIN_CONFIRMED),
    _act(11, AuditTag.LOGIN),
    _act(12, AuditTag.LOGOUT),
)


def _audit(**changes: Any) -> dict[str, Any]:
    return {
        "filter": AuditFilterForm("2026-11-17", "2026-11-23", AuditFilter()),
        "tags": tuple(AuditTag),
        "outcomes": tuple(Outcome),
        "providers": (ProviderChoice("northwind", "Northwind Cloud"),),
        "rows": AUDIT_ROWS,
        "next_cursor": "2026-11-23T04:22:00#abc",
        "searched_to": None,
        "is_first_page": True,
    } | changes


SEARCHED = AuditFilterForm("2026-11-01", "2026-11-23", AuditFilter("alice", "adele", AuditTag.GRANT_REMOVED))


STORED_KINDS = tuple(StoredKindRow(kind.name, kind.of_people, kind.kept.replace("`", "")) for kind in KINDS)
OWN_PAGES = ("providers.html", "sessions.html", "activity.html", "applications.html", "personal_data.html")


def _activity(**changes: Any) -> dict[str, Any]:
    return {"items": ACTIVITY, "next_cursor": None, "is_first_page": True} | changes


def _providers(dialog: ProviderDialog | None = None, cards: tuple[ProviderCard, ...] = CARDS) -> dict[str, Any]:
    shown = {"cards": cards, "total": len(cards), "search": ""}
    return {**shown, "dialog": dialog, "groups_not_named_at": ""}


def _tokens(**changes: Any) -> dict[str, Any]:
    providers = tuple(ProviderChoice(table.provider_id, table.provider_name) for table in TABLES)
    ordinary = {
        "filter": TokenFilter(),
        "person": None,
        "states": tuple(GrantState)[:3],
        "providers": providers,
        "tables": TABLES,
        "part": ListPart(),
        "dialog": None,
        "notice": None,
    }
    return ordinary | changes


BOX = {"target_id": "box", "target_name": "Box", "confirm": "Box"}
BOB = Person("S-1-5-21-1-2-3-1105", "CONTOSO\\bob", Subject("S-1-5-21-1-2-3-1105"))
ADELE = Actor("S-1-5-21-1-2-3-1100", "CONTOSO\\adele")
ODD_WAITING = (
    OddList(OddKind.REVOCATION, ("Wm9vbSBpcyBub3QgYSBjbG91ZA", "c2Vjb25kIG9uZSBvZiBpdHMga2luZA"), 30),
    OddList(OddKind.DELIVERY, ("RXZlbnQgb2YgYSBncmFudA/person",), 1),
)
REMOVALS = (
    Removal("r1", RemovalScope.EVERYTHING, revoke=True, by=ADELE, at=NOW - 600, ended=(("northwind", 1),)),
    Removal("r2", RemovalScope.PROVIDER, False, ADELE, NOW - DAY, "box", "Box"),
    Removal("r3", RemovalScope.PERSON, True, ADELE, NOW - 2 * DAY, BOB.id, BOB.name),
    Removal("r4", RemovalScope.TOKENS, True, ADELE, NOW - 3 * DAY),
    Removal("r5", RemovalScope.TOKENS, True, ADELE, NOW - 3 * DAY, people=(BOB.name,)),
    Removal("r6", RemovalScope.TOKENS, True, ADELE, NOW - 3 * DAY, people=(BOB.name, "CONTOSO\\alice", "x", "y")),
)
GROUP = "CN=Vault Helpdesk,OU=Groups,DC=contoso,DC=example"
APPOINTMENTS = (
    Appointment("S-1-5-21-1004336348-1177238915-682003330-1605", True, GROUP, NOW - DAY, ADELE),
    Appointment(BOB.id, False, BOB.name, NOW - 9 * DAY, ADELE),
)


def _administrators(**changes: Any) -> dict[str, Any]:
    groups = ("S-1-5-21-1004336348-1177238915-682003330-1601",)
    return {"groups": groups, "entries": APPOINTMENTS, "form": FormView({}), "problem": ""} | changes


CLOUDS = (
    CloudRow("Northwind Cloud", CloudReceipt("northwind", 12400, 12390, 8120, 3, 0, 10), 1000, is_more=True),
    CloudRow("Box", CloudReceipt("box", 3, not_offered=3)),
    CloudRow("Fabrikam", CloudReceipt("fabrikam", 1204)),
)


UNDER_WAY = (
    *CLOUDS[:2],
    CloudRow("Tailspin", CloudReceipt("tailspin", 7, 5, 5)),
    CloudRow("Wingtip", CloudReceipt("wingtip"), is_waiting=True),
)


LEAVERS = (
    LeaverRow("S-1-5-21-1-2-3-1108", "CONTOSO\\leo", "Leo Leaver", Departure.DISABLED, NOW - DAY, NOW + 29 * DAY, 2),
    LeaverRow(
        "S-1-5-21-1-2-3-1109",
        "CONTOSO\\dora",
        "Dora Deleted",
        Departure.DELETED,
        NOW - 9 * DAY,
        None,
        0,
    ),
    LeaverRow("S-1-5-21-1-2-3-1110", "CONTOSO\\olga", "Olga Outside", Departure.NOT_ALLOWED, NOW - DAY, None, 3),
)
DC1, DC2 = "ldaps://dc1.contoso.example:636", "ldaps://dc2.fabrikam.example:636"
CERTIFICATE = "commonName=dc1.contoso.example; issued by commonName=Contoso Root CA; valid until Jan 14 2028"
GOOD_STEPS = (
    Step(StepName.SERVERS, "", DC1, 0.1),
    Step(StepName.CONNECTION, "", "10.1.2.3", 1.2, DC1),
    Step(StepName.CERTIFICATE, "", CERTIFICATE, 3.4, DC1),
    Step(StepName.CLOCK, "", "+1 s", 0.9),
    Step(StepName.BIND, "", "CONTOSO\\svc-vault", 4.1),
    Step(StepName.BASE, "", "DC=contoso,DC=example", 0.8),
    Step(StepName.LOCKOUT, "", "after 5 wrong passwords, forgotten after 30 minutes", 0.7),
)
BAD_STEPS = (
    Step(StepName.SERVERS, "", f"{DC2} ldaps://dc3.fabrikam.example:636", 0.1),
    Step(StepName.CERTIFICATE, "certificate_expired", "certificate has expired", 5.2, DC2),
    Step(StepName.CONNECTION, "port_closed", "", 0.4, "ldaps://dc3.fabrikam.example:636"),
)
TESTED = (
    Step(StepName.NAME, "", "CONTOSO\\dora CN=Dora Disabled,OU=People,DC=contoso,DC=example", 1.1),
    Step(StepName.CONNECTION, "", "10.1.2.3", 1.2, DC1),
    Step(StepName.CERTIFICATE, "", CERTIFICATE, 3.4, DC1),
    Step(StepName.BIND, "disabled", "data 533", 4.4),
)


def _leavers(**changes: Any) -> dict[str, Any]:
    shown = {"rows": LEAVERS, "next_cursor": "next", "is_first_page": True, "checked_at": NOW - 60, "dialog": None}
    return shown | {"doubted": []} | changes


def _directory(*results: StepsView) -> dict[str, Any]:
    contoso = DirectoryView("CONTOSO", "active-directory", (DC1,), "CONTOSO\\svc-vault", ("domain", "upn"), 3, 30)
    fabrikam = DirectoryView("FABRIKAM", "active-directory", (), "", ("domain",), 10, 30)
    return {"directories": (contoso, fabrikam), "results": results, "user_name": "CONTOSO\\dora" if results else ""}


STOP = StopRow(StopKind.APPLICATION, "mailer", "Mail poller", "Its laptop was lost", NOW - 3 * 3600, "CONTOSO\\adele")
CLIENTS = (
    ClientRow("archive-robot", "Archive robot", 0, has_role=True, providers=("Northwind Cloud", "Box")),
    ClientRow("mailer", "Mail poller", 1, has_role=False, providers=("Northwind Cloud",), stop=STOP),
    ClientRow("new", "New application", 0, has_role=False, providers=()),
    ClientRow("scanner", "Scan server", 2, has_role=True, providers=("Northwind Cloud",)),
)
KEY_ROWS = (
    KeyRow("2026-01", "ES256", "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs", NOW - 300 * DAY, None, is_usable=True),
    KeyRow(
        "HbL5lLIXYw2rGm3zvZm7mA5RGc0GVqYb1w8Gr5mYx0A",
        "PS256",
        "cn-I_WNMClehiVp51i_0VpOENW1upEerA8sEam5hn-s",
        NOW - 2 * DAY,
        NOW + 363 * DAY,
        is_usable=True,
    ),
    KeyRow("old", "RS256", "PQqPN6ZqFvdfBcSSpm4GS6oBAhqWkS_8aJX8oWqEOLw", NOW - 400 * DAY, NOW - DAY, is_usable=False),
)
OPEN_RULE = RuleRow(0, "Northwind Cloud", None)
NARROW_RULE = RuleRow(
    1,
    "Box",
    ("openid", "email", "https://graph.example/files.readwrite.all"),
    everybody=False,
    groups=("S-1-5-21-1004336348-1177238915-682003330-1603",),
    users=("CONTOSO\\alice", "CONTOSO\\bob"),
    sources=("10.1.0.0/16", "2001:db8:85a3::/48"),
)
CLIENT = ClientView(
    CLIENTS[3],
    7,
    NOW - 300 * DAY,
    "arn:aws:iam::123456789012:role/scanner",
    "",
    "",
    "",
    1200,
    None,
    KEY_ROWS,
    (OPEN_RULE, NARROW_RULE),
)
UNFINISHED = ClientView(CLIENTS[2], 1, NOW - 60, "", "", "", "", None, None, (), ())
WITH_ISSUER = replace(
    UNFINISHED,
    row=CLIENTS[1],
    version=3,
    created_at=NOW - DAY,
    issuer="https://login.contoso.example",
    issuer_audience="mail-poller",
    user_claim="upn",
    keys=KEY_ROWS[:1],
    rules=(OPEN_RULE,),
)
VAULT = "https://vault.contoso.example"


def _clients(**changes: Any) -> dict[str, Any]:
    providers = (ProviderChoice("northwind", "Northwind Cloud"), ProviderChoice("box", "Box"))
    shown = {
        "rows": CLIENTS,
        "providers": providers,
        "search": {},
        "problem": "",
        "found": None,
        "everything": None,
        "odd": (),
    }
    return shown | changes


def _client(client: ClientView, **changes: Any) -> dict[str, Any]:
    key = client.keys[0] if client.keys else None
    return {
        "client": client,
        "developer": DeveloperView(VAULT, client.row.id, key, "northwind"),
        "providers": (ProviderChoice("northwind", "Northwind Cloud"),),
        "dialog": None,
        "is_outdated": False,
    } | changes


TWO_ACCOUNTS = ("alice@contoso.example", "archive@contoso.example")


def _found(*rows: ReachRow, accounts: tuple[str, ...] = ("alice@contoso.example",)) -> ReachView:
    held = tuple(HeldAccount(label, ("openid", "email")) for label in accounts)
    return ReachView("CONTOSO\\alice", "Northwind Cloud", held, rows)


SEARCH = {"user": "CONTOSO\\alice", "provider": "northwind"}
NEW_FORM = FormView({"subject_mode": "self_asserted"})
WRONG_FORM = FormView(
    {
        "name": "Scan server",
        "id": "Scan Server",
        "role_arn": "arn:aws:iam::1:user/x",
        "subject_mode": "identity_provider",
    },
    {
        "name": "Another application has this name. Please choose another one.",
        "id": "The id must be 1 to 64 of a-z, 0-9, _ and -, and begin with a-z or 0-9.",
        "keys": "That is a private key. It was not stored, but it has left the application: please make a new pair.",
        "role_arn": "That is no ARN of an IAM role, such as arn:aws:iam::123456789012:role/scanner.",
        "issuer": "The discovery document of this issuer could not be read.",
        "issuer_audience": "Please give the audience (“aud”) that its tokens for this application have.",
    },
)
OUTDATED_FORM = FormView(
    {"name": "Scan server 2", "role_arn": "", "subject_mode": "self_asserted"},
    is_outdated=True,
    stored={"name": "Scan server", "role_arn": "arn:aws:iam::123456789012:role/scanner"},
)


def _client_form(form: FormView, client: ClientView | None = None) -> dict[str, Any]:
    return {"form": form, "client": client}


def _rule_form(form: FormView, number: str = "") -> dict[str, Any]:
    return {
        "form": form,
        "client": CLIENT,
        "provider": ProviderChoice("northwind", "Northwind Cloud"),
        "scopes": ("openid", "profile", "email", "offline_access"),
        "number": number,
    }


EMPTY_RULE = FormView(
    {"users": "CONTOSO\\nobody"},
    {
        "ceiling": "Please choose how far a token may reach: some scopes, or all that is authorized.",
        "whose": "Please choose whose tokens: everybody’s, or those of groups or people you name.",  # noqa: RUF001
        "users": "Line 1: Nobody is known by this name.",
        "sources": "A source is an address or a CIDR block such as 10.1.0.0/16, one a line.",
    },
)
FULL_RULE = FormView(
    {
        "ceiling": "chosen",
        "whose": "chosen",
        "users": "CONTOSO\\alice",
        "more_scopes": "files",
        "sources": "10.1.0.0/16",
    },
    chosen=frozenset({"openid", "email"}),
)
STOPS = (
    StopRow(
        StopKind.EVERYTHING, "-", "-", "Incident 4711: a build server was broken into", NOW - 600, "CONTOSO\\adele"
    ),
    STOP,
    StopRow(StopKind.PERSON, "S-1-5-21-1-2-3-1101", "CONTOSO\\alice", "Laptop lost", NOW - DAY, "CONTOSO\\adele"),
    StopRow(StopKind.PROVIDER, "box", "Box", "Box reports an incident of its own", NOW - DAY, ""),
)


def _stops(*rows: StopRow, form: FormView | None = None, dialog: StopDialog | None = None) -> dict[str, Any]:
    choices = (ProviderChoice("northwind", "Northwind Cloud"),)
    return {"rows": rows, "applications": choices, "providers": choices, "form": form or FormView({}), "dialog": dialog}


LOST = Event.of_grant(EventKind.GRANT_NEEDS_REAUTHORIZATION, GRANT, PROVIDER, NOW - 4 * DAY)
UNDELIVERED = (
    Delivery(LOST, Channel.BUS, NOW, 9, error="EventBridge: ResourceNotFoundException"),
    Delivery(LOST, Channel.PERSON, NOW, 9, error="SES: MessageRejected"),
    Delivery(
        replace(LOST, kind=EventKind.PROVIDER_MISCONFIGURED, user_id="", user_name=""), Channel.ADMINISTRATORS, NOW
    ),
)


def _mail(
    refusal: MailRefusal | None = None, *, address: str = "alice@contoso.example", is_on: bool = True
) -> dict[str, Any]:
    standing = MailStanding(refusal, frozenset({EventKind.GRANT_FAILING}))
    return {"is_on": is_on, "address": address, "standing": standing, "optional": OPTIONAL}


OWN = (
    OwnApplicationRow("archive-robot", "Archive robot", ("Northwind Cloud", "Box"), NOW - 300, "Box", None),
    OwnApplicationRow("mailer", "Mail poller", ("Northwind Cloud",), NOW - DAY, "Northwind Cloud", NOW - 3600),
    OwnApplicationRow(
        "old", "Old robot that was deleted", (), NOW - 9 * DAY, "Northwind Cloud", None, is_registered=False
    ),
    OwnApplicationRow("scanner", "Scan server", ("Northwind Cloud",), None, "", None),
)
HINT = "DOMAIN\\USERNAME"


TYPES = {type_.id: type_view(type_) for type_ in FileCatalogue().all()}
PROVIDER_ROW = ProviderRow("microsoft-365-k2v9x0ab", "Microsoft 365", "Microsoft 365", True, 1000, are_more=True)
PROVIDER_ROWS = (
    PROVIDER_ROW,
    ProviderRow(
        "google-1", "Gmail for the service desk", "Google", True, 12, is_for_groups=True,
        secret_ends_at=NOW + 20 * 86400, secret_ends_soon=True,
    ),
    ProviderRow("box-1", "Box", "Box", True, 1, error="invalid_client"),
    ProviderRow("slack-1", "Slack", "Slack", True, 40, failing_since=NOW - 900),
    ProviderRow("northwind", "Northwind Cloud", "OpenID Connect", False, 0),
)  # fmt: skip
PROVIDER_VIEW = ProviderView(
    row=PROVIDER_ROW,
    type=TYPES["microsoft-365"],
    redirect_uri="https://vault.contoso.example/oauth/callback/microsoft-365-k2v9x0ab",
    client_id="6731de76-14a6-49ae-97bc-6eba6914391e",
    fields=(("cloud", "login.microsoftonline.com"), ("tenant", "contoso.example")),
    scopes=("openid", "profile", "email", "offline_access", "Files.ReadWrite"),
    groups=("S-1-5-21-1004336348-1177238915-682003330-1603",),
    has_older_secret=True,
    authorize_again_since=NOW - 86400,
    version=3,
)
CLOUD_TESTED = StepsView(
    "What the test found",
    (
        Step(CloudStep.ADDRESSES, detail="graph.microsoft.com, login.microsoftonline.com", milliseconds=41.2),
        Step(CloudStep.DISCOVERY, milliseconds=88.0, server="https://login.microsoftonline.com/contoso.example/v2.0"),
        Step(CloudStep.PKCE, detail="S256"),
        Step(CloudStep.CLIENT, "client_refused", "invalid_client: AADSTS7000222", 120.5, advices=CLOUD_ADVICE),
    ),
)


def _provider(**changes: Any) -> dict[str, Any]:
    shown = {"provider": PROVIDER_VIEW, "result": None, "consent": None, "dialog": None, "is_outdated": False}
    return {"viewer": ADMIN} | shown | changes


def _provider_form(type_id: str, form: FormView, version: int = 0) -> dict[str, Any]:
    uri = f"https://vault.contoso.example/oauth/callback/{type_id}-k2v9x0ab"
    shown = {"type": TYPES[type_id], "id": f"{type_id}-k2v9x0ab", "redirect_uri": uri, "form": form}
    return {"viewer": ADMIN, "version": version} | shown


EMPTY_PROVIDER = FormView({"name": "", "whose": "everybody", "grants": "again", "field_tenant": "organizations"})
WRONG_PROVIDER = FormView(
    {"name": "Northwind Cloud", "whose": "groups", "groups": "everyone", "field_issuer": "http//id"},
    {
        "name": "There is a provider of this name already. Please choose another one.",
        "field_issuer": "“Issuer” must be an address, such as https://id.example.com.",
        "client_secret": "Please give the client secret.",
        "groups": "This is neither a group's SID nor its distinguished name: everyone",
    },
)
MOVED_PROVIDER = FormView(
    {"name": "Box", "client_id": "another", "whose": "everybody", "grants": "again", "revoke_old": "on"},
    {
        "end_grants": "Tokens belong to the server and client that issued them, and one of these is another one now. "
        "1,204 stored authorizations would end.",
        "client_secret": "The client or its server is another one now: please give the secret again.",
    },
)
OUTDATED_PROVIDER = FormView(
    {"name": "My name", "client_id": "a", "whose": "everybody", "grants": "leave"},
    is_outdated=True,
    stored={"name": "Their name", "client_id": "a"},
)


APPROVAL = "https://northwind.example/tenant/adminconsent?client_id=a&state=approval"


def _login(**changes: Any) -> dict[str, Any]:
    form = {"csrf": "csrf-token", "user_name": "", "user_name_hint": HINT, "error": "", "info": ""}
    form |= {"sign_in_name": "", "sign_out_url": "", "code": "", "approval_url": ""}
    return {"viewer": None} | form | changes


def _confirm(**changes: Any) -> dict[str, Any]:
    page = {"viewer": ADMIN, "login_name": "CONTOSO\\adele", "sign_in_name": "", "error": "", "next": "tokens"}
    return page | {"before_again": ""} | changes


def _going(name: str, *, is_sign_in: bool = False) -> dict[str, Any]:
    url = "https://northwind.example/authorize?client_id=a&state=b"
    return {"provider_name": name, "url": url, "is_sign_in": is_sign_in}


def _error(status: int, message: str, code: str, viewer: Viewer | None = ALICE) -> dict[str, Any]:
    return {"viewer": viewer, "error": ErrorView(status, message, code, "7f3c9a52-0b1e-4f7d-9d55-1f2f0c6c1d11")}


def _remove(**changes: Any) -> dict[str, Any]:
    return _tokens(dialog=RemoveDialog(**{"scope": RemovalScope.TOKENS} | changes))


def _outcomes() -> dict[str, tuple[str, dict[str, Any]]]:
    """One page for each outcome that the domain knows, so a new one without a sentence is noticed."""
    problems = {
        f"consent_failed_{problem}": ("providers.html", _providers(ConsentFailedDialog(card, problem)))
        for problem in ConsentProblem
        for card in [OFFERED if problem is ConsentProblem.EXPIRED else CONNECTED]
    }
    needed = ConsentFailedDialog(CONNECTED, ConsentProblem.APPROVAL_NEEDED, "AADSTS90094", APPROVAL)
    problems["consent_failed_approval_needed"] = ("providers.html", _providers(needed))
    revoked = {
        f"revoked_{outcome}": ("providers.html", _providers(RevokedDialog(OFFERED, "alice@contoso.example", outcome)))
        for outcome in RevocationOutcome
    }
    return problems | revoked


PAGES: dict[str, tuple[str, dict[str, Any]]] = {
    "login": ("login.html", _login()),
    "login_refused": (
        "login.html",
        _login(user_name="CONTOSO\\alice", error=LoginRefused.message),
    ),
    "login_ended": ("login.html", _login(info="Your session has ended. Please log in again.")),
    "login_two_ways": ("login.html", _login(sign_in_name="Microsoft")),
    "login_openid": ("login.html", _login(sign_in_name="Microsoft", user_name_hint="")),
    "login_openid_failed": (
        "login.html",
        _login(sign_in_name="Microsoft", error=SignInFailed(SignInProblem.UNAVAILABLE, "Microsoft").message),
    ),
    "login_openid_approval": (
        "login.html",
        _login(
            sign_in_name="Microsoft",
            user_name_hint="",
            error=SignInFailed(SignInProblem.APPROVAL_NEEDED, "Microsoft").message,
            code="AADSTS90094",
            approval_url=APPROVAL,
        ),
    ),
    "login_openid_not_assigned": (
        "login.html",
        _login(
            sign_in_name="Microsoft",
            error=SignInFailed(SignInProblem.NOT_ASSIGNED, "Microsoft").message,
            code="AADSTS50105",
        ),
    ),
    "login_signed_out": (
        "login.html",
        _login(
            sign_in_name="Microsoft",
            info="You are signed out of the vault.",
            sign_out_url="https://northwind.example/logout",
        ),
    ),
    "confirm": ("confirm.html", _confirm()),
    "confirm_refused": ("confirm.html", _confirm(error=LoginRefused.message)),
    "confirm_openid": ("confirm.html", _confirm(login_name="adele@contoso.example", sign_in_name="Microsoft")),
    "confirm_google": (
        "confirm.html",
        _confirm(sign_in_name="Google", before_again=PRESETS[ProviderKind.GOOGLE].before_again),
    ),
    "confirm_openid_failed": (
        "confirm.html",
        _confirm(sign_in_name="Microsoft", error=SignInFailed(SignInProblem.NOT_ANEW, "Microsoft").message),
    ),
    "going": ("going.html", _going("Northwind Cloud")),
    "going_sign_in": ("going.html", _going("Microsoft", is_sign_in=True)),
    "providers": ("providers.html", _providers()),
    "providers_administrator": ("providers.html", _providers() | {"viewer": ADMIN}),
    "providers_broken": ("providers.html", _providers(cards=(MISCONFIGURED, *BROKEN))),
    "providers_back_from_approval": ("providers.html", _providers() | {"info": BACK_FROM_APPROVAL}),
    "providers_groups_not_named": ("providers.html", _providers() | {"groups_not_named_at": "Microsoft"}),
    "providers_empty": ("providers.html", _providers(cards=())),
    "providers_many": ("providers.html", _providers(cards=MANY)),
    "providers_searched": ("providers.html", _providers(cards=MANY[:2]) | {"total": 47, "search": "cloud 1"}),
    "providers_not_found": ("providers.html", _providers(cards=()) | {"total": 47, "search": "nothing"}),
    "authorized": ("providers.html", _providers(AuthorizedDialog(CONNECTED, "alice@contoso.example"))),
    "authorized_other": (
        "providers.html",
        _providers(AuthorizedDialog(CONNECTED, "alice@contoso.example", "alice.private@mail.example")),
    ),
    "authorized_other_without_revocation": (
        "providers.html",
        _providers(AuthorizedDialog(WITHOUT_REVOCATION, "alice@contoso.example", "alice.private@mail.example")),
    ),
    "authorized_already": (
        "providers.html",
        _providers(AuthorizedDialog(SEVERAL, "alice@contoso.example", was_connected=True)),
    ),
    "revoke_default": ("providers.html", _providers(RevokeDialog(SEVERAL, "scans@contoso.example"))),
    "revoke": ("providers.html", _providers(RevokeDialog(CONNECTED))),
    "revoke_without_revocation": ("providers.html", _providers(RevokeDialog(WITHOUT_REVOCATION))),
    "revoke_without_account_page": (
        "providers.html",
        _providers(RevokeDialog(replace(WITHOUT_REVOCATION, account_page=None))),
    ),
    "sessions": ("sessions.html", {"sessions": SESSIONS}),
    "sessions_one": ("sessions.html", {"sessions": SESSIONS[:1]}),
    "tokens": ("tokens.html", _tokens()),
    "tokens_next_page": ("tokens.html", _tokens(filter=TokenFilter("box", "bob"), tables=TABLES[1:2])),
    "tokens_empty": ("tokens.html", _tokens(tables=())),
    "tokens_no_match": ("tokens.html", _tokens(filter=TokenFilter("box", "zoe"), tables=TABLES[2:])),
    "tokens_removed": ("tokens.html", _tokens(notice=RemovedNotice(3))),
    "tokens_removed_one": ("tokens.html", _tokens(notice=RemovedNotice(1))),
    "tokens_removed_none": ("tokens.html", _tokens(notice=RemovedNotice(0))),
    "tokens_search": (
        "tokens.html",
        _tokens(filter=TokenFilter(user="al", account="contoso", state="failing", authorized_before="2026-06-01")),
    ),
    "tokens_search_goes_on": (
        "tokens.html",
        _tokens(filter=TokenFilter("box", scope="mail"), tables=(replace(TABLES[0], rows=(), next_cursor="next"),)),
    ),
    "tokens_of_person": (
        "tokens.html",
        _tokens(filter=TokenFilter(user="bob@contoso.example"), person=BOB, tables=TABLES[:1]),
    ),
    "tokens_of_nobody": (
        "tokens.html",
        _tokens(filter=TokenFilter(user="zoe@contoso.example", problem="Nobody is known by this name."), tables=()),
    ),
    "administrators": ("administrators.html", _administrators()),
    "administrators_none": ("administrators.html", _administrators(entries=(), groups=())),
    "administrators_wrong": (
        "administrators.html",
        _administrators(form=FormView({"who": "zoe"}, {"who": "Nobody is known by this name."})),
    ),
    "administrators_own": (
        "administrators.html",
        _administrators(problem="You would not be an administrator any more."),
    ),
    "removals": ("removals.html", {"removals": REMOVALS, "odd": ()}),
    "removals_none": ("removals.html", {"removals": (), "odd": ()}),
    "removals_unreadable": ("removals.html", {"removals": REMOVALS[:1], "odd": ODD_WAITING}),
    "removals_remove_unreadable": (
        "removals.html",
        {
            "removals": REMOVALS[:1],
            "odd": ODD_WAITING,
            "dialog": OddDialog(OddKind.REVOCATION, ODD_WAITING[0].ids[0], "/admin/removals"),
        },
    ),
    "removals_remove_unreadable_event": (
        "removals.html",
        {
            "removals": (),
            "odd": ODD_WAITING,
            "dialog": OddDialog(OddKind.DELIVERY, ODD_WAITING[1].ids[0], "/admin/removals"),
        },
    ),
    "removal": ("removal.html", {"receipt": ReceiptView(REMOVALS[0], CLOUDS)}),
    "removal_everything": (
        "removal.html",
        {"receipt": ReceiptView(replace(REMOVALS[0], joined=(("box", "r0"),)), UNDER_WAY)},
    ),
    "removal_open": ("removal.html", {"receipt": ReceiptView(replace(REMOVALS[2], is_open=True), CLOUDS[1:2])}),
    "removal_failed": ("removal.html", {"receipt": ReceiptView(REMOVALS[0], (replace(CLOUDS[1], is_ended=False),))}),
    "removal_done": ("removal.html", {"receipt": ReceiptView(REMOVALS[1], CLOUDS[2:])}),
    "remove_one": ("tokens.html", _remove(count=1, user_names=("CONTOSO\\bob",), token_ids=("northwind.S-1",))),
    "remove_some": (
        "tokens.html",
        _remove(
            count=7,
            user_names=(*(row.user_name for row in ROWS), "CONTOSO\\bob"),
            token_ids=tuple(f"northwind.S-{number}" for number in range(7)),
        ),
    ),
    "remove_all": ("tokens.html", _remove(scope=RemovalScope.PROVIDER, count=1000, is_more=True, **BOX)),
    "remove_all_wrong": (
        "tokens.html",
        _remove(
            scope=RemovalScope.PROVIDER,
            count=12,
            problem="Nothing was removed. Please type “Box” to confirm.",
            revoke=True,
            **BOX,
        ),
    ),
    "remove_person": (
        "tokens.html",
        _remove(scope=RemovalScope.PERSON, count=2, target_id=BOB.id, target_name=BOB.name),
    ),
    "remove_everything": (
        "tokens.html",
        _remove(scope=RemovalScope.EVERYTHING, count=1000, is_more=True, confirm="everything"),
    ),
    "remove_nothing": ("tokens.html", _remove(scope=RemovalScope.PROVIDER, count=0, **BOX)),
    "leavers": ("leavers.html", _leavers()),
    "leavers_none": ("leavers.html", _leavers(rows=(), checked_at=None)),
    "leavers_next_page": ("leavers.html", _leavers(rows=LEAVERS[1:], is_first_page=False)),
    "leavers_doubted": ("leavers.html", _leavers(doubted=["CONTOSO", "FABRIKAM"])),
    "leavers_absence": ("leavers.html", _leavers(doubted=["CONTOSO"], dialog=AbsenceDialog("CONTOSO", 6, 7))),
    "leaver_remove": ("leavers.html", _leavers(dialog=LeaverDialog(LEAVERS[0]))),
    "leaver_remove_not_allowed": ("leavers.html", _leavers(dialog=LeaverDialog(LEAVERS[2]))),
    "leaver_remove_nothing": ("leavers.html", _leavers(dialog=LeaverDialog(LEAVERS[1]))),
    "directory": ("directory.html", _directory()),
    "directory_checked": (
        "directory.html",
        _directory(StepsView("Check of CONTOSO", GOOD_STEPS), StepsView("Check of FABRIKAM", BAD_STEPS)),
    ),
    "directory_tested": ("directory.html", _directory(StepsView("What the test found", TESTED))),
    "manage_providers": (
        "manage_providers.html",
        {"viewer": ADMIN, "rows": PROVIDER_ROWS, "odd": (), "part": ListPart("box", is_first=False)},
    ),
    "manage_providers_unreadable": (
        "manage_providers.html",
        {"viewer": ADMIN, "rows": PROVIDER_ROWS[:1], "odd": ("northwind", "box-7f3a"), "part": ListPart()},
    ),
    "manage_providers_remove_unreadable": (
        "manage_providers.html",
        {
            "viewer": ADMIN,
            "rows": (),
            "odd": ("northwind",),
            "part": ListPart(),
            "dialog": OddDialog(OddKind.PROVIDER, "northwind", "/admin/providers"),
        },
    ),
    "manage_providers_none": ("manage_providers.html", {"viewer": ADMIN, "rows": (), "odd": (), "part": ListPart()}),
    "provider_types": ("provider_types.html", {"viewer": ADMIN, "types": tuple(TYPES.values()), "search": ""}),
    "provider_types_searched": ("provider_types.html", {"viewer": ADMIN, "types": (TYPES["box"],), "search": "box"}),
    "provider_types_none": ("provider_types.html", {"viewer": ADMIN, "types": (), "search": "Contoso Cloud"}),
    **{f"provider_new_{name}": ("provider_form.html", _provider_form(name, EMPTY_PROVIDER)) for name in TYPES},
    "provider_new_wrong": ("provider_form.html", _provider_form("openid-connect", WRONG_PROVIDER)),
    "provider_edit": ("provider_form.html", _provider_form("microsoft-365", replace(EMPTY_PROVIDER), 3)),
    "provider_edit_moves": ("provider_form.html", _provider_form("box", MOVED_PROVIDER, 3)),
    "provider_edit_outdated": ("provider_form.html", _provider_form("box", OUTDATED_PROVIDER, 3)),
    "provider": ("manage_provider.html", _provider()),
    "provider_tested": ("manage_provider.html", _provider(result=CLOUD_TESTED)),
    "provider_consented": (
        "manage_provider.html",
        _provider(
            consent=TestConsentView(
                account="adele@contoso.example", scopes=("openid", "email"), missing=("Mail.Send",), seconds=3600
            )
        ),
    ),
    "provider_consent_failed": (
        "manage_provider.html",
        _provider(consent=TestConsentView(ConsentProblem.APPROVAL_NEEDED, "AADSTS90094", APPROVAL)),
    ),
    "provider_outdated": ("manage_provider.html", _provider(is_outdated=True)),
    "provider_new_disabled": (
        "manage_provider.html",
        _provider(provider=replace(PROVIDER_VIEW, row=replace(PROVIDER_ROW, enabled=False))),
    ),
    "provider_delete": ("manage_provider.html", _provider(dialog=DeleteProviderDialog(1000, is_more=True))),
    "provider_delete_unused": ("manage_provider.html", _provider(dialog=DeleteProviderDialog(0))),
    "clients": ("clients.html", _clients()),
    "clients_unreadable": ("clients.html", _clients(odd=("scanner",))),
    "clients_remove_unreadable": (
        "clients.html",
        _clients(odd=("scanner",), dialog=OddDialog(OddKind.CLIENT, "scanner", "/admin/clients")),
    ),
    "clients_none": ("clients.html", _clients(rows=())),
    "clients_all_stopped": ("clients.html", _clients(everything=STOPS[0])),
    "clients_found": (
        "clients.html",
        _clients(
            search=SEARCH,
            found=_found(
                ReachRow("scanner", "Scan server", (OPEN_RULE,), ()),
                ReachRow("mailer", "Mail poller", (NARROW_RULE,), (Obstacle.APPLICATION_STOPPED, Obstacle.CEILING)),
            ),
        ),
    ),
    "clients_every_obstacle": (
        "clients.html",
        _clients(
            search=SEARCH,
            found=_found(*(ReachRow("scanner", "Scan server", (OPEN_RULE,), (obstacle,)) for obstacle in Obstacle)),
        ),
    ),
    "clients_found_accounts": (
        "clients.html",
        _clients(
            search=SEARCH,
            found=_found(
                ReachRow("scanner", "Scan server", (OPEN_RULE,), (), TWO_ACCOUNTS),
                ReachRow("mailer", "Mail poller", (NARROW_RULE,), (), TWO_ACCOUNTS[:1]),
                accounts=TWO_ACCOUNTS,
            ),
        ),
    ),
    "clients_found_none": ("clients.html", _clients(search=SEARCH, found=_found())),
    "clients_not_authorized": ("clients.html", _clients(search=SEARCH, found=_found(accounts=()))),
    "clients_nobody": ("clients.html", _clients(search=SEARCH, problem="Nobody is known by this name.")),
    "client": ("client.html", _client(CLIENT)),
    "client_unfinished": ("client.html", _client(UNFINISHED, providers=())),
    "client_stopped": ("client.html", _client(WITH_ISSUER)),
    "client_outdated": ("client.html", _client(CLIENT, is_outdated=True)),
    "client_remove_key": ("client.html", _client(CLIENT, dialog=RemoveKeyDialog(KEY_ROWS[0], is_last=False))),
    "client_remove_last_key": ("client.html", _client(WITH_ISSUER, dialog=RemoveKeyDialog(KEY_ROWS[0], is_last=True))),
    "client_remove_rule": ("client.html", _client(CLIENT, dialog=RemoveRuleDialog(NARROW_RULE))),
    "client_delete": ("client.html", _client(CLIENT, dialog=DeleteClientDialog())),
    "client_new": ("client_form.html", _client_form(NEW_FORM)),
    "client_new_wrong": ("client_form.html", _client_form(WRONG_FORM)),
    "client_edit": ("client_form.html", _client_form(FormView({"name": "Scan server"}), CLIENT)),
    "client_edit_outdated": ("client_form.html", _client_form(OUTDATED_FORM, CLIENT)),
    "client_key": ("client_key_form.html", _client_form(FormView({}), CLIENT)),
    "client_key_wrong": (
        "client_key_form.html",
        _client_form(FormView({}, {"keys": "That certificate has expired."}), CLIENT),
    ),
    "client_rule": ("client_rule_form.html", _rule_form(FormView({}))),
    "client_rule_change": ("client_rule_form.html", _rule_form(FULL_RULE, "1")),
    "client_rule_wrong": ("client_rule_form.html", _rule_form(EMPTY_RULE)),
    "client_rule_outdated": ("client_rule_form.html", _rule_form(replace(FULL_RULE, is_outdated=True))),
    "stops": ("stops.html", _stops(*STOPS)),
    "stops_none": ("stops.html", _stops()),
    "stops_wrong": (
        "stops.html",
        _stops(
            STOP,
            form=FormView(
                {"kind": "person", "target": "nobody", "reason": ""},
                {
                    "target": "Nobody is known by this name.",
                    "reason": "Please give a reason of at most 200 characters.",
                },
            ),
        ),
    ),
    "stop_everything": (
        "stops.html",
        _stops(dialog=StopDialog(StopKind.EVERYTHING, "-", "", "/admin/stops", FormView({}))),
    ),
    "stop_application": (
        "stops.html",
        _stops(
            dialog=StopDialog(
                StopKind.APPLICATION,
                "scanner",
                "Scan server",
                "/admin/clients/scanner",
                FormView({}, {"reason": "Please give a reason of at most 200 characters."}),
            )
        ),
    ),
    "undelivered": ("undelivered.html", {"rows": UNDELIVERED}),
    "undelivered_none": ("undelivered.html", {"rows": ()}),
    "mail": ("mail_choices.html", _mail()),
    "mail_refused": ("mail_choices.html", _mail(MailRefusal("alice@contoso.example", RefusalKind.BOUNCED, NOW - DAY))),
    "mail_no_address": ("mail_choices.html", _mail(address="")),
    "mail_off": ("mail_choices.html", _mail(is_on=False)),
    "applications": ("applications.html", {"rows": OWN}),
    "applications_none": ("applications.html", {"rows": ()}),
    "audit": ("audit.html", _audit()),
    "audit_last_page": ("audit.html", _audit(rows=AUDIT_ROWS[:1], next_cursor=None, is_first_page=False)),
    "audit_empty": ("audit.html", _audit(rows=(), next_cursor=None)),
    "audit_search_goes_on": ("audit.html", _audit(rows=(), filter=SEARCHED, searched_to=NOW - DAY)),
    "activity": ("activity.html", _activity()),
    "activity_page": ("activity.html", _activity(items=ACTIVITY[:3], next_cursor="a", is_first_page=False)),
    "activity_empty": ("activity.html", _activity(items=())),
    "personal_data": ("personal_data.html", {"kinds": STORED_KINDS}),
    "error_not_found": ("error.html", _error(404, "There is nothing at this address.", "not_found")),
    "error_anonymous": (
        "error.html",
        _error(500, "Something went wrong on our side. Please try again.", "internal_error", viewer=None),
    ),
    "error_too_large": (
        "error.html",
        _error(413, "The request is larger than the vault accepts.", "too_large"),
    ),
} | _outcomes()
"""By name: the template and what is shown. Without a viewer it is Alice, or an administrator on their pages."""


def html(name: str, base_path: str = "") -> str:
    """The page of this name in `PAGES`."""
    template, context = PAGES[name]
    viewer = ALICE if template in OWN_PAGES else ADMIN
    return _renderer(base_path).page(template, **{"nonce": NONCE, "viewer": viewer} | context)


@cache
def _renderer(base_path: str) -> Renderer:
    return Renderer(base_path)


def write(folder: Path) -> None:
    """Write every page and the static files into `folder`."""
    source = Path(__file__).parents[2] / "chalicelib" / "static"
    shutil.copytree(source, folder / "static", dirs_exist_ok=True)
    for name in PAGES:
        (folder / f"{name}.html").write_text(html(name), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
