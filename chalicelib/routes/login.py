"""Logging in, confirming who one is, signing out."""

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.errors import DirectoryUnavailable, InvalidRequest, LoginRefused
from chalicelib.domain.secret import Secret
from chalicelib.ports import Random
from chalicelib.services.login import LoginService
from chalicelib.services.sessions import SessionService
from chalicelib.web import csrf
from chalicelib.web.answers import Answer, Page, Redirect
from chalicelib.web.cookies import Cookie
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.errors import status_of
from chalicelib.web.request import Request
from chalicelib.web.route import Route

HINTS = {
    "ended": "Your session has ended. Please log in again.",
    "consent": (
        "Your session ended while you were at the cloud, so nothing was authorized. "
        "Please log in and choose “Authorize” again."
    ),
    "signed-out": "You are signed out.",
}
"""Sentences that a redirect to the log-in page may ask for by name; text from an address is never shown (R17)."""

NEXT_PAGES = {"tokens": "/admin/tokens"}
"""Where one may go on after confirming the password, by name: no address is ever taken from a request (R47)."""


def blueprint(endpoints: Endpoints, login: LoginService, sessions: SessionService, random: Random) -> Blueprint:
    routes = Blueprint(__name__)
    names = endpoints.cookie_names

    def form(request: Request, *, user_name: str = "", error: str = "", info: str = "", status: int = 200) -> Page:
        # The form's token belongs to a cookie of its own, replaced at log-in: R11
        cookie = request.cookies.get(names.login) or random.token()
        context = {"user_name": user_name, "error": error, "info": info, "csrf": csrf.token(cookie)}
        return Page("login.html", context, status, cookies=(Cookie(names.login, cookie),))

    def confirmation(request: Request, next_page: str, *, error: str = "", status: int = 200) -> Page:
        if next_page not in NEXT_PAGES:
            raise InvalidRequest
        context = {"login_name": request.session.user.login_name, "error": error, "next": next_page}
        return Page("confirm.html", context, status)

    @endpoints.route(routes, Route("GET", "/", Access.PUBLIC))
    def home(_request: Request) -> Answer:
        return Redirect("/providers")

    @endpoints.route(routes, Route("GET", "/login", Access.PUBLIC, query=("hint",)))
    def show(request: Request) -> Answer:
        cookie = request.cookies.get(names.session)
        if cookie and sessions.find(cookie):
            return Redirect("/providers")
        return form(request, info=HINTS.get(request.query.text("hint"), ""))

    @endpoints.route(routes, Route("POST", "/login", Access.PUBLIC, fields=("user_name", "password")))
    def log_in(request: Request) -> Answer:
        user_name, password = request.form.one("user_name"), Secret(request.form.one("password"))
        try:
            started = login.log_in(user_name, password, request.browser, request.origin)
        except (LoginRefused, DirectoryUnavailable) as error:
            return form(request, user_name=user_name, error=error.message, status=status_of(error))
        cookies = (Cookie(names.session, started.cookie.reveal()), Cookie(names.login, ""))
        return Redirect("/providers", cookies=cookies)

    @endpoints.route(routes, Route("GET", "/login/confirm", Access.USER, query=("next",)))
    def ask(request: Request) -> Answer:
        return confirmation(request, request.query.one("next"))

    @endpoints.route(routes, Route("POST", "/login/confirm", Access.USER, fields=("password", "next")))
    def confirm(request: Request) -> Answer:
        next_page, password = request.form.one("next"), Secret(request.form.one("password"))
        if next_page not in NEXT_PAGES:
            raise InvalidRequest
        try:
            started = login.confirm(request.session, password, request.browser, request.origin)
        except (LoginRefused, DirectoryUnavailable) as error:
            return confirmation(request, next_page, error=error.message, status=status_of(error))
        return Redirect(NEXT_PAGES[next_page], cookies=(Cookie(names.session, started.cookie.reveal()),))

    @endpoints.route(routes, Route("POST", "/logout", Access.USER))
    def log_out(request: Request) -> Answer:
        sessions.end(request.session, request.origin)
        cookies = (Cookie(names.session, ""), Cookie(names.flow, ""))
        # Without "cache": every page is no-store already, and browsers take seconds to clear one
        return Redirect("/login?hint=signed-out", cookies, {"Clear-Site-Data": '"cookies", "storage"'})

    return routes
