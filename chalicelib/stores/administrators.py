"""Who administrates beside the groups of the settings: few, in one item, so that one read decides."""

from dataclasses import asdict

from chalicelib.domain.administrators import Appointment, Appointments
from chalicelib.domain.directory import stored_group_key
from chalicelib.domain.errors import Conflict

from .items import Item, load, readable, version_of
from .table import Condition, ConditionFailed, Table
from .tables import KEY, SORT

_ITEM = {KEY: "ADMINISTRATORS", SORT: "ADMINISTRATORS"}


class DynamoAdministratorStore:
    """Implements `ports.AdministratorStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def get(self) -> Appointments:
        item = self._table.get(_ITEM)
        if item is None:
            return Appointments()
        # One that cannot be read appoints nobody, and is gone with the next change
        listed = item.get("entries")
        entries = [{**_ITEM, "entry": entry} for entry in (listed if isinstance(listed, list) else ())]
        return Appointments(tuple(readable("appointment", entries, _parsed)), version_of(item))

    def save(self, appointments: Appointments) -> None:
        condition = Condition.version(appointments.version) if appointments.version else Condition.absent(KEY)
        entries = [asdict(entry) for entry in appointments.entries]
        try:
            self._table.put(_ITEM | {"entries": entries, "version": max(appointments.version, 0) + 1}, condition)
        except ConditionFailed:
            raise Conflict from None


def _parsed(item: Item) -> Appointment:
    entry = item["entry"]
    return load(Appointment, {**entry, "key": stored_group_key(entry["key"])})
