"""Which addresses refused mails, and which mails people do without."""

from collections.abc import Iterable
from dataclasses import dataclass

from chalicelib.domain.event import EventKind
from chalicelib.domain.mail import KEPT_SECONDS, MailRefusal, MailStanding

from .items import Item, load, readable
from .table import Table
from .tables import EXPIRES, KEY, SORT

WISHES = "MAIL"


class DynamoMailStore:
    """Implements `ports.MailStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def standing(self, user_id: str, address: str) -> MailStanding:
        refused, wishes = _address_key(address), _wishes_key(user_id)
        found = {item[SORT]: item for item in self._table.get_with([refused, wishes])}
        # What cannot be read is none: at worst a mail more
        refusals = readable("mail refusal", _there(found, refused), lambda item: load(MailRefusal, item))
        unwanted = readable("mail wishes", _there(found, wishes), lambda item: load(_Wishes, item))
        return MailStanding(next(refusals, None), next((one.unwanted for one in unwanted), frozenset()))

    def refuse(self, refusal: MailRefusal) -> None:
        values = {"address": refusal.address, "kind": refusal.kind.value, "at": refusal.at}
        self._table.put(_address_key(refusal.address) | values | {EXPIRES: refusal.at + KEPT_SECONDS})

    def accept(self, address: str) -> None:
        self._table.delete(_address_key(address))

    def choose(self, user_id: str, unwanted: Iterable[EventKind]) -> None:
        self._table.put(_wishes_key(user_id) | {"unwanted": sorted(kind.value for kind in unwanted)})


@dataclass(frozen=True, slots=True)
class _Wishes:
    unwanted: frozenset[EventKind]


def _there(found: dict[str, Item], key: Item) -> list[Item]:
    return [found[key[SORT]]] if key[SORT] in found else []


def _address_key(address: str) -> Item:
    return {KEY: f"ADDRESS#{address.casefold()}", SORT: "REFUSAL"}


def _wishes_key(user_id: str) -> Item:
    return {KEY: f"USER#{user_id}", SORT: WISHES}
