"""Undelivered: events and mails that were given up, and sending them again."""

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.errors import InvalidRequest
from chalicelib.domain.event import Channel
from chalicelib.services.events import EventService
from chalicelib.web.answers import Answer, Page, Redirect
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.request import Request
from chalicelib.web.route import Route

from .client_changes import actor_of

_PAGE = "/admin/undelivered"


def blueprint(endpoints: Endpoints, events: EventService) -> Blueprint:
    routes = Blueprint(__name__)

    @endpoints.route(routes, Route("GET", _PAGE, Access.ADMINISTRATOR))
    def show(_request: Request) -> Answer:
        return Page("undelivered.html", {"rows": tuple(events.lost())})

    @endpoints.route(routes, Route("POST", f"{_PAGE}/send", Access.ADMINISTRATOR, fields=("event", "channel")))
    def send(request: Request) -> Answer:
        events.send_again(request.form.one("event"), _channel(request), actor_of(request), request.origin)
        return Redirect(_PAGE)

    @endpoints.route(routes, Route("POST", f"{_PAGE}/send-all", Access.ADMINISTRATOR))
    def send_all(request: Request) -> Answer:
        events.send_all_again(actor_of(request), request.origin)
        return Redirect(_PAGE)

    return routes


def _channel(request: Request) -> Channel:
    try:
        return Channel(request.form.one("channel"))
    except ValueError:
        raise InvalidRequest from None
