"""Administrators: who they are by the settings, whom they have appointed, and since when."""

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.errors import DirectoryUnavailable, InvalidRequest, NotFound
from chalicelib.services.administrators import AdministratorService
from chalicelib.web.answers import Answer, Page, Redirect
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.pages import FormView
from chalicelib.web.request import Request
from chalicelib.web.route import Route

_PAGE = "/admin/administrators"
_RECENT = "administrators"


def blueprint(endpoints: Endpoints, administrators: AdministratorService) -> Blueprint:
    routes = Blueprint(__name__)

    def page(form: FormView | None = None, problem: str = "", status: int = 200) -> Page:
        context = {
            "groups": tuple(sorted(administrators.groups)),
            "entries": administrators.all().entries,
            "form": form or FormView({}),
            "problem": problem,
        }
        return Page("administrators.html", context, status)

    @endpoints.route(routes, Route("GET", _PAGE, Access.ADMINISTRATOR))
    def show(_request: Request) -> Answer:
        return page()

    @endpoints.route(routes, Route("POST", _PAGE, Access.ADMINISTRATOR, fields=("who",), recent_login_for=_RECENT))
    def appoint(request: Request) -> Answer:
        who = request.form.text("who")
        try:
            administrators.appoint(request.session.user, who, request.origin)
        except (InvalidRequest, NotFound, DirectoryUnavailable) as error:
            return page(FormView({"who": who}, {"who": error.message}), status=400)
        return Redirect(_PAGE)

    @endpoints.route(
        routes,
        Route("POST", f"{_PAGE}/dismiss", Access.ADMINISTRATOR, fields=("key",), recent_login_for=_RECENT),
    )
    def dismiss(request: Request) -> Answer:
        try:
            administrators.dismiss(request.session.user, request.form.one("key"), request.origin)
        except InvalidRequest as error:
            return page(problem=error.message, status=400)
        except NotFound:
            # Gone already is what was wanted
            return Redirect(_PAGE)
        return Redirect(_PAGE)

    return routes
