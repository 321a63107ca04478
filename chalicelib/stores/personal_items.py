"""Everything that is stored about one person, whichever kind of item it is in, and taking it away."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from itertools import islice
from typing import Any

from chalicelib.domain.errors import Conflict
from chalicelib.domain.event import Channel
from chalicelib.domain.personal_data import (
    ALIAS,
    AUDIT_ENTRY,
    KNOWN_BROWSER,
    AtErasure,
    DataSubject,
    StoredIn,
    StoredItem,
    kind_of,
)
from chalicelib.domain.stop import StopKind
from chalicelib.ports import UserAliasStore

from .audit_log import names_in
from .copies import has_copy
from .items import Item
from .stops import stop_key
from .table import WRITER, Condition, ConditionFailed, Table
from .tables import KEY, LISTING, SESSIONS_OF_USER, SORT
from .user_aliases import alias_key

MOST_ENTRIES = 3000
"""Of the audit log, for somebody's own page: so many fit into one answer of a Lambda function (6 MB)."""
_MOST_LISTED = 1000
"""Of a list with items of everybody, such as what waits for a cloud."""
_PAGE = 100
_ATTEMPTS = 3


class DynamoPersonalItems:
    """Implements `ports.PersonalItems`."""

    def __init__(self, vault: Table, copied: Table, keys: Table, sessions: Table, aliases: UserAliasStore) -> None:
        self._tables = {StoredIn.VAULT: vault, StoredIn.KEYS: keys, StoredIn.SESSIONS: sessions}
        self._copied = copied
        self._aliases = aliases

    def at_hand(self, person: DataSubject) -> Iterator[StoredItem]:
        vault, sessions = self._tables[StoredIn.VAULT], self._tables[StoredIn.SESSIONS]
        signed_in = list(sessions.query_all(Condition.equals(user_id=person.id), index=SESSIONS_OF_USER))
        yield from self._about(person, StoredIn.SESSIONS, iter(signed_in))
        requests = (sessions.get({KEY: f"REQUEST#{state}"}) for one in signed_in for state in one["open_requests"])
        yield from self._about(person, StoredIn.SESSIONS, filter(None, requests))
        yield from self._about(person, StoredIn.VAULT, vault.query_all(_partition(f"USER#{person.id}")))
        yield from self._about(person, StoredIn.VAULT, iter(vault.get_all(_keys(person))))
        providers = list(vault.query_all(_partition("PROVIDERS")))
        yield from self._about(person, StoredIn.VAULT, iter(providers))
        for kind in (StopKind.EVERYTHING, StopKind.PROVIDER):
            yield from self._about(person, StoredIn.VAULT, vault.query_all(_partition(f"STOPS#{kind.value}")))
        lists = ["CLIENTS", "REMOVALS", "OUTBOX#dead", *(f"OUTBOX#{one.value}" for one in Channel)]
        lists += ["REVOCATIONS", *(f"REVOCATIONS#{one[SORT]}" for one in providers)]
        for name in lists:
            yield from self._about(person, StoredIn.VAULT, self._listed(name, _MOST_LISTED))
        yield from self._about(person, StoredIn.VAULT, self._listed(f"AUDIT#{person.id}", MOST_ENTRIES))

    def everywhere(self, person: DataSubject) -> Iterator[StoredItem]:
        for name, table in self._tables.items():
            yield from self._about(person, name, table.scan())

    def _listed(self, listing: str, most: int) -> Iterator[Item]:
        return islice(self._pages(listing), most)

    def _pages(self, listing: str) -> Iterator[Item]:
        """Newest first."""
        condition, after = Condition(f"#{LISTING.key} = :listing", {"listing": listing}), None
        while True:
            page = self._tables[StoredIn.VAULT].listed(
                condition, index=LISTING, limit=_PAGE, after=after, descending=True
            )
            yield from page.items
            after = page.last_key
            if after is None:
                return

    @staticmethod
    def _about(person: DataSubject, table: StoredIn, items: Iterator[Item]) -> Iterator[StoredItem]:
        for item in items:
            kind = kind_of(table, item)
            if person.is_told_of(kind, item):
                yield StoredItem(kind, table, item)

    def erase(self, stored: StoredItem, person: DataSubject) -> bool:
        try:
            return self._erase(stored, person)
        except ConditionFailed:
            raise Conflict from None

    def _erase(self, stored: StoredItem, person: DataSubject) -> bool:
        table, key, kind = self._tables[stored.table], _key_of(stored), stored.kind
        if stored.table is StoredIn.VAULT and has_copy(key):
            # So that no restore brings the names back
            table = self._copied
        if kind is AUDIT_ENTRY:
            return _take_names_out(table, key, stored.item, person)
        if kind is ALIAS:
            name = str(stored.item[KEY]).removeprefix("ALIAS#")
            self._aliases.release(name, [one for one in self._aliases.claims(name) if one.user_id == person.id])
        elif kind is KNOWN_BROWSER and (others := _others(stored.item, person)):
            _put(table, {**stored.item, "accounts": others})
        elif key == stop_key(StopKind.PERSON, person.id) or (kind and kind.at_erasure is AtErasure.DELETED):
            table.delete(key)
        elif kind and kind.at_erasure is AtErasure.NAMES_GO:
            _rewrite(table, stored.item, person)
        else:
            return False
        return True


def _others(browser: Mapping[str, Any], person: DataSubject) -> list[str]:
    return [one for one in browser.get("accounts", ()) if not person.is_in(one) and not person.is_called(one)]


def _take_names_out(table: Table, key: Item, entry: Mapping[str, Any], person: DataSubject) -> bool:
    """True where the entry names the person by no more than the id from now on."""
    names = names_in(entry, person.id)
    if names:
        expression = "REMOVE " + " , ".join(f"#{one}" for one in names)
        with suppress(ConditionFailed):
            # Past its time meanwhile
            table.update(key, expression, {}, Condition.present(KEY))
    return not person.is_called({name: one for name, one in entry.items() if name not in names})


def _rewrite(table: Table, item: Mapping[str, Any], person: DataSubject) -> None:
    found: Item | None = dict(item)
    for _ in range(_ATTEMPTS):
        if found is None or (changed := person.without(found)) == found:
            return
        try:
            _put(table, changed)
        except ConditionFailed as failure:
            found = failure.item
        else:
            return
    raise Conflict


def _put(table: Table, changed: Item) -> None:
    """Unless somebody else has written it since it was read: each write has its own writer. Raises ConditionFailed."""
    is_same = Condition.equals(**{WRITER: changed[WRITER]}) if WRITER in changed else Condition.present(KEY)
    table.put(changed, is_same)


def _partition(key: str) -> Condition:
    return Condition.equals(**{KEY: key})


def _key_of(stored: StoredItem) -> Item:
    """A spilled outcome has the sort key of its grant, where it is none."""
    return {name: stored.item[name] for name in ((KEY, SORT) if stored.table is StoredIn.VAULT else (KEY,))}


def _keys(person: DataSubject) -> list[Item]:
    """Of what stands under a key of its own."""
    keys = [alias_key(name) for name in sorted(person.names)]
    keys += [{KEY: f"ADDRESS#{person.email.casefold()}", SORT: "REFUSAL"}] if person.email else []
    return [*keys, stop_key(StopKind.PERSON, person.id), {KEY: "ADMINISTRATORS", SORT: "ADMINISTRATORS"}]
