"""The audit log for administrators: a page to search in, and the same as a file."""

import json
from enum import StrEnum
from typing import TypeVar

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.audit import AuditEntry, AuditFilter, AuditTag, Outcome, Period
from chalicelib.domain.errors import InvalidRequest
from chalicelib.services.audit import AuditService
from chalicelib.web import csv_file
from chalicelib.web.answers import Answer, File, Page
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.forms import Fields, day
from chalicelib.web.pages import AuditFilterForm, AuditRow, ProviderChoice
from chalicelib.web.request import Request
from chalicelib.web.route import Route

_PAGE = "/admin/audit"
_FILTER = ("from", "to", "user", "actor", "tag", "outcome", "provider")
_COLUMNS = (
    "time", "event", "result", "actor_id", "actor", "user_id", "user", "provider_id", "source", "browser", "request_id",
    "facts", "entry",
)  # fmt: skip
_NOBODY = "-"

Word = TypeVar("Word", bound=StrEnum)


def blueprint(endpoints: Endpoints, audit: AuditService) -> Blueprint:
    routes = Blueprint(__name__)

    def read(query: Fields) -> tuple[AuditFilter, Period]:
        chosen = AuditFilter(
            user=query.searched("user", "On whom"),
            actor=query.searched("actor", "Who"),
            tag=_word(AuditTag, query.text("tag")),
            outcome=_word(Outcome, query.text("outcome")),
            provider_id=query.text("provider"),
        )
        return chosen, audit.period(day(query.text("from")), day(query.text("to")))

    @endpoints.route(routes, Route("GET", _PAGE, Access.ADMINISTRATOR, query=(*_FILTER, "cursor")))
    def show(request: Request) -> Answer:
        chosen, period = read(request.query)
        cursor = request.query.text("cursor")
        found = audit.page(chosen, period, cursor)
        names = audit.provider_names()
        context = {
            "filter": AuditFilterForm(f"{period.first}", f"{period.last}", chosen),
            "tags": tuple(AuditTag),
            "outcomes": tuple(Outcome),
            "providers": tuple(ProviderChoice(provider_id, name) for provider_id, name in names.items()),
            "rows": tuple(_row(entry, names) for entry in found.entries),
            "next_cursor": found.next_cursor,
            "searched_to": found.searched_to,
            "is_first_page": not cursor,
        }
        return Page("audit.html", context)

    @endpoints.route(routes, Route("GET", f"{_PAGE}/export", Access.ADMINISTRATOR, query=_FILTER))
    def export(request: Request) -> Answer:
        chosen, period = read(request.query)
        body = csv_file.render(_COLUMNS, (_cells(entry) for entry in audit.export(chosen, period)))
        name = f"audit-{period.first}-to-{period.last}.csv"
        return File(body, csv_file.CSV_TYPE, "no-store", name)

    return routes


def _word(words: type[Word], text: str) -> Word | None:
    try:
        return words(text) if text else None
    except ValueError:
        raise InvalidRequest from None


def _row(entry: AuditEntry, providers: dict[str, str]) -> AuditRow:
    event = entry.event
    actor_id = "" if event.actor == _NOBODY else event.actor
    return AuditRow(
        at=entry.at,
        tag=event.tag,
        outcome=event.outcome,
        actor_id=actor_id,
        actor=event.actor_name or actor_id,
        user_id=event.user_id,
        user=event.user_name or event.user_id,
        provider=providers.get(event.provider_id, event.provider_id),
        origin=event.origin,
        facts=tuple(sorted(event.facts.items())),
    )


def _cells(entry: AuditEntry) -> tuple[str, ...]:
    event, origin = entry.event, entry.event.origin
    cells = (
        csv_file.moment(entry.at),
        event.tag.value,
        event.outcome.value,
        event.actor,
        event.actor_name,
        event.user_id,
        event.user_name,
        event.provider_id,
        origin.source,
        origin.browser,
        origin.request_id,
        json.dumps(event.facts, ensure_ascii=False, sort_keys=True) if event.facts else "",
        entry.position,
    )
    return tuple("" if cell == _NOBODY else cell for cell in cells)
