"""What the services need from the world. Stores and adapters implement these; tests have fakes of them.

Every method may raise `StorageUnavailable`, `KeyUnavailable`, `DirectoryUnavailable` or a `CloudError`
where it talks to that part of the world; only other errors are named. Times are epoch seconds.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import date
from typing import Any, Protocol

from .domain.accounts import UserGrants
from .domain.administrators import Appointments
from .domain.audit import AuditEntry, AuditEvent, Period
from .domain.authorization_request import AuthorizationRequest
from .domain.authorization_server import AuthorizationServer
from .domain.client_application import ApplicationKey, ClientApplication, TrustedIssuer
from .domain.configuration import ConfigurationFault
from .domain.copy import Copy
from .domain.directory import Group
from .domain.directory_report import DirectoryReport, Step, Steps
from .domain.event import Channel, Delivery, Event, EventKind, MailsSent
from .domain.grant import FIRST_SLOT, Grant, Holding, ReleaseHolding, Revocation
from .domain.mail import MailRefusal, MailStanding
from .domain.personal_data import DataSubject, StoredItem
from .domain.provider import Provider, ProviderKey
from .domain.provider_health import ProviderHealth
from .domain.provider_type import ProviderType
from .domain.removal import Everything, Receipt, Removal
from .domain.seal import Seal, StoredEntry, Tip
from .domain.secret import Secret
from .domain.session import Notice, Session
from .domain.stop import Block, Stop, StopKind
from .domain.token_set import CloudAccount, TokenSet
from .domain.use import LastUse, UseCount
from .domain.user import Absence, Account, AliasClaim, Called, Standing, SweepProgress, User, UserRecord


class Clock(Protocol):
    def now(self) -> int:
        """The time, in whole epoch seconds."""

    def milliseconds(self) -> int:
        """The time, in epoch milliseconds."""

    def monotonic(self) -> float:
        """Seconds from some moment on that no setting of the clock changes."""

    def sleep(self, seconds: float) -> None:
        """Wait."""


class Random(Protocol):
    def token(self, size: int = 32) -> str:
        """`size` random bytes, base64url without padding: 43 characters for 32."""

    def fraction(self) -> float:
        """At least 0, below 1: to spread what would otherwise happen at the same moment."""


class Directory(Protocol):
    def account(self, typed: str) -> Account:
        """What a typed name means, before any password is tried. Never raises LoginRefused."""

    def authenticate(self, account: Account, password: Secret, steps: Steps | None = None) -> User:
        """Bind as the person, once, and read who that is on the same connection; `steps` are told how it went.

        Raises LoginRefused with the directory's own cause, DirectoryUnavailable when no server answers.
        """

    def check(self) -> list[DirectoryReport]:
        """Look at every server of every directory as the settings have them. Never raises."""

    def group(self, named: str) -> Group:
        """The group with this SID or distinguished name.

        Raises NotFound where no directory has it, InvalidRequest where none can be asked about a distinguished name.
        """

    def person(self, user_id: str) -> User:
        """Who has this id, as a log-in would read them now; no password proves anything here.

        Raises LoginRefused where nobody has it, or who has it may not log in.
        """

    def standings(self, users: Sequence[User]) -> Mapping[str, Standing]:
        """How people stand today, by user id. Who is missing is in a directory that cannot be asked about others."""

    def called(self, name: str) -> Called:
        r"""Whom `DOMAIN\user`, a user principal name, a mail address or a user name alone means today.

        Asked of every directory with a service account that could have such a name, however people may log in there.
        """

    def groups(self, user: User, standing: Standing) -> frozenset[str]:
        """The groups of somebody who is still there, as a log-in would read them now."""

    def may_use(self, user: User) -> bool:
        """Whether the settings let somebody with these groups use the vault. Nobody is asked."""

    def absence(self, user: User, dn: str) -> Absence:
        """What it means that a search did not find somebody who was last seen at `dn`: they are looked for alone."""

    def is_back(self, user: User) -> bool:
        """Whether everybody who is asked says that an account is open again, and may use the vault."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What an OpenID provider says of somebody: the verified claims, and the id_token that they came with."""

    claims: Mapping[str, Any]
    id_token: Secret


class SessionBox(Protocol):
    """Encrypts for one browser: the key is made of its cookie's value, which is stored nowhere."""

    def seal(self, cookie: Secret, text: str) -> str:
        """`text`, so that it can be stored."""

    def open(self, cookie: Secret, sealed: str) -> str:
        """The inverse of `seal`. Raises IntegrityViolation for another cookie, or what was changed."""


class IdentityProvider(Protocol):
    """The OpenID provider of the settings. Each method may raise a CloudError."""

    def server(self) -> AuthorizationServer:
        """Its endpoints, as its discovery document has them."""

    def authorization_url(self, request: AuthorizationRequest, *, state: str, code_verifier: str, anew: bool) -> str:
        """Where to send the browser; `anew`: whoever is signed in there must prove it again."""

    def identity(self, request: AuthorizationRequest, *, code: str, code_verifier: Secret) -> Identity:
        """Who came back. The code is exchanged once."""

    def faults(self) -> Iterator[ConfigurationFault]:
        """What is wrong with what the settings say of it. Never raises."""


class TryStore(Protocol):
    """Counts tries by keys. Every count is atomic; none is read from a copy that lags."""

    def reserve(self, key: str, *, limit: int, seconds: int, now: int) -> int | None:
        """Count one try, unless `limit` were counted and the last of them is younger than `seconds`.

        None when it was counted, else in how many seconds the next one may be.
        """

    def waiting(self, key: str, *, limit: int, seconds: int, now: int) -> int | None:
        """What `reserve` would answer, without counting."""

    def give_back(self, key: str) -> None:
        """Take one try back. Does nothing where there is none."""

    def forget(self, key: str) -> None:
        """Start from nothing; idempotent."""

    def known_accounts(self, browser_hash: str, now: int) -> frozenset[str]:
        """The keys of the accounts that have logged in with this browser; none for one that is not known."""

    def remember(self, browser_hash: str, accounts: frozenset[str], expires_at: int) -> None:
        """Know a browser, until then, for exactly these accounts."""


@dataclass(frozen=True, slots=True)
class UserPage:
    """Some users, and where the next page starts (None: that was all)."""

    users: list[UserRecord]
    next_cursor: str | None


class UserStore(Protocol):
    """Everybody who has ever logged in and may still have a grant or a session, and the names they bear.

    A name that is new is claimed before the record bears it, and one that is gone is released after: a record never
    bears what nobody finds, and what is found is asked of the record (R91).
    """

    def enrol(self, user: User, *, sessions_until: int, at: int) -> None:
        """Somebody proved at that time who they are: write who it is and is called now.

        Whatever was noted of a departure is over. Names of before that are not among today's are released.
        """

    def rename(self, record: UserRecord, user: User, *, at: int) -> UserRecord:
        """Write over `record.version` what the directory says of the person at that time. Raises Conflict."""

    def disown(self, record: UserRecord, alias: str) -> None:
        """The name is somebody else's: write over `record.version` that this person does not bear it. Raises Conflict.

        A name that was not borne is written just the same: whoever is about to claim it has to look again.
        """

    def get(self, user_id: str) -> UserRecord | None:
        """The record as of the last write (strongly consistent)."""

    def get_all(self, user_ids: Collection[str]) -> list[UserRecord]:
        """The same of several people, in any order; who has none is left out."""

    def save(self, record: UserRecord) -> UserRecord:
        """Write over `record.version` and return it with the next one. Raises Conflict."""

    def delete(self, record: UserRecord) -> None:
        """Delete exactly this version and release its names; idempotent. Raises Conflict: another version is there."""

    def present(self, *, limit: int, cursor: str | None) -> UserPage:
        """Those who have not left, by user id: the list may lag by a moment, each record is as of the last write."""

    def departed(self, *, limit: int, cursor: str | None) -> UserPage:
        """Those who have left, in the same way, who left first comes first."""

    def progress(self) -> SweepProgress:
        """Where the sweep over everybody is."""

    def note_progress(self, progress: SweepProgress) -> None:
        """Write down where the sweep is."""

    def believed(self) -> Mapping[str, int]:
        """By domain, until when (epoch seconds) an administrator believes the directory that most people are gone."""

    def believe(self, domain: str, until: int) -> None:
        """Write down that somebody does."""


class SessionStore(Protocol):
    def add(self, session: Session, expires_at: int) -> None:
        """Store a new session; `expires_at` is only the clean-up date."""

    def get(self, id_hash: str) -> Session | None:
        """The session as of the last write (strongly consistent), live or not."""

    def touch(self, id_hash: str, last_seen_at: int, expires_at: int) -> None:
        """Note activity. Does nothing when the session has ended meanwhile."""

    def open_requests(self, id_hash: str, state_hashes: tuple[str, ...]) -> None:
        """Set the session's list of authorization requests. Does nothing when it has ended meanwhile."""

    def notify(self, id_hash: str, notice: Notice, *, open_requests: tuple[str, ...]) -> None:
        """Set the one notice of the session and its list of requests. Does nothing when it has ended meanwhile."""

    def update_user(self, id_hash: str, user: User) -> None:
        """Write what the directory now says of the session's user. Does nothing when it has ended meanwhile."""

    def delete(self, *id_hashes: str) -> None:
        """End sessions, all of them or none; idempotent."""

    def of_user(self, user_id: str) -> list[Session]:
        """All sessions of a user, newest first. May lag a write by a moment."""


class AuthorizationRequestStore(Protocol):
    def add(self, request: AuthorizationRequest) -> None: ...

    def consume(
        self, state_hash: str, *, user_id: str, flow_hash: str, provider_id: str, now: int
    ) -> AuthorizationRequest:
        """Delete and return the request, in one conditional write, if all of it fits.

        Raises ConsentFailed: USED when there is none (or the state is unknown), EXPIRED when it is too
        old, FOREIGN when user, browser or provider differ. A foreign or expired one is left alone.
        """

    def discard(self, state_hash: str) -> None:
        """Delete the request whoever asks; idempotent."""


class ProviderStore(Protocol):
    """What it gives is under `everything()`: a provider that was not raised since is `is_ending`."""

    def all(self) -> list[Provider]:
        """Every provider, by name (strongly consistent)."""

    def get(self, provider_id: str) -> Provider:
        """As of the last write. Raises NotFound."""

    def everything(self) -> Everything:
        """The removals of everything, as of the last write."""

    def save_everything(self, everything: Everything, *, replaces: int) -> None:
        """Write over the one whose last number is `replaces`: in effect for every read from now on. Raises Conflict."""

    def add(self, provider: Provider) -> None:
        """Store a new provider, whose first key is there. Raises Conflict when the id is taken."""

    def update(self, provider: Provider) -> Provider:
        """Write over `provider.version` and return it with the next one. Raises Conflict, also for what is ending."""

    def delete(self, provider: Provider) -> None:
        """Delete exactly this version; idempotent. Raises Conflict when another version is there."""

    def generations(self, provider_id: str) -> list[int]:
        """Those that have a key, in order: the first thousand are looked for, and more while there are some."""

    def key(self, provider_id: str, generation: int) -> ProviderKey:
        """Raises NotFound."""

    def add_key(self, key: ProviderKey) -> None:
        """Store a key. Raises Conflict when that generation has one."""

    def replace_key(self, old: ProviderKey, new: ProviderKey) -> None:
        """Put `new` where exactly `old` is stored. Raises Conflict: another one is there by now, or none."""

    def delete_key(self, provider_id: str, generation: int) -> None:
        """Delete a wrapped key for good: nothing encrypted under it can be read again."""

    def odd(self) -> list[str]:
        """The ids of those that are stored and cannot be read."""


class OddProviders(Protocol):
    """Providers that are stored and cannot be read (R94)."""

    def odd(self) -> list[str]:
        """Their ids."""

    def replace_odd(self, provider: Provider) -> None:
        """Write over the item of this id. Raises NotFound: there is none, Conflict: it can be read (by now)."""


class OddItems(Protocol):
    """Items of one kind that are stored and cannot be read (R94)."""

    def odd(self) -> list[str]:
        """Their ids. Of a queue those that were due since, as far as they were met."""

    def delete_odd(self, item_id: str) -> None:
        """Raises NotFound: there is none, Conflict: it can be read (by now)."""


@dataclass(frozen=True, slots=True)
class GrantPage:
    """Some grants in the order of their users' names, and where the next page starts."""

    grants: list[Grant]
    next_cursor: str | None


class GrantStore(Protocol):
    def load(self, user_id: str, provider_id: str, slot: str = FIRST_SLOT) -> Holding:
        """Provider, its key and the user's grant in one consistent read. Raises NotFound: no such provider.

        A grant of an earlier generation is not there. One whose version has ended (`Holding.ended`) is removed, and put
        back: only that read knows, no list does.
        """

    def of_user(self, user_id: str) -> UserGrants:
        """All grants of a user, of any generation, tombstones included (strongly consistent)."""

    def at(self, user_id: str, provider_id: str, generation: int) -> UserGrants:
        """The same for all cloud accounts at one provider, of one generation."""

    def prefer(self, user_id: str, provider_id: str, generation: int, slot: str | None) -> None:
        """Make the account in that slot the person's default at the provider; None where there is none any more."""

    def save(
        self,
        grant: Grant,
        *,
        replaces: int | None,
        fence: int | None = None,
        expires_at: int | None = None,
        ended: int | None = None,
    ) -> None:
        """Write the grant over the version `replaces` (None: there is none yet). Raises Conflict.

        With `ended` all versions up to that have ended, by the same write, for good.

        With `fence` only while that is the number of the last lease. `expires_at` lets the store delete it some time
        later: for what is left of a removed grant.
        """

    def note_use(self, use: LastUse) -> None:
        """Note the hour of a use, unless a later one is noted, the grant was authorized later, or is no more.

        The version stays: whoever writes the grant at the same moment may write an earlier hour back.
        """

    def spill(self, outcome: Grant, expires_at: int) -> None:
        """Keep the outcome of a refresh in another table, where its own would not take it."""

    def spilled(self, leased: Grant) -> Grant | None:
        """The outcome that was kept aside for exactly this version and lease."""

    def delete(self, grant: Grant, *, ended: int) -> None:
        """Delete exactly this version; idempotent. Raises Conflict when another version is there.

        By the same write all versions up to `ended` have ended, for good.
        """

    def page(
        self,
        provider_id: str,
        generation: int,
        *,
        user_prefix: str,
        limit: int,
        cursor: str | None,
        matches: Callable[[Grant], bool] | None = None,
    ) -> GrantPage:
        """Live grants of one generation, without their token sets, by user name; may lag by a moment.

        `user_prefix` is compared without case with the start of the user's log-in name, and with the
        start of the name without its domain. With `matches` a page holds what was found in a bounded piece of the
        list, perhaps nothing although more follows. Raises InvalidRequest for a cursor it did not give out.
        """

    def sealed(self, grants: Sequence[Grant]) -> list[Grant]:
        """The same grants as stored now, with their token sets (strongly consistent); those that are gone left out."""

    def of_these(self, provider_id: str, generation: int, whose: Iterable[tuple[str, str]]) -> list[Grant]:
        """The grants of these user ids and slots as stored now, in batches; in any order, who has none left out."""

    def count(self, provider_id: str, generation: int, *, at_most: int) -> int:
        """How many live grants there are, counting no further than `at_most`."""

    def bury(self, grants: list[Grant], expires_at: int) -> None:
        """Replace grants of an ended generation by tombstones without a token set, in batches."""


class ClientApplicationStore(Protocol):
    def all(self) -> list[ClientApplication]:
        """Every application, by name; may lag by a moment."""

    def get(self, application_id: str) -> ClientApplication:
        """As of the last write (strongly consistent). Raises NotFound."""

    def add(self, application: ClientApplication) -> None:
        """Raises Conflict when the id is taken."""

    def update(self, application: ClientApplication) -> ClientApplication:
        """Write over `application.version` and return it with the next one. Raises Conflict."""

    def delete(self, application: ClientApplication) -> None:
        """Delete exactly this version; idempotent. Raises Conflict when another version is there."""


class AdministratorStore(Protocol):
    def get(self) -> Appointments:
        """As of the last write (strongly consistent)."""

    def save(self, appointments: Appointments) -> None:
        """Write over `appointments.version` as the next one. Raises Conflict."""


class UsageStore(Protocol):
    """Counts what applications do, in windows of time that the caller names. Every count is atomic."""

    def add_call(self, window: str, expires_at: int) -> int:
        """Count one call; returns how many there were in this window, this one included."""

    def add_person(self, window: str, person: str, expires_at: int) -> int | None:
        """Count a person once; returns how many there were, None for one who is counted already."""


class UseCountStore(Protocol):
    """What applications got and did not get, counted by day behind the seals of the ledger."""

    def add(self, count: UseCount, *, counted_to: str, expires_at: int) -> None:
        """Add to what there is. `counted_to` names how far the ledger was read for it: nothing is added where that,
        or a later place, was counted before.
        """

    def between(self, first: date, last: date) -> Iterator[UseCount]:
        """What was counted on these days, both included, by day, application and provider (strongly consistent)."""


class StopStore(Protocol):
    """Stops of everything, providers and people, and what people block for themselves; strongly consistent."""

    def all(self) -> list[Stop]:
        """Every stop by an administrator, newest first."""

    def add(self, stop: Stop) -> None:
        """Raises Conflict when it is stopped already."""

    def remove(self, kind: StopKind, target: str) -> Stop | None:
        """Take a stop back and return it; None where there was none."""

    def blocks(self, user_id: str) -> list[Block]:
        """What a person does not let fetch anything."""

    def block(self, block: Block) -> bool:
        """False where it was there already: that one stays."""

    def unblock(self, user_id: str, application_id: str) -> bool:
        """False where there was none."""


class CopyStore(Protocol):
    """What applications, providers, stops, blocks and appointments were last, in the table that is never restored.

    Each write of theirs leaves a copy. Since when it does is noted there and in the vault's table: a backup with the
    same note was made since, so that whatever changed after it has a copy.
    """

    def settle(self) -> None:
        """Note it, once no function of an earlier version can be at work any more. Called again and again."""

    def are_whole(self) -> bool:
        """Whether every change since the backup of this table has left a copy."""

    def begin(self) -> None:
        """Note it at once: what is in the table from now on is what holds."""

    def newer(self) -> Iterator[Copy]:
        """Each that is not what the table has."""

    def apply(self, copy: Copy) -> None:
        """Let the table have it."""


class ProviderHealthStore(Protocol):
    def get(self, provider_id: str) -> ProviderHealth:
        """As of the last write (strongly consistent); a well one where nothing is stored."""

    def of_each(self, provider_ids: Sequence[str]) -> dict[str, ProviderHealth]:
        """The same of several, by provider."""

    def save(self, health: ProviderHealth) -> None:
        """Write over `health.version` as the next one. Raises Conflict."""


class CursorStore(Protocol):
    def get(self, name: str) -> str | None:
        """Where the function of that name stopped; None: at the end, or it never ran."""

    def put(self, name: str, cursor: str | None) -> None: ...


class PublicKeyReader(Protocol):
    def from_jwks(self, text: str, now: int) -> tuple[ApplicationKey, ...]:
        """The public keys of a JWKS (RFC 7517 5). Raises InvalidRequest with the sentence for who pasted it."""

    def from_text(self, text: str, now: int) -> tuple[ApplicationKey, ...]:
        """Either of the two below, by what the text begins with. Raises InvalidRequest."""

    def from_certificate(self, pem: str, now: int) -> ApplicationKey:
        """The key of an X.509 certificate, good as long as that is. Raises InvalidRequest."""


class Outbox(Protocol):
    """Events on their way out, and which mails went out already."""

    def add(self, delivery: Delivery) -> None:
        """Nothing where the same event was added for the same channel before, delivered meanwhile or not."""

    def due(self, channel: Channel | None, now: int) -> Iterator[Delivery]:
        """Deliveries by a channel to try now, the longest due first, read as they are taken. The listing lags.

        None: those that were written down before each channel had a list of its own.
        """

    def change(self, delivery: Delivery, to: Delivery) -> None:
        """Write `to` over `delivery`, on the list of its channel. Raises Conflict when somebody was faster."""

    def bury(self, delivery: Delivery) -> None:
        """Given up: never due again, and on the list of `dead`."""

    def dead(self, *, limit: int) -> list[Delivery]:
        """What was given up, what happened last first; may lag by a moment."""

    def dead_one(self, event_id: str, channel: Channel) -> Delivery:
        """As of the last write. Raises NotFound, also where it was sent again meanwhile."""

    def finish(self, deliveries: Sequence[Delivery], *, told: Collection[str] = ()) -> None:
        """Delivered, passed or given up: never due again, and remembered for `add`. `told`: ids of what went out."""

    def published(self, period: Period) -> Iterator[Delivery]:
        """What the bus took of what happened on these days, of the last 90; earliest first, read as it is taken."""

    def told(self, channel: Channel, event_ids: Iterable[str]) -> frozenset[str]:
        """Which of these events went out by that channel (strongly consistent)."""

    def mails_sent(self, subject: str) -> MailsSent:
        """What administrators were told of this subject. Empty where that was nothing lately."""

    def note_mails(self, mails: MailsSent, now: int) -> None:
        """Raises Conflict when somebody else has noted one meanwhile."""


class EventBus(Protocol):
    def publish(self, events: Sequence[Event]) -> Mapping[str, str]:
        """Ten at most, in their order. What it did not take: a code of AWS by the event's id.

        Raises Undeliverable where it took none, or nobody knows.
        """


class Mailer(Protocol):
    def rate(self) -> float:
        """Mails a second that the mail service takes; asked each time."""

    def send(self, events: Sequence[Event], channel: Channel, address: str) -> None:
        """One mail to one reader, in words for the person or the administrators. Raises Undeliverable.

        `events` are of one kind and about one provider or application, earliest first; to the person, one.
        """


class MailStore(Protocol):
    """Which addresses refused mails, and which mails people do without."""

    def standing(self, user_id: str, address: str) -> MailStanding:
        """Both, in one strongly consistent read. Addresses are compared without case."""

    def refuse(self, refusal: MailRefusal) -> None:
        """Note it, over what was noted of the address before."""

    def accept(self, address: str) -> None:
        """Forget that the address refused anything; idempotent."""

    def choose(self, user_id: str, unwanted: Iterable[EventKind]) -> None:
        """The person does without mails of these kinds, and of no others."""


EARLIER = ""
"""In the place of a provider's id: the revocations that were written down before each provider had its own list."""


class RevocationStore(Protocol):
    def add(self, revocation: Revocation) -> None: ...

    def add_all(self, revocations: Sequence[Revocation]) -> None:
        """Store many in batches; one that is there already is written over."""

    def claim(self, revocation: Revocation) -> None:
        """Store the next attempt's time and the count with this one. Raises Conflict when somebody was faster, or it
        is gone.
        """

    def delete(self, revocation_id: str) -> None:
        """Idempotent."""

    def due(self, provider_id: str, now: int) -> Iterator[Revocation]:
        """Those of a provider, or `EARLIER`, whose next attempt is due, earliest first, read as they are taken.

        May miss one for a moment, and gives none that is not due.
        """

    def any_of(self, provider_id: str, generation: int) -> bool:
        """True while a revocation still needs the key of this generation."""


class RemovalStore(Protocol):
    def add(self, removal: Removal) -> None:
        """Store it, over what was said of it before."""

    def count(self, removal_id: str, provider_id: str, at: int, *, of: str, **counted: int) -> None:
        """Add to counters of `CloudReceipt`, whether or not the removal itself is stored yet.

        `of` names what is counted: the same, counted twice running, counts once.
        """

    def receipt(self, removal_id: str) -> Receipt:
        """As of the last write (strongly consistent). Raises NotFound."""

    def recent(self, *, limit: int) -> list[Removal]:
        """The last ones, newest first; may lag by a moment."""


class UserAliasStore(Protocol):
    """Where to look for people by name. A claim proves nothing: the record of the person decides (R91)."""

    def claim(self, user_id: str, aliases: Iterable[str], at: int) -> None:
        """Note that a person is called so since `at` (epoch seconds)."""

    def claims(self, alias: str) -> tuple[AliasClaim, ...]:
        """Who has been called so, and not let go of it (strongly consistent); by id."""

    def release(self, alias: str, claims: Iterable[AliasClaim]) -> None:
        """Take exactly these claims away; one that was made meanwhile stays. Idempotent."""


class ReleaseStore(Protocol):
    def load(self, application_id: str, provider_id: str, name: str, account: str = "") -> ReleaseHolding:
        """Application, provider, its key, person and grant in one consistent read.

        `name` is a user id or a normalized alias. An alias names who claims it if the record that was read along bears
        it (R91); where several claim it nobody is named, and `owners` has them all. `account` names one of the person's
        cloud accounts there, without it the default is meant (`domain.accounts.chosen`). Nothing is remembered but
        where to look: what is read decides, so that a stop counts on the next call (R76).
        """


class JwtVerifier(Protocol):
    def unverified(self, token: Secret) -> dict[str, Any]:
        """The claims as they stand there, to find out what to read; empty for what is no JWT. They prove nothing."""

    def header(self, token: Secret) -> dict[str, Any]:
        """The header in the same way: by which key, and how, it claims to be signed."""

    def verify(self, token: Secret, keys: Sequence[ApplicationKey]) -> dict[str, Any]:
        """The claims, signed by the key that `kid` names, with that key's algorithm. Raises InvalidJwt."""

    def verify_issued(self, token: Secret, issuer: TrustedIssuer) -> dict[str, Any]:
        """The claims, signed by a key that the issuer publishes. Raises InvalidJwt, or a CloudError for its keys."""


class AuditLog(Protocol):
    def record(self, event: AuditEvent) -> None:
        """Append one entry. Raises StorageUnavailable: an act that cannot be recorded is not reported as done."""

    def recording(self, *events: AuditEvent) -> AbstractContextManager[None]:
        """The entries of an act go with the first write inside: all are stored, or none (R93).

        Where nothing is written inside, they are appended at the end: an act that changes nothing is recorded, too.
        An error that comes before the write leaves no entry. Raises StorageUnavailable.
        """

    def record_all(self, events: Sequence[AuditEvent]) -> None:
        """Append many entries in batches. Raises StorageUnavailable; some may be there then."""

    def record_once(self, event: AuditEvent, entry_id: str, at: int) -> None:
        """Append the entry that `entry_id` and `at` (epoch seconds) name. Raises Conflict when it is there already."""

    def entries(self, period: Period, *, before: str | None = None) -> Iterator[AuditEntry]:
        """Every entry of these days, newest first, read as they are taken (strongly consistent).

        `before` goes on below the position of an entry, whether or not that entry is still there.
        """

    def of_user(self, user_id: str, *, period: Period | None = None, before: str | None = None) -> Iterator[AuditEntry]:
        """The entries about one user, in the same way; may lag a write by a moment."""

    def stored(self, begin: str, end: str) -> Iterator[StoredEntry]:
        """What is stored from position `begin` up to, not including, `end`, in order (strongly consistent)."""


class PersonalItems(Protocol):
    def at_hand(self, person: DataSubject) -> Iterator[StoredItem]:
        """What keys and lists lead to: all that a person meets in the vault; of the audit log the newest entries."""

    def everywhere(self, person: DataSubject) -> Iterator[StoredItem]:
        """Every item about the person; reads the whole tables."""

    def erase(self, stored: StoredItem, person: DataSubject) -> bool:
        """Do what an erasure does with items of this kind. False: it stays, or says still who it was.

        Raises Conflict where somebody else writes it all the time.
        """


class SealStore(Protocol):
    def tip(self) -> Tip | None:
        """Where the chain ends, as of the last seal that was ever added, whether or not that is still there."""

    def add(self, seal: Seal) -> None:
        """Store a seal, once. Raises Conflict when one begins there already."""

    def between(self, begin: str, end: str) -> Iterator[Seal]:
        """The seals that begin from `begin` up to, not including, `end`, in order.

        One that cannot be read comes with the number 0 and no MAC.
        """

    def before(self, begin: str) -> Seal | None:
        """The last seal that begins before `begin`."""


class AuditKey(Protocol):
    def mac(self, message: bytes) -> bytes:
        """Authenticate up to 4,096 bytes with a key that nobody can read."""

    def is_valid(self, message: bytes, mac: bytes) -> bool:
        """Whether `mac` is what this key gave for `message`."""


class Box(Protocol):
    """An unlocked provider key: encrypts and decrypts without any further call."""

    def encrypt(self, plaintext: bytes, context: Mapping[str, str]) -> bytes:
        """`plaintext` bound to `context`."""

    def decrypt(self, ciphertext: bytes, context: Mapping[str, str]) -> bytes:
        """Raises IntegrityViolation for anything but what `encrypt` gave for the same context."""


class TokenCipher(Protocol):
    def new_key(self, provider_id: str, generation: int) -> ProviderKey:
        """A fresh 256-bit data key wrapped under the company's KMS key."""

    def unlock(self, key: ProviderKey) -> AbstractContextManager[Box]:
        """Unwrap the key (one KMS call) for the length of a `with` block, then drop it."""

    def rewrap(self, key: ProviderKey) -> ProviderKey | None:
        """The same data key, wrapped anew under the current KMS key and tried; its plain form stays inside KMS.

        None where an earlier KMS key is named and this one is wrapped under the current one already.
        """


@dataclass(frozen=True, slots=True)
class Client:
    """The vault as a client of one authorization server."""

    id: str
    secret: Secret
    server: AuthorizationServer
    older_secret: Secret | None = None
    """Tried where the cloud does not take the newest one any more, or not yet."""


PostAsPerson = Callable[[str, Mapping[str, Any]], Mapping[str, Any]]
"""Post a JSON object to an address with a person's access token, and give what comes back, or raise a CloudError."""
Completion = Callable[[Mapping[str, Any], PostAsPerson], Mapping[str, Any]]


class OAuthClient(Protocol):
    def authorization_url(
        self, request: AuthorizationRequest, provider_type: ProviderType, *, state: str, code_verifier: str, again: bool
    ) -> str:
        """Where to send the browser (RFC 6749 4.1.1, RFC 7636 4.3). `again`: let the person choose the account."""

    def exchange_code(
        self,
        client: Client,
        provider_type: ProviderType,
        request: AuthorizationRequest,
        *,
        code: str,
        code_verifier: Secret,
        brought: Mapping[str, str] | None = None,
    ) -> tuple[TokenSet, CloudAccount]:
        """Exchange the code once (never retried) and learn whose account it is, the id_token verified.

        `brought`: what the callback said by the type's `callback_fields`; what the cloud says itself comes before it.

        Raises a CloudError, with `received` set where the cloud had given tokens by then.
        """

    def identify(
        self,
        client: Client,
        request: AuthorizationRequest,
        *,
        code: str,
        code_verifier: Secret,
        asks_userinfo: bool,
        complete: Completion | None = None,
    ) -> Identity:
        """Exchange the code once, for nothing but the id_token and its verified claims (OpenID Connect Core 3.1.3).

        `asks_userinfo`: with what the userinfo endpoint adds, where the server has one. `complete` gets these claims
        and gives those that count; what it may post is sent with the access token, which it does not see.

        Raises a CloudError.
        """

    def refresh(self, client: Client, provider_type: ProviderType, tokens: TokenSet) -> TokenSet:
        """Send the refresh token once (RFC 6749 6); the answer's own refresh token, or the one it was sent.

        Raises CloudRefused (final), CloudMisconfigured (for everybody), CloudRefusalUnclear (either, or neither),
        CloudUnavailable, or CloudAnswerInvalid for what nobody understands.
        """

    def revoke(self, client: Client, provider_type: ProviderType, tokens: TokenSet) -> None:
        """End the authorization as the type has it. Returns when the cloud confirmed, else raises a CloudError."""

    def discover(self, issuer: str) -> AuthorizationServer:
        """Read the OpenID Connect discovery document of `issuer`. Raises a CloudError."""

    def clock_ahead(self, issuer: str) -> int | None:
        """Seconds by which the clock of the issuer's server is ahead of ours; None where it does not say.

        Raises a CloudError.
        """

    def endpoint_faults(self, server: AuthorizationServer) -> Mapping[str, str]:
        """What is wrong with the server's endpoints (R103): a sentence for each, by the names of its `endpoints`.

        Scheme, host and every address that the host resolves to count. Empty where nothing is wrong.
        """


class ProviderCheck(Protocol):
    def check(
        self, provider: Provider, provider_type: ProviderType, client: Client, redirect_uri: str
    ) -> tuple[Step, ...]:
        """Try the provider as far as that goes without a person. Raises nothing: faults are steps."""


class Catalogue(Protocol):
    def all(self) -> list[ProviderType]:
        """Every provider type, by name."""

    def get(self, type_id: str) -> ProviderType:
        """Raises NotFound."""

    def stored(self, type_id: str) -> ProviderType:
        """That of a provider that is stored: one that knows the standards alone where this version has none of the id.

        So after a step back to an earlier version, whose catalogue is shorter (R94).
        """
