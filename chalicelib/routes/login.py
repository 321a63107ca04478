"""Logging in with a password, confirming who one is, signing out."""

from dataclasses import replace

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.errors import DirectoryUnavailable, LoginRefused, TooManyTries
from chalicelib.domain.secret import Secret
from chalicelib.domain.sign_in import SignInProblem
from chalicelib.services.login import Client, LoginService
from chalicelib.services.sessions import SessionService
from chalicelib.services.sign_in import SignInService
from chalicelib.web.answers import Answer, Redirect
from chalicelib.web.cookies import Cookie
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.request import Request
from chalicelib.web.route import Route

from .departures import BACK_FROM_APPROVAL
from .login_views import NEXT_PAGES, LoginPages, check_next

_SIGNED_OUT, _SIGNED_OUT_HERE = "signed-out", "signed-out-here"
HINTS = {
    "ended": "Your session has ended. Please log in again.",
    "consent": (
        "Your session ended while you were at the cloud, so nothing was authorized. "
        "Please log in and choose “Authorize” again."
    ),
    "approved": BACK_FROM_APPROVAL,
    _SIGNED_OUT: "You are signed out.",
    _SIGNED_OUT_HERE: "You are signed out of the vault.",
}
"""Sentences that a redirect to the log-in page may ask for by name; text from an address is never shown (R17)."""

NO_LOGIN = (LoginRefused, TooManyTries, DirectoryUnavailable)
"""What may come of a try besides a session; each is told on the form itself."""


def blueprint(
    endpoints: Endpoints,
    login: LoginService,
    sessions: SessionService,
    sign_in: SignInService | None,
    pages: LoginPages,
) -> Blueprint:
    routes = Blueprint(__name__)
    names = endpoints.cookie_names

    def client(request: Request) -> Client:
        return Client(request.browser, request.cookies.get(names.browser, ""), request.origin)

    @endpoints.route(routes, Route("GET", "/", Access.PUBLIC))
    def home(_request: Request) -> Answer:
        return Redirect("/providers")

    @endpoints.route(routes, Route("GET", "/login", Access.PUBLIC, query=("hint", "problem")))
    def show(request: Request) -> Answer:
        cookie = request.cookies.get(names.session)
        if cookie and sessions.find(cookie):
            return Redirect("/providers")
        hint = request.query.text("hint")
        sign_out_url = sign_in.sign_out_url() if sign_in and hint == _SIGNED_OUT_HERE else ""
        named = request.query.text("problem")
        # Whatever else a link says, nobody redirects here with
        problem = pages.problem(named) if named == SignInProblem.NOT_OURS else None
        return pages.form(request, error=problem, info=HINTS.get(hint, ""), sign_out_url=sign_out_url)

    @endpoints.route(routes, Route("POST", "/login", Access.PUBLIC, fields=("user_name", "password")))
    def log_in(request: Request) -> Answer:
        user_name, password = request.form.one("user_name"), Secret(request.form.one("password"))
        try:
            logged_in = login.log_in(user_name, password, client(request))
        except NO_LOGIN as error:
            return pages.form(request, user_name=user_name, error=error)
        return Redirect("/providers", (*pages.cookies_of(logged_in), Cookie(names.login, "")))

    @endpoints.route(routes, Route("GET", "/login/confirm", Access.USER, query=("next", "problem")))
    def ask(request: Request) -> Answer:
        return pages.confirmation(request, request.query.one("next"), pages.problem(request.query.text("problem")))

    @endpoints.route(routes, Route("POST", "/login/confirm", Access.USER, fields=("password", "next")))
    def confirm(request: Request) -> Answer:
        next_page, password = request.form.one("next"), Secret(request.form.one("password"))
        check_next(next_page)
        try:
            logged_in = login.confirm(request.session, password, client(request))
        except NO_LOGIN as error:
            return pages.confirmation(request, next_page, error)
        return Redirect(NEXT_PAGES[next_page], pages.cookies_of(logged_in))

    @endpoints.route(routes, Route("POST", "/logout", Access.USER))
    def log_out(request: Request) -> Answer:
        session, cookie = request.session, request.cookies[names.session]
        sessions.end(session, request.origin)
        url = sign_in.sign_out_url(session, cookie) if sign_in and session.id_token else ""
        cookies = (Cookie(names.session, ""), Cookie(names.flow, ""))
        hint = _SIGNED_OUT_HERE if session.by_openid else _SIGNED_OUT
        # Without "cache": every page is no-store already, and browsers take seconds to clear one. Without "cookies":
        # by the one that stays the browser is known, so that a flood of wrong passwords does not lock its person out
        headers = {"Clear-Site-Data": '"storage"'}
        if url:
            # What the provider wants to see again is in no address of the vault: the page itself is the answer
            page = pages.form(request, info=HINTS[hint], sign_out_url=url)
            return replace(page, cookies=(*page.cookies, *cookies), headers=headers)
        return Redirect(f"/login?hint={hint}", cookies, headers)

    return routes
