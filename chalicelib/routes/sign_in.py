"""Signing in at the OpenID provider, and proving anew there who one is."""

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.errors import DirectoryUnavailable, LoginRefused, NotFound
from chalicelib.domain.session import NoticeKind, Session
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

from .departures import going, is_from_approval
from .login_views import NEXT_PAGES, LoginPages, check_next

_NOT_SIGNED_IN = (SignInFailed, LoginRefused, DirectoryUnavailable)
_QUERY = ("state", "code", "error", "error_description", "iss", "admin_consent")
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
        Route("GET", CALLBACK_PATH, Access.PUBLIC, query=_QUERY, is_callback=True),
    )
    def come_back(request: Request) -> Answer:
        next_page = request.query.text("state").rpartition(".")[0]
        if next_page in NEXT_PAGES:
            return confirmed(request, next_page)
        signing_in = service()
        if is_from_approval(request.query):
            session = session_of(request)
            if session is None:
                return Redirect("/login?hint=approved")
            return Redirect(f"/providers?notice={sessions.notify(session, NoticeKind.BACK_FROM_APPROVAL, {}).id}")
        try:
            logged_in = signing_in.complete(callback(request), client(request))
        except _NOT_SIGNED_IN as error:
            return not_signed_in(request, error)
        notice = logged_in.session.notice
        page = f"/providers?notice={notice.id}" if notice else "/providers"
        return Redirect(page, (*pages.cookies_of(logged_in), Cookie(names.login, "")))

    def not_signed_in(request: Request, error: _Failure) -> Answer:
        if _is_over(error):
            # Loaded again, or sent twice: by the next request a browser that has signed in brings its new cookie
            return Redirect(f"/login?problem={SignInProblem.NOT_OURS}")
        return Redirect("/providers") if session_of(request) else pages.form(request, error=error)

    def session_of(request: Request) -> Session | None:
        return sessions.find(request.cookies.get(names.session, ""))

    def confirmed(request: Request, next_page: str) -> Answer:
        session = session_of(request)
        if session is None:
            return Redirect("/login?hint=ended")
        try:
            logged_in = service().complete(callback(request), client(request), session)
        except _NOT_SIGNED_IN as error:
            if _is_over(error) and sessions.logged_in_recently(session):
                return Redirect(NEXT_PAGES[next_page])
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
            description=query.text("error_description"),
            iss=query.text("iss") if "iss" in query.values else None,
        )

    return routes


def _is_over(error: _Failure) -> bool:
    return isinstance(error, SignInFailed) and error.problem is SignInProblem.NOT_OURS


def _problem(error: _Failure) -> SignInProblem:
    if isinstance(error, SignInFailed):
        return error.problem
    return SignInProblem.REFUSED if isinstance(error, LoginRefused) else SignInProblem.NO_DIRECTORY
