"""Directory: administrators see how people log in, check it, and test one log-in step by step."""

from collections.abc import Sequence

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.directory import DirectorySettings
from chalicelib.domain.secret import Secret
from chalicelib.ports import Directory
from chalicelib.services.login import Client, LoginService
from chalicelib.web.answers import Answer, Page
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.pages import DirectoryView, StepsView
from chalicelib.web.request import Request
from chalicelib.web.route import Route

_PAGE = "/admin/directory"


def blueprint(
    endpoints: Endpoints, settings: Sequence[DirectorySettings], directory: Directory, login: LoginService
) -> Blueprint:
    routes = Blueprint(__name__)
    views = tuple(_view(one) for one in settings)

    def page(*results: StepsView, user_name: str = "") -> Page:
        return Page("directory.html", {"directories": views, "results": results, "user_name": user_name})

    @endpoints.route(routes, Route("GET", _PAGE, Access.ADMINISTRATOR))
    def show(_request: Request) -> Answer:
        return page()

    @endpoints.route(routes, Route("POST", f"{_PAGE}/check", Access.ADMINISTRATOR))
    def check(_request: Request) -> Answer:
        return page(*(StepsView(f"Check of {report.domain}", report.steps) for report in directory.check()))

    @endpoints.route(
        routes,
        Route(
            "POST",
            f"{_PAGE}/test",
            Access.ADMINISTRATOR,
            fields=("user_name", "password"),
            recent_login_for="directory",
        ),
    )
    def test(request: Request) -> Answer:
        user_name = request.form.one("user_name")
        # Not as the administrator's own browser: what it is known for must not lend somebody else more tries
        client = Client(request.browser, "", request.origin)
        steps = login.test(request.session.user.id, user_name, Secret(request.form.one("password")), client)
        return page(StepsView("What the test found", tuple(steps)), user_name=user_name)

    return routes


def _view(one: DirectorySettings) -> DirectoryView:
    return DirectoryView(
        domain=one.domain,
        kind=one.kind,
        servers=one.servers,
        reader=one.service_account,
        forms=one.user_name_forms,
        tries=one.budget.tries,
        minutes=one.lockout_minutes,
    )
