"""Applications: which programs can fetch one's tokens or did, and a block for each."""

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.services.reach import OwnApplication, ReachService
from chalicelib.web.answers import Answer, Page, Redirect
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.pages import OwnApplicationRow
from chalicelib.web.request import Request
from chalicelib.web.route import Route

_PAGE = "/applications"


def blueprint(endpoints: Endpoints, reach: ReachService) -> Blueprint:
    routes = Blueprint(__name__)

    @endpoints.route(routes, Route("GET", _PAGE, Access.USER))
    def show(request: Request) -> Answer:
        rows = tuple(_row(one) for one in reach.own(request.session.user))
        return Page("applications.html", {"rows": rows})

    @endpoints.route(routes, Route("POST", f"{_PAGE}/{{client}}/block", Access.USER))
    def block(request: Request) -> Answer:
        reach.block(request.session.user, request.path["client"], request.origin)
        return Redirect(_PAGE)

    @endpoints.route(routes, Route("POST", f"{_PAGE}/{{client}}/unblock", Access.USER))
    def unblock(request: Request) -> Answer:
        reach.unblock(request.session.user, request.path["client"], request.origin)
        return Redirect(_PAGE)

    return routes


def _row(one: OwnApplication) -> OwnApplicationRow:
    return OwnApplicationRow(
        id=one.id,
        name=one.name,
        providers=one.providers,
        fetched_at=one.fetched_at,
        fetched_from=one.fetched_from,
        blocked_at=one.blocked_at,
        is_registered=one.is_registered,
    )
