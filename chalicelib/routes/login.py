"""Logging in, confirming who one is, signing out."""

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.errors import DirectoryUnavailable, InvalidRequest, LoginRefused, TooManyTries, VaultError
from chalicelib.domain.secret import Secret
from chalicelib.ports import Random
from chalicelib.services.login import Client, LoggedIn, LoginService
from chalicelib.services.sessions import SessionService
from chalicelib.services.throttle import KNOWN_BROWSER_SECONDS
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

NEXT_PAGES = {
    "tokens": "/admin/tokens",
    "administrators": "/admin/administrators",
    "directory": "/admin/directory",
    "leavers": "/admin/leavers",
    "clients": "/admin/clients",
    "providers": "/admin/providers",
    "stops": "/admin/stops",
}
"""Where one may go on after confirming the password, by name: no address is ever taken from a request (R47)."""


NO_LOGIN = (LoginRefused, TooManyTries, DirectoryUnavailable)
"""What may come of a try besides a session; each is told on the form itself."""


def blueprint(
    endpoints: Endpoints, login: LoginService, sessions: SessionService, random: Random, user_name_hint: str
) -> Blueprint:
    routes = Blueprint(__name__)
    names = endpoints.cookie_names

    def client(request: Request) -> Client:
        return Client(request.browser, request.cookies.get(names.browser, ""), request.origin)

    def cookies_of(logged_in: LoggedIn) -> tuple[Cookie, ...]:
        session = Cookie(names.session, logged_in.cookie.reveal())
        if logged_in.known_browser is None:
            return (session,)
        return session, Cookie(names.browser, logged_in.known_browser.reveal(), KNOWN_BROWSER_SECONDS)

    def form(request: Request, *, user_name: str = "", error: VaultError | None = None, info: str = "") -> Page:
        # The form's token belongs to a cookie of its own, replaced at log-in: R11
        cookie = request.cookies.get(names.login) or random.token()
        context = {
            "user_name": user_name,
            "user_name_hint": user_name_hint,
            "error": error.message if error else "",
            "info": info,
            "csrf": csrf.token(cookie),
        }
        cookies = (Cookie(names.login, cookie),)
        return Page("login.html", context, status_of(error) if error else 200, cookies, _retry_after(error))

    def confirmation(request: Request, next_page: str, error: VaultError | None = None) -> Page:
        if next_page not in NEXT_PAGES:
            raise InvalidRequest
        message = error.message if error else ""
        context = {"login_name": request.session.user.login_name, "error": message, "next": next_page}
        return Page("confirm.html", context, status_of(error) if error else 200, headers=_retry_after(error))

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
            logged_in = login.log_in(user_name, password, client(request))
        except NO_LOGIN as error:
            return form(request, user_name=user_name, error=error)
        return Redirect("/providers", (*cookies_of(logged_in), Cookie(names.login, "")))

    @endpoints.route(routes, Route("GET", "/login/confirm", Access.USER, query=("next",)))
    def ask(request: Request) -> Answer:
        return confirmation(request, request.query.one("next"))

    @endpoints.route(routes, Route("POST", "/login/confirm", Access.USER, fields=("password", "next")))
    def confirm(request: Request) -> Answer:
        next_page, password = request.form.one("next"), Secret(request.form.one("password"))
        if next_page not in NEXT_PAGES:
            raise InvalidRequest
        try:
            logged_in = login.confirm(request.session, password, client(request))
        except NO_LOGIN as error:
            return confirmation(request, next_page, error)
        return Redirect(NEXT_PAGES[next_page], cookies_of(logged_in))

    @endpoints.route(routes, Route("POST", "/logout", Access.USER))
    def log_out(request: Request) -> Answer:
        sessions.end(request.session, request.origin)
        cookies = (Cookie(names.session, ""), Cookie(names.flow, ""))
        # Without "cache": every page is no-store already, and browsers take seconds to clear one. Without "cookies":
        # by the one that stays the browser is known, so that a flood of wrong passwords does not lock its person out
        return Redirect("/login?hint=signed-out", cookies, {"Clear-Site-Data": '"storage"'})

    return routes


def _retry_after(error: VaultError | None) -> dict[str, str]:
    return {"Retry-After": str(error.retry_after)} if isinstance(error, TooManyTries) else {}
