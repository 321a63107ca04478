"""People who left: administrators see whose directory account is gone, and decide about the authorizations."""

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.errors import InvalidRequest, NotFound
from chalicelib.domain.user import Departure, UserRecord
from chalicelib.services.leavers import BELIEVED_SECONDS, LeaverService
from chalicelib.web.answers import Answer, Page, Redirect
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.pages import AbsenceDialog, LeaverDialog, LeaverRow
from chalicelib.web.request import Request
from chalicelib.web.route import Route

_PAGE = "/admin/leavers"
_BELIEVE = f"{_PAGE}/believe"


def blueprint(endpoints: Endpoints, leavers: LeaverService) -> Blueprint:
    routes = Blueprint(__name__)

    def row(record: UserRecord) -> LeaverRow:
        return LeaverRow(
            user_id=record.user.id,
            user_name=record.user.login_name,
            display_name=record.user.display_name,
            departure=record.departure or Departure.DELETED,
            departed_at=record.departed_at,
            removal_at=leavers.removal_at(record),
            grants=leavers.grants_of(record),
        )

    def listed(cursor: str, dialog: LeaverDialog | AbsenceDialog | None = None) -> Page:
        page = leavers.departed(cursor or None)
        context = {
            "rows": tuple(row(record) for record in page.users),
            "next_cursor": page.next_cursor,
            "is_first_page": not cursor,
            "checked_at": leavers.progress().finished_at or None,
            "doubted": leavers.doubted(),
            "dialog": dialog,
        }
        return Page("leavers.html", context)

    @endpoints.route(routes, Route("GET", _PAGE, Access.ADMINISTRATOR, query=("cursor",)))
    def show(request: Request) -> Answer:
        return listed(request.query.text("cursor"))

    @endpoints.route(
        routes, Route("GET", _BELIEVE, Access.ADMINISTRATOR, query=("domain",), recent_login_for="leavers")
    )
    def ask_about_all(request: Request) -> Answer:
        domain = request.query.one("domain")
        if domain not in leavers.doubted():
            raise NotFound("Nobody of this domain is in doubt.")
        return listed("", AbsenceDialog(domain, BELIEVED_SECONDS // 3600, leavers.days))

    @endpoints.route(
        routes, Route("POST", _BELIEVE, Access.ADMINISTRATOR, fields=("domain",), recent_login_for="leavers")
    )
    def believe(request: Request) -> Answer:
        leavers.believe(request.session.user, request.form.one("domain"), request.origin)
        return Redirect(_PAGE)

    @endpoints.route(routes, Route("GET", f"{_PAGE}/{{user}}/remove", Access.ADMINISTRATOR, recent_login_for="leavers"))
    def ask(request: Request) -> Answer:
        return listed("", LeaverDialog(row(leavers.find(request.path["user"]))))

    @endpoints.route(
        routes,
        Route("POST", f"{_PAGE}/{{user}}/keep", Access.ADMINISTRATOR, fields=("keep",), recent_login_for="leavers"),
    )
    def keep(request: Request) -> Answer:
        wanted = request.form.one("keep")
        if wanted not in ("yes", "no"):
            raise InvalidRequest
        leavers.decide(request.session.user, request.path["user"], keep=wanted == "yes", origin=request.origin)
        return Redirect(_PAGE)

    @endpoints.route(
        routes, Route("POST", f"{_PAGE}/{{user}}/remove", Access.ADMINISTRATOR, recent_login_for="leavers")
    )
    def remove(request: Request) -> Answer:
        leavers.remove_now(request.session.user, request.path["user"], request.origin)
        return Redirect(_PAGE)

    return routes
