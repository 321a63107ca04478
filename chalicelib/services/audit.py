"""Reading the audit log: administrators all of it, people what concerns themselves."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime

from chalicelib.domain.audit import AuditEntry, AuditFilter, Period, check_position
from chalicelib.domain.errors import InvalidRequest
from chalicelib.domain.ids import is_person_id
from chalicelib.domain.user import User
from chalicelib.ports import AuditLog, Clock, ProviderStore

PAGE_SIZE = 50
HISTORY_SIZE = 25
EXPORT_LIMIT = 5000
"""So many lines fit into one answer of a Lambda (6 MB)."""
MOST_DAYS = 31
DEFAULT_DAYS = 7
_SEARCH_LIMIT = 1000
"""So many entries are read for one page of a search, found or not: a rare word must not cost a whole month."""


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Some entries, newest first. `next_cursor` leads to older ones; None: that was all.

    `searched_to` is set when the search was cut short before the page was full: the time it has reached.
    """

    entries: tuple[AuditEntry, ...]
    next_cursor: str | None = None
    searched_to: int | None = None


class AuditService:
    """Answers questions about the past; changes nothing."""

    def __init__(self, audit_log: AuditLog, providers: ProviderStore, clock: Clock) -> None:
        self._audit_log = audit_log
        self._providers = providers
        self._clock = clock

    def provider_names(self) -> dict[str, str]:
        """Id and name of every provider there is now, by name."""
        return {provider.id: provider.name for provider in self._providers.all()}

    def period(self, first: date | None, last: date | None) -> Period:
        """The days that are meant where one or both were left out.

        Raises InvalidRequest where they are in the wrong order or too many.
        """
        last = last or max(self._today(), first or date.min)
        period = Period(first or date.fromordinal(max(last.toordinal() - DEFAULT_DAYS + 1, 1)), last)
        if period.days < 1:
            raise InvalidRequest("The first day is after the last one. Please choose other days.")
        if period.days > MOST_DAYS:
            raise InvalidRequest(f"Please choose at most {MOST_DAYS} days.")
        return period

    def page(self, chosen: AuditFilter, period: Period, cursor: str) -> AuditPage:
        """One page of the entries that match. Raises InvalidRequest for a cursor that is none."""
        return _page(self._found(chosen, period, cursor), chosen, PAGE_SIZE)

    def export(self, chosen: AuditFilter, period: Period) -> list[AuditEntry]:
        """All entries that match, newest first. Raises InvalidRequest when there are more than `EXPORT_LIMIT`."""
        entries: list[AuditEntry] = []
        for entry in self._found(chosen, period, ""):
            if chosen.matches(entry.event):
                entries.append(entry)
            if len(entries) > EXPORT_LIMIT:
                raise InvalidRequest(
                    f"More than {EXPORT_LIMIT:,} entries match, too many for one file. Please choose fewer days."
                )
        return entries

    def history(self, user: User, cursor: str) -> AuditPage:
        """One page of what happened to one person's own authorizations and sessions."""
        found = self._audit_log.of_user(user.id, before=check_position(cursor) if cursor else None)
        return _page(found, AuditFilter(), HISTORY_SIZE)

    def _found(self, chosen: AuditFilter, period: Period, cursor: str) -> Iterator[AuditEntry]:
        """Candidates: by the index where a user's id was given, otherwise everything in the period."""
        before = check_position(cursor) if cursor else None
        if is_person_id(chosen.user):
            return self._audit_log.of_user(chosen.user, period=period, before=before)
        return self._audit_log.entries(period, before=before)

    def _today(self) -> date:
        return datetime.fromtimestamp(self._clock.now(), UTC).date()


def _page(found: Iterable[AuditEntry], chosen: AuditFilter, size: int) -> AuditPage:
    entries: list[AuditEntry] = []
    last: AuditEntry | None = None
    for number, entry in enumerate(found):
        if last and len(entries) == size:
            return AuditPage(tuple(entries), last.position)
        if last and number == _SEARCH_LIMIT:
            return AuditPage(tuple(entries), last.position, searched_to=last.at)
        if chosen.matches(entry.event):
            entries.append(entry)
        last = entry
    return AuditPage(tuple(entries))
