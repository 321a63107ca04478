"""Who administrates beside the groups of the settings: few, in one item, so that one read decides."""

from dataclasses import asdict

from chalicelib.domain.administrators import Appointment, Appointments
from chalicelib.domain.audit import Actor
from chalicelib.domain.directory import stored_group_key
from chalicelib.domain.errors import Conflict

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
        entries = (
            Appointment(**{**entry, "key": stored_group_key(entry["key"]), "by": Actor(**entry["by"])})
            for entry in item["entries"]
        )
        return Appointments(tuple(entries), item["version"])

    def save(self, appointments: Appointments) -> None:
        condition = Condition.equals(version=appointments.version) if appointments.version else Condition.absent(KEY)
        entries = [asdict(entry) for entry in appointments.entries]
        try:
            self._table.put(_ITEM | {"entries": entries, "version": appointments.version + 1}, condition)
        except ConditionFailed:
            raise Conflict from None
