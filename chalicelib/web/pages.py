"""What each page shows: the view models that routes fill and templates read.

They hold codes, names and numbers. The sentences are the templates'. Times are epoch seconds.
"""

from dataclasses import dataclass, field
from typing import ClassVar

from chalicelib.domain.audit import AuditFilter, AuditTag, Origin, Outcome
from chalicelib.domain.authorization_request import ConsentProblem
from chalicelib.domain.directory_report import Step
from chalicelib.domain.grant import GrantReason, GrantState, RevocationOutcome
from chalicelib.domain.odd_item import OddKind
from chalicelib.domain.provider_type import CheckItem, ScopePreset
from chalicelib.domain.release import Obstacle
from chalicelib.domain.removal import CloudReceipt, Removal, RemovalScope
from chalicelib.domain.stop import StopKind
from chalicelib.domain.user import Departure


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks at the page; every page gets one, or None for somebody who is not signed in."""

    display_name: str
    login_name: str
    is_administrator: bool
    csrf: str
    """The token that each of the viewer's forms carries."""


@dataclass(frozen=True, slots=True)
class ErrorView:
    """Why there is no page. `message` is one of ours; `request_id` finds the entry in the log."""

    status: int
    message: str
    code: str
    request_id: str


# Available authorization providers


@dataclass(frozen=True, slots=True)
class ProviderCard:
    """One provider as one person sees it."""

    id: str
    name: str
    type_name: str
    state: GrantState | None = None
    """None: never authorized, or revoked by the person."""
    reason: GrantReason = GrantReason.NONE
    is_misconfigured: bool = False
    """The token has to be renewed, and the cloud refuses the vault itself: administrators have to act."""
    account: str | None = None
    """The cloud account that is connected, as its owner knows it: e-mail address or log-in name."""
    since: int | None = None
    """When the person authorized."""
    last_used_at: int | None = None
    """The begin of the hour in which an application last fetched a token; None: none has yet."""
    removed_at: int | None = None
    """When an administrator removed the authorization; set in the state `REMOVED`."""
    scopes: tuple[str, ...] = ()
    """In plain words: what the authorization allows, or what the cloud will be asked for."""
    is_revocable: bool = False
    """Whether the vault can end an authorization at the cloud."""
    side_effect: str = ""
    """What else ends then, as a sentence."""
    account_page: str | None = None
    """Where a person ends an authorization at the cloud by hand."""
    slot: str = ""
    """Which of the person's accounts there it is; names it in forms."""
    others: tuple["ProviderCard", ...] = ()
    """The other accounts there, if this is the default one."""

    def matches(self, typed: str) -> bool:
        """Whether every word typed into a search is somewhere in the names of provider, type or cloud accounts."""
        names = (self.name, self.type_name, *(one.account or "" for one in self.accounts))
        known = " ".join(names).casefold()
        return all(word in known for word in typed.casefold().split())

    @property
    def is_connected(self) -> bool:
        """True while there is an authorization that can be revoked, whether or not it still works."""
        return self.state not in (None, GrantState.REMOVED)

    @property
    def accounts(self) -> tuple["ProviderCard", ...]:
        """Every account, the default first."""
        return (self, *self.others)


@dataclass(frozen=True, slots=True)
class AuthorizedDialog:
    """A trip to a cloud succeeded. `previous` is the cloud account of before, if it was another one."""

    template: ClassVar[str] = "dialog_authorized.html"

    provider: ProviderCard
    account: str
    previous: str | None = None
    was_connected: bool = False
    """The account was connected beside the one the trip was made for, which is as it was."""


@dataclass(frozen=True, slots=True)
class ConsentFailedDialog:
    """A trip to a cloud brought no authorization; what `provider` shows of an earlier one is unchanged."""

    template: ClassVar[str] = "dialog_consent_failed.html"

    provider: ProviderCard
    problem: ConsentProblem
    code: str = ""
    """The cloud's own, for the help desk."""
    approval_url: str = ""
    """Where an administrator of the person's company approves the vault, if that is what is missing."""


@dataclass(frozen=True, slots=True)
class RevokeDialog:
    """The question before a connected provider's authorization is revoked."""

    template: ClassVar[str] = "dialog_revoke.html"

    provider: ProviderCard
    next_default: str = ""
    """The account that is then the default, where that is another one than now."""


@dataclass(frozen=True, slots=True)
class RevokedDialog:
    """What became of a revoked authorization of the cloud account `account`."""

    template: ClassVar[str] = "dialog_revoked.html"

    provider: ProviderCard
    account: str
    outcome: RevocationOutcome


ProviderDialog = AuthorizedDialog | ConsentFailedDialog | RevokeDialog | RevokedDialog


# Signed-in browsers


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One signed-in browser of the viewer."""

    handle: str
    browser: str
    signed_in_at: int
    last_seen_at: int
    is_current: bool


# Manage authorization providers


@dataclass(frozen=True, slots=True)
class ProviderRow:
    """A provider in the list. `error`: the OAuth error with which the cloud refuses the vault itself."""

    id: str
    name: str
    type_name: str
    enabled: bool
    authorizations: int
    are_more: bool = False
    is_for_groups: bool = False
    error: str = ""
    failing_since: int | None = None
    secret_ends_at: int | None = None
    secret_ends_soon: bool = False


@dataclass(frozen=True, slots=True)
class TypeFieldView:
    """A field of a type in the form."""

    name: str
    label: str
    hint: str
    placeholder: str
    is_optional: bool
    choices: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ProviderTypeView:
    """A kind of cloud, and what an administrator has to know of it."""

    id: str
    name: str
    description: str
    fields: tuple[TypeFieldView, ...] = ()
    presets: tuple[ScopePreset, ...] = ()
    required_scopes: tuple[str, ...] = ()
    checklist: tuple[CheckItem, ...] = ()
    unverified: tuple[str, ...] = ()
    app_page: str = ""
    documentation: str = ""
    side_effect: str = ""


@dataclass(frozen=True, slots=True)
class ProviderView:
    """One provider, all that may be shown of it."""

    row: ProviderRow
    type: ProviderTypeView
    redirect_uri: str
    client_id: str
    fields: tuple[tuple[str, str], ...]
    scopes: tuple[str, ...]
    groups: tuple[str, ...]
    has_older_secret: bool
    authorize_again_since: int | None
    version: int


@dataclass(frozen=True, slots=True)
class TestConsentView:
    """What came of an administrator's own consent: a problem, or what the cloud gave."""

    __test__: ClassVar[bool] = False  # its name begins as tests do

    problem: ConsentProblem | None = None
    code: str = ""
    approval_url: str = ""
    account: str = ""
    scopes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    has_refresh_token: bool = False
    seconds: int = 0


@dataclass(frozen=True, slots=True)
class DeleteProviderDialog:
    """How many authorizations end with the provider."""

    template: ClassVar[str] = "dialog_provider_delete.html"

    count: int
    is_more: bool = False


# What cannot be read


@dataclass(frozen=True, slots=True)
class OddList:
    """Items of one kind that cannot be read: some ids, and how many there are."""

    kind: OddKind
    ids: tuple[str, ...]
    number: int


@dataclass(frozen=True, slots=True)
class OddDialog:
    """The question before an item that cannot be read is removed; `back` is the page that shows it."""

    template: ClassVar[str] = "dialog_unreadable.html"

    kind: OddKind
    id: str
    back: str


# Manage tokens


@dataclass(frozen=True, slots=True)
class TokenFilter:
    """What the filter form was sent with; an empty `provider_id` stands for all providers.

    `authorized_before` is a day in ISO 8601. `problem`: why the search for a person found nobody.
    """

    provider_id: str = ""
    user: str = ""
    account: str = ""
    state: str = ""
    scope: str = ""
    authorized_before: str = ""
    problem: str = ""

    @property
    def query(self) -> dict[str, str]:
        """What a link to the same search is made of."""
        named = {
            "provider": self.provider_id,
            "user": self.user,
            "account": self.account,
            "state": self.state,
            "scope": self.scope,
            "before": self.authorized_before,
        }
        return {name: text for name, text in named.items() if text}

    @property
    def is_narrow(self) -> bool:
        """Whether one of the fields that are folded away is used."""
        return bool(self.account or self.state or self.scope or self.authorized_before)


@dataclass(frozen=True, slots=True)
class ListPart:
    """Where one is in a list of very many providers: `next_id` begins the next part, empty for none."""

    next_id: str = ""
    is_first: bool = True


@dataclass(frozen=True, slots=True)
class ProviderChoice:
    """An entry of the filter's list of providers."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One grant as administrators see it; `id` is `Grant.id`, None as a time means never.

    The last use is the begin of an hour.
    """

    id: str
    user_name: str
    account: str
    state: GrantState
    authorized_at: int
    refreshed_at: int | None = None
    last_used_at: int | None = None


@dataclass(frozen=True, slots=True)
class TokenTable:
    """One page of a provider's grants."""

    provider_id: str
    provider_name: str
    rows: tuple[TokenRow, ...]
    next_cursor: str | None = None
    is_first_page: bool = True


@dataclass(frozen=True, slots=True)
class RemoveDialog:
    """The question before tokens are removed: the grants `token_ids`, or all that `scope` and `target_id` say.

    `user_names` are some of the people concerned. `is_more`: counting stopped at `count`. `confirm` is what has to be
    typed, empty where a click is enough; `cancel` the fields of the way back.
    """

    template: ClassVar[str] = "dialog_remove.html"

    scope: RemovalScope
    count: int
    user_names: tuple[str, ...] = ()
    token_ids: tuple[str, ...] = ()
    target_id: str = ""
    target_name: str = ""
    is_more: bool = False
    confirm: str = ""
    problem: str = ""
    revoke: bool = False


@dataclass(frozen=True, slots=True)
class CloudRow:
    """One provider on a receipt. `left` is what is still to be deleted here, `is_more` when counting stopped there.

    `is_waiting`: something may be left, and was not counted. Not `is_ended`: what was asked for did not happen there.
    """

    name: str
    receipt: CloudReceipt
    left: int = 0
    is_more: bool = False
    is_waiting: bool = False
    is_ended: bool = True

    @property
    def is_done(self) -> bool:
        return self.is_ended and not (self.left or self.is_waiting or self.receipt.pending)


@dataclass(frozen=True, slots=True)
class ReceiptView:
    """A removal and what has come of it."""

    removal: Removal
    clouds: tuple[CloudRow, ...] = ()

    @property
    def is_done(self) -> bool:
        """Whether nothing is under way any more."""
        return all(row.is_done for row in self.clouds) and not self.removal.is_open

    @property
    def done(self) -> int:
        """At so many providers."""
        return sum(row.is_done for row in self.clouds)

    @property
    def has_failed(self) -> bool:
        """Whether nothing of what was asked for happened."""
        return bool(self.clouds) and not any(row.is_ended for row in self.clouds)

    @property
    def revokes(self) -> bool:
        """Whether the clouds are asked: by this removal, or by another one of the same tokens."""
        return self.removal.revoke or any(row.receipt.asked or row.receipt.not_offered for row in self.clouds)


@dataclass(frozen=True, slots=True)
class RemovedNotice:
    """So many grants were removed."""

    count: int = 0


# People who left


@dataclass(frozen=True, slots=True)
class LeaverRow:
    """Somebody whose directory account is gone, or who is not allowed any more.

    `removal_at` is None where the grants stay.
    """

    user_id: str
    user_name: str
    display_name: str
    departure: Departure
    departed_at: int
    removal_at: int | None
    grants: int


@dataclass(frozen=True, slots=True)
class LeaverDialog:
    """The question before somebody's authorizations end ahead of time."""

    template: ClassVar[str] = "dialog_leaver.html"

    leaver: LeaverRow


@dataclass(frozen=True, slots=True)
class AbsenceDialog:
    """The question before everybody of a domain who is not found counts as gone."""

    template: ClassVar[str] = "dialog_absence.html"

    domain: str
    hours: int
    days: int
    """After which the authorizations of who left are removed."""


# Directory


@dataclass(frozen=True, slots=True)
class DirectoryView:
    """One directory of the settings, in short."""

    domain: str
    kind: str
    servers: tuple[str, ...]
    reader: str
    forms: tuple[str, ...]
    tries: int
    minutes: int


@dataclass(frozen=True, slots=True)
class StepsView:
    """What a check or a test found: of one directory, or of one log-in."""

    title: str
    steps: tuple[Step, ...]

    @property
    def is_good(self) -> bool:
        return all(step.is_good for step in self.steps)


# Manage clients


@dataclass(frozen=True, slots=True)
class FormView:
    """A form as it was typed, and what is wrong with it: a sentence for each field's name.

    `is_outdated`: somebody else changed the same thing meanwhile; `stored` is then what stands there now.
    """

    values: dict[str, str]
    problems: dict[str, str] = field(default_factory=dict)
    chosen: frozenset[str] = frozenset()
    """Values of ticked boxes."""
    is_outdated: bool = False
    stored: dict[str, str] = field(default_factory=dict)

    def value(self, name: str) -> str:
        return self.values.get(name, "")

    def stored_otherwise(self, name: str) -> str | None:
        """What is stored in a field that was typed otherwise; None where there is nothing to tell."""
        now = self.stored.get(name, "")
        return now if self.is_outdated and name in self.stored and now != self.value(name) else None


@dataclass(frozen=True, slots=True)
class KeyRow:
    """A public key of an application. `fingerprint` is its JWK thumbprint (RFC 7638)."""

    id: str
    algorithm: str
    fingerprint: str
    added_at: int
    expires_at: int | None
    is_usable: bool


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One thing an application may fetch. `scopes` None: no ceiling. Nobody chosen: everybody."""

    number: int
    provider: str
    scopes: tuple[str, ...] | None
    everybody: bool = True
    groups: tuple[str, ...] = ()
    users: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class StopRow:
    """Something that is stopped. `by` is empty where nobody noted it; `target` goes back with "Resume"."""

    kind: StopKind
    target: str
    name: str
    reason: str
    at: int
    by: str


@dataclass(frozen=True, slots=True)
class ClientRow:
    """One client application in the list."""

    id: str
    name: str
    keys: int
    """How many of its keys are good now."""
    has_role: bool
    providers: tuple[str, ...]
    """The names of those it has a rule for."""
    stop: StopRow | None = None


@dataclass(frozen=True, slots=True)
class ClientView:
    """Everything about one client application. `issuer` is empty where it names people itself."""

    row: ClientRow
    version: int
    created_at: int
    role_arn: str
    issuer: str
    issuer_audience: str
    user_claim: str
    calls_per_minute: int | None
    people_per_hour: int | None
    keys: tuple[KeyRow, ...]
    rules: tuple[RuleRow, ...]


@dataclass(frozen=True, slots=True)
class DeveloperView:
    """What the author of an application has to know. `key` is the one to sign with, None where there is none."""

    vault: str
    client_id: str
    key: KeyRow | None
    provider_id: str
    """One it has a rule for, or an example."""


@dataclass(frozen=True, slots=True)
class ReachRow:
    """An application that has a rule for a person's token, and what is in its way."""

    client_id: str
    name: str
    rules: tuple[RuleRow, ...]
    obstacles: tuple[Obstacle, ...]
    accounts: tuple[str, ...] = ()
    """The cloud accounts whose token it could get."""


@dataclass(frozen=True, slots=True)
class HeldAccount:
    """A cloud account that a person has authorized, and for what."""

    label: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ReachView:
    """Who could get a person's token of a provider, whose default account comes first."""

    person: str
    provider: str
    accounts: tuple[HeldAccount, ...]
    rows: tuple[ReachRow, ...]


@dataclass(frozen=True, slots=True)
class RemoveKeyDialog:
    """The question before a key of an application is removed. `is_last`: no other one is good."""

    template: ClassVar[str] = "dialog_client_key.html"

    key: KeyRow
    is_last: bool


@dataclass(frozen=True, slots=True)
class RemoveRuleDialog:
    """The question before a rule is removed."""

    template: ClassVar[str] = "dialog_client_rule.html"

    rule: RuleRow


@dataclass(frozen=True, slots=True)
class DeleteClientDialog:
    """The question before an application is deleted."""

    template: ClassVar[str] = "dialog_client_delete.html"


ClientDialog = RemoveKeyDialog | RemoveRuleDialog | DeleteClientDialog


@dataclass(frozen=True, slots=True)
class StopDialog:
    """The question before an application or everything is stopped; it asks for the reason."""

    template: ClassVar[str] = "dialog_stop.html"

    kind: StopKind
    target: str
    name: str
    back: str
    form: FormView


# Applications of a person


@dataclass(frozen=True, slots=True)
class OwnApplicationRow:
    """An application as the person sees it whose tokens it fetches; None as a time means never."""

    id: str
    name: str
    providers: tuple[str, ...]
    fetched_at: int | None
    fetched_from: str
    blocked_at: int | None
    is_registered: bool = True


# Audit log


@dataclass(frozen=True, slots=True)
class AuditFilterForm:
    """What the filter form was sent with; days as `2026-11-23`."""

    first: str
    last: str
    chosen: AuditFilter

    def query(self, **more: str) -> dict[str, str]:
        """The query parameters that ask for the same again."""
        chosen = self.chosen
        values = {
            "from": self.first,
            "to": self.last,
            "user": chosen.user,
            "actor": chosen.actor,
            "tag": chosen.tag or "",
            "outcome": chosen.outcome or "",
            "provider": chosen.provider_id,
        }
        return {name: value for name, value in (values | more).items() if value}


@dataclass(frozen=True, slots=True)
class AuditRow:
    """One entry as administrators see it. Names are the ids where the log has no name; empty: nobody."""

    at: int
    tag: AuditTag
    outcome: Outcome
    actor_id: str
    actor: str
    user_id: str
    user: str
    provider: str
    origin: Origin
    facts: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class ActivityItem:
    """One entry of a person's own history. `by_other`: somebody else did it."""

    at: int
    tag: AuditTag
    outcome: Outcome
    provider: str
    by_other: bool
    origin: Origin
    facts: dict[str, str]
    actor: str = ""
    """What whoever did it was called then: an application, for what that did."""


@dataclass(frozen=True, slots=True)
class StoredKindRow:
    """A kind of thing that may be stored about somebody; `kept`: for how long."""

    name: str
    says: str
    kept: str
