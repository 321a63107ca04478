"""What the vault stores, kind by kind: of whom it tells, how long it is kept, and what an erasure does with it.

One list, which the export, the erasure, the page "Your data" and docs/privacy.md are made of. An item of no kind in it
is a mistake: tests fail, and an erasure says that it cannot account for it.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Self

from .aliases import aliases_of, claimed_by, normalized
from .ids import is_person_id
from .throttle import folded_name
from .user import UserRecord


class StoredIn(StrEnum):
    """The three tables, as the settings name them."""

    VAULT = "VAULT_TABLE"
    KEYS = "VAULT_KEYS_TABLE"
    SESSIONS = "VAULT_SESSIONS_TABLE"


class AtErasure(StrEnum):
    """What becomes of an item when the person it is about is erased."""

    NOBODY = "is about nobody"
    DELETED = "deleted"
    REVOKED = "revoked at the cloud where that is offered, then deleted"
    NAMES_GO = "stays without names; the id stays"
    STAYS = "stays"


@dataclass(frozen=True, slots=True)
class StoredKind:
    """One kind of item. `key` matches key and sort key with a slash between; `kept` says how long, for people.

    `names_alone`: attributes that name somebody without the id. `is_shared`: it tells of several people, so that each
    is shown no more of it than what is about them.
    """

    name: str
    table: StoredIn
    key: str
    of_people: str
    kept: str
    at_erasure: AtErasure
    names_alone: tuple[str, ...] = ()
    is_shared: bool = False

    def is_kind_of(self, table: StoredIn, key: str) -> bool:
        return self.table is table and re.fullmatch(self.key, key) is not None


_V, _K, _S = StoredIn.VAULT, StoredIn.KEYS, StoredIn.SESSIONS
_NOBODY, _DELETED, _STAYS, _NAMES = AtErasure.NOBODY, AtErasure.DELETED, AtErasure.STAYS, AtErasure.NAMES_GO

GRANT = StoredKind(
    "authorization", _V, r"USER#[^/]+/GRANT#(?!.*#preferred$).*",
    "cloud account (id and label), scopes, times; the token set, encrypted",
    "until it is revoked or removed; `VAULT_LEAVER_DAYS` after the account has gone", AtErasure.REVOKED,
)  # fmt: skip
TOMBSTONE = StoredKind(
    "removed authorization", _V, GRANT.key, "the same without the token set, so that the person reads why it is gone",
    "90 days", _DELETED,
)  # fmt: skip
RECORD = StoredKind(
    "user record", _V, r"USER#[^/]+/RECORD", "id, names, mail address, groups, place in the directory",
    "`VAULT_LEAVER_DAYS` after the account has gone", _DELETED,
)  # fmt: skip
AUDIT_ENTRY = StoredKind(
    "audit entry", _V, r"AUDIT#.+", "who did what to whom, from which address and browser, with which cloud account",
    "`VAULT_AUDIT_DAYS`", _NAMES, is_shared=True,
)  # fmt: skip
ALIAS = StoredKind(
    "alias", _V, r"ALIAS#.+", "a name, with the ids of those who are or were called so",
    "as long as the user record bears the name", _DELETED, is_shared=True,
)  # fmt: skip
KNOWN_BROWSER = StoredKind(
    "known browser", _S, r"BROWSER#.+", "that somebody has logged in with a browser: the id, or the name in one word",
    "90 days", _DELETED, names_alone=("accounts",), is_shared=True,
)  # fmt: skip
STOP = StoredKind(
    "stop", _V, r"STOPS#.+", "who may get no token and why; the administrator who said so",
    "until it is resumed; one of a person who is erased is deleted", _NAMES, is_shared=True,
)  # fmt: skip
REVOCATION = StoredKind(
    "pending revocation", _V, r"REVOCATION#.+", "cloud account; the tokens that must still end there, encrypted",
    "until the cloud has confirmed it, at most 7 days", _STAYS,
)  # fmt: skip

KINDS = (
    RECORD,
    ALIAS,
    GRANT,
    TOMBSTONE,
    StoredKind("default account", _V, r"USER#[^/]+/GRANT#.+#preferred", "which of several cloud accounts is meant",
               "as long as there is an authorization", _DELETED),
    StoredKind("block", _V, r"USER#[^/]+/BLOCK#.+", "an application that the person blocks",
               "until it is taken back; with the user record", _DELETED),
    StoredKind("mail preferences", _V, r"USER#[^/]+/MAIL", "the mails that the person does without",
               "with the user record", _DELETED),
    StoredKind("mail refusal", _V, r"ADDRESS#.+/REFUSAL", "an address that a mail came back from", "90 days", _DELETED,
               names_alone=("address",)),
    STOP,
    StoredKind("administrators", _V, r"ADMINISTRATORS/.+", "who was appointed when by whom", "until dismissed", _NAMES,
               is_shared=True),
    REVOCATION,
    StoredKind("event on its way", _V, r"EVENT#.+", "what befell an authorization: id, name, cloud account",
               "90 days", _DELETED),
    StoredKind("mails sent", _V, r"MAILS#.+", "nobody: when administrators were last written to", "90 days", _NOBODY),
    StoredKind("receipt of a removal", _V, r"REMOVAL#.+/HEAD", "the administrator, and whose tokens were removed",
               "400 days", _NAMES, names_alone=("people", "target_name"), is_shared=True),
    StoredKind("counts of a removal", _V, r"REMOVAL#.+/CLOUD#.+",
               "numbers for each cloud, and which authorization was counted last", "400 days", _NAMES, is_shared=True),
    StoredKind("provider", _V, r"PROVIDERS/(?!#).+", "the administrator who removed its tokens, in the order to do so",
               "until it is deleted", _NAMES, is_shared=True),
    StoredKind("removal of everything", _V, r"PROVIDERS/#EVERYTHING", "the administrator who ordered it",
               "for good, the last one", _NAMES, is_shared=True),
    StoredKind("application", _V, r"CLIENT#.+", "the people whom a rule names, and the administrator who stopped it",
               "until it is deleted", _NAMES, names_alone=("stopped_by",), is_shared=True),
    StoredKind("provider health", _V, r"HEALTH#.+", "digests of ids, of up to two people whose refresh failed",
               "until the cloud is well again", _STAYS),
    StoredKind("use of a day", _V, r"USE#.+", "nobody: numbers for each application and provider", "`VAULT_AUDIT_DAYS`",
               _NOBODY),
    StoredKind("note of an unreadable item", _V, r"UNREADABLE#.+", "nobody: the key of a revocation or event",
               "90 days", _NOBODY),
    StoredKind("cursor", _V, r"CURSOR#.+", "where a background function stopped in a list: an id, for some minutes",
               "until the next run", _STAYS, is_shared=True),
    StoredKind("sweep", _V, r"SWEEP/USERS", "where the round over all people is: an id, for some minutes",
               "until the next round", _STAYS, is_shared=True),
    StoredKind("believed domains", _V, r"SWEEP/BELIEVED", "nobody: domains whose people have left",
               "until the next one", _NOBODY),
    AUDIT_ENTRY,
    StoredKind("seal", _V, r"SEALS/.+", "nobody: digests of audit entries", "for good", _NOBODY),
    StoredKind("provider key", _K, r"(?!ENDED#)[^#]+#\d+", "nobody: a key, wrapped", "until its tokens are removed",
               _NOBODY),
    StoredKind("end of a grant", _K, r"ENDED#.+", "a digest of id, provider and account", "for good", _STAYS),
    StoredKind("copy", _K, r"COPY#.+", "ids: whom a stop is for, who blocked what; who is appointed",
               "for good, of what was deleted without its content", _STAYS, is_shared=True),
    StoredKind("start of the copies", _V, r"COPIES/.+", "nobody", "for good", _NOBODY),
    StoredKind("start of the copies, beside the keys", _K, r"COPIES", "nobody", "for good", _NOBODY),
    StoredKind("end of the seals", _K, r"AUDIT-SEALS", "nobody: a digest", "for good", _NOBODY),
    StoredKind("session", _S, r"SESSION#.+", "who is signed in with which browser, since when", "12 hours", _DELETED),
    StoredKind("authorization request", _S, r"REQUEST#.+", "who is on the way to which cloud", "10 minutes", _DELETED),
    StoredKind("counted tries", _S, r"TRIES#.+", "a digest of an account or address, and a number",
               "as long as the directory remembers wrong passwords; of an address 15 minutes", _STAYS),
    StoredKind("counted refusals", _S, r"USAGE#CALLS#refused .+", "a digest of a person or address, and a number",
               "2 minutes", _STAYS),
    StoredKind("usage", _S, r"USAGE#(?!CALLS#refused ).+", "a digest of a person for each application, and numbers",
               "2 hours", _STAYS),
    KNOWN_BROWSER,
    StoredKind("spilled outcome", _S, r"SPILL#.+", "an authorization as after a refresh that could not be stored",
               "30 days", _DELETED),
)  # fmt: skip
"""In the order in which people are told of them. Items that are past their time may stay two days more (DynamoDB)."""

ENCRYPTED = "stored, encrypted"
"""What is said of a token or another secret."""
_SECRETS = frozenset({"nonce", "id_token"})
_BOOKKEEPING = frozenset({
    "writer", "listing", "listed_as", "pk", "sk", "user_salt", "user_digest", "actor_salt", "actor_digest",
})  # fmt: skip


def kind_of(table: StoredIn, item: Mapping[str, Any]) -> StoredKind | None:
    """What an item is; None for a kind that is on no list."""
    key = "/".join(str(item[name]) for name in ("pk", "sk") if name in item)
    found = next((kind for kind in KINDS if kind.is_kind_of(table, key)), None)
    return TOMBSTONE if found is GRANT and item.get("state") == "removed" else found


@dataclass(frozen=True, slots=True)
class DataSubject:
    """Somebody whose data are looked for: the id, and what they are or were called, normalized."""

    id: str
    names: frozenset[str] = frozenset()
    login_name: str = ""
    email: str = ""

    @classmethod
    def of(cls, user_id: str, record: UserRecord | None, called: Collection[str] = ()) -> Self:
        """`called`: further names, for who has no record any more."""
        names = frozenset(filter(None, map(normalized, called)))
        if record is None:
            return cls(user_id, names, next(iter(called), ""))
        names |= claimed_by(record) | frozenset(aliases_of(record.user))
        return cls(user_id, names, record.user.login_name, record.user.email)

    def is_in(self, value: object) -> bool:
        """Whether the id is anywhere in it."""
        if isinstance(value, str):
            return self.id in value and re.search(rf"(?<![\w-]){re.escape(self.id)}(?![\w-])", value) is not None
        return any(map(self.is_in, _parts(value)))

    def is_called(self, value: object) -> bool:
        """Whether something in it is one of the names."""
        if isinstance(value, str):
            return normalized(value) in self.names or value in map(folded_name, self.names)
        return any(map(self.is_called, _parts(value)))

    def is_told_of(self, kind: StoredKind | None, item: Mapping[str, Any]) -> bool:
        """Whether the item is about this person. A name counts where no id could: another may have had it."""
        alone = kind.names_alone if kind else tuple(item)
        return self.is_in(item) or any(self.is_called(item.get(name, "")) for name in alone)

    def owns(self, kind: StoredKind, item: Mapping[str, Any]) -> bool:
        """Whether all of the item is about this person."""
        return not kind.is_shared or (kind is AUDIT_ENTRY and item.get("user_id") == self.id == item.get("actor"))

    def without(self, value: Any, of: str = "") -> Any:
        """The same with the id where a name stood, and in no list of people any more. `of` is the value's own name."""
        match value:
            case str():
                return self.id if of in _NAMES_OF_PEOPLE and normalized(value) in self.names else value
            case dict():
                is_mine = value.get("id") == self.id
                return {
                    name: self.id if is_mine and name == "name" else self.without(one, name)
                    for name, one in value.items()
                }
            case list():
                return [self.without(one, of) for one in value if not self._is_listed(one, of)]
        return value

    def _is_listed(self, one: Any, of: str) -> bool:
        """Whether a list lets this person do something: a rule of an application, the list of administrators."""
        return one == self.id if of in _PEOPLE else isinstance(one, dict) and one.get("key") == self.id


_PEOPLE = ("users",)
"""Lists of ids of people that a rule names."""
_NAMES_OF_PEOPLE = ("actor_name", "target_name", "stopped_by", "people")


@dataclass(frozen=True, slots=True)
class StoredItem:
    """An item as it is stored. `kind` None: of a kind that is on no list."""

    kind: StoredKind | None
    table: StoredIn
    item: Mapping[str, Any]

    @property
    def key(self) -> str:
        return "/".join(str(self.item[name]) for name in ("pk", "sk") if name in self.item)

    def for_person(self, person: DataSubject) -> dict[str, Any]:
        """What it says of this person, in plain fields: no secret, and nobody else."""
        item = {name: value for name, value in self.item.items() if name not in _BOOKKEEPING}
        if self.kind is AUDIT_ENTRY:
            return _plain(_without_others(item, person))
        if self.kind is None or person.owns(self.kind, self.item):
            return _plain(item)
        of = self.key.partition("#")[2] or self.key
        told = {} if self.kind is STOP else {"of": of.removesuffix("/CLIENT").removesuffix("/ALIAS")}
        return told | _plain(_about(item, person))


def _without_others(entry: dict[str, Any], person: DataSubject) -> dict[str, Any]:
    """An audit entry without the other person in it: who acted, or whom it was done to."""
    hidden: tuple[str, ...] = ()
    if entry.get("user_id") != person.id:
        hidden = ("user_id", "user_name", "about")
    elif entry.get("actor") != person.id and is_person_id(str(entry.get("actor"))):
        hidden = ("actor", "actor_name", "source", "browser")
    return {name: value for name, value in entry.items() if name not in hidden}


def _about(value: Any, person: DataSubject) -> Any:
    """The parts that are about this person, and their times."""
    if isinstance(value, Mapping):
        return {name: _about(one, person) for name, one in value.items() if _is_time(name) or _tells(one, person)}
    return [_about(one, person) for one in _parts(value) if _tells(one, person)] if _parts(value) else value


def _tells(value: object, person: DataSubject) -> bool:
    return person.is_in(value) or person.is_called(value)


def _is_time(name: str) -> bool:
    return name in ("at", "expires", "until") or name.endswith(("_at", "_since", "_until"))


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _plain_value(name, value) for name, value in item.items()}


def _plain_value(name: str, value: Any) -> Any:
    if isinstance(value, bytes) or name in _SECRETS:
        return ENCRYPTED
    if _is_time(name) and type(value) is int:
        return datetime.fromtimestamp(value, UTC).isoformat() if value else "never"
    if isinstance(value, Mapping):
        return _plain(value)
    return value if isinstance(value, str) or not _parts(value) else [_plain_value(name, one) for one in _parts(value)]


def _parts(value: object) -> Collection[object]:
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, (list, tuple, set, frozenset)) else ()
