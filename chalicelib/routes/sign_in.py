"""Signing in at the OpenID provider, and proving anew there who one is."""

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.errors import DirectoryUnavailable, LoginRefused, NotFound
from chalicelib.domain.sign_in import SignInFailed, SignInProblem
from chalicelib.services.consent import Callback
from chalicelib.services.login import Client
from chalicelib.services.sessions import SessionService
from chalicelib.services.sign_in import CALLBACK_PATH, SignInService
from chalicelib.web.answers import Answer, Redirect
from chalicelib.web.cookies import Cookie
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.request import Request
from chalicelib.web.route import Route

from .departures import going
from .login_views import NEXT_PAGES, LoginPages, check_next

_NOT_SIGNED_IN = (SignInFailed, LoginRefused, DirectoryUnavailable)
_Failure = SignInFailed | LoginRefused | DirectoryUnavailable


def blueprint(
    endpoints: Endpoints, sign_in: SignInService | None, sessions: SessionService, pages: LoginPages
) -> Blueprint:
    """The addresses exist in every deployment; without the setting there is nothing at them."""
    routes = Blueprint(__name__)
    names = endpoints.cookie_names

    def service() -> SignInService:
        if sign_in is None:
            raise NotFound
        return sign_in

    @endpoints.route(routes, Route("POST", "/login/openid", Access.PUBLIC))
    def start(request: Request) -> Answer:
        try:
            departure = service().start(request.cookies.get(names.flow))
        except SignInFailed as error:
            return pages.form(request, error=error)
        return going(departure, names.flow, is_sign_in=True)

    @endpoints.route(routes, Route("POST", "/login/confirm/openid", Access.USER, fields=("next",)))
    def start_again(request: Request) -> Answer:
        next_page = request.form.one("next")
        check_next(next_page)
        try:
            departure = service().start(request.cookies.get(names.flow), f"{next_page}.", request.session)
        except SignInFailed as error:
            return pages.confirmation(request, next_page, error)
        return going(departure, names.flow, is_sign_in=True)

    @endpoints.route(
        routes,
        Route("GET", CALLBACK_PATH, Access.PUBLIC, query=("state", "code", "error", "iss"), is_callback=True),
    )
    def come_back(request: Request) -> Answer:
        next_page = request.query.text("state").rpartition(".")[0]
        if next_page in NEXT_PAGES:
            return confirmed(request, next_page)
        try:
            logged_in = service().complete(callback(request), client(request))
        except _NOT_SIGNED_IN as error:
            return pages.form(request, error=error)
        notice = logged_in.session.notice
        page = f"/providers?notice={notice.id}" if notice else "/providers"
        return Redirect(page, (*pages.cookies_of(logged_in), Cookie(names.login, "")))

    def confirmed(request: Request, next_page: str) -> Answer:
        session = sessions.find(request.cookies.get(names.session, ""))
        if session is None:
            return Redirect("/login?hint=ended")
        try:
            logged_in = service().complete(callback(request), client(request), session)
        except _NOT_SIGNED_IN as error:
            return Redirect(f"/login/confirm?next={next_page}&problem={_problem(error)}")
        return Redirect(NEXT_PAGES[next_page], pages.cookies_of(logged_in))

    def client(request: Request) -> Client:
        return Client(request.browser, "", request.origin)

    def callback(request: Request) -> Callback:
        query = request.query
        return Callback(
            provider_id="",
            state=query.text("state"),
            flow=request.cookies.get(names.flow, ""),
            code=query.text("code"),
            error=query.text("error"),
            iss=query.text("iss") if "iss" in query.values else None,
        )

    return routes


def _problem(error: _Failure) -> SignInProblem:
    if isinstance(error, SignInFailed):
        return error.problem
    return SignInProblem.REFUSED if isinstance(error, LoginRefused) else SignInProblem.NO_DIRECTORY
