"""Activity: what happened to one's own authorizations and sessions."""

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.audit import AuditEntry
from chalicelib.services.audit import AuditService
from chalicelib.web.answers import Answer, Page
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.pages import ActivityItem
from chalicelib.web.request import Request
from chalicelib.web.route import Route


def blueprint(endpoints: Endpoints, audit: AuditService) -> Blueprint:
    routes = Blueprint(__name__)

    @endpoints.route(routes, Route("GET", "/activity", Access.USER, query=("cursor",)))
    def show(request: Request) -> Answer:
        cursor = request.query.text("cursor")
        found = audit.history(request.session.user, cursor)
        names = audit.provider_names()
        context = {
            "items": tuple(_item(entry, names) for entry in found.entries),
            "next_cursor": found.next_cursor,
            "is_first_page": not cursor,
        }
        return Page("activity.html", context)

    return routes


def _item(entry: AuditEntry, providers: dict[str, str]) -> ActivityItem:
    event = entry.event
    return ActivityItem(
        at=entry.at,
        tag=event.tag,
        outcome=event.outcome,
        provider=providers.get(event.provider_id, event.provider_id),
        by_other=event.actor != event.user_id,
        origin=event.origin,
        facts=event.facts,
        actor=event.actor_name or event.actor,
    )
