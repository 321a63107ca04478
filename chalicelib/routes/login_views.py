"""What the pages around logging in show."""

from chalicelib.domain.errors import InvalidRequest, TooManyTries, VaultError
from chalicelib.domain.sign_in import SignInFailed, SignInProblem
from chalicelib.ports import Random
from chalicelib.services.login import LoggedIn
from chalicelib.services.sign_in import SignInService
from chalicelib.services.throttle import KNOWN_BROWSER_SECONDS
from chalicelib.web import csrf
from chalicelib.web.answers import Page
from chalicelib.web.cookies import Cookie, CookieNames
from chalicelib.web.errors import status_of
from chalicelib.web.request import Request

NEXT_PAGES = {
    "tokens": "/admin/tokens",
    "administrators": "/admin/administrators",
    "directory": "/admin/directory",
    "leavers": "/admin/leavers",
    "clients": "/admin/clients",
    "providers": "/admin/providers",
    "removals": "/admin/removals",
    "stops": "/admin/stops",
}
"""Where one may go on after proving anew who one is, by name: no address is ever taken from a request (R47)."""


class LoginPages:
    """The log-in form and the one that asks again; `user_name_hint` is empty where nobody has a password here."""

    def __init__(self, names: CookieNames, random: Random, user_name_hint: str, sign_in: SignInService | None) -> None:
        self._names = names
        self._random = random
        self._user_name_hint = user_name_hint
        self._sign_in = sign_in

    def form(
        self,
        request: Request,
        *,
        user_name: str = "",
        error: VaultError | None = None,
        info: str = "",
        sign_out_url: str = "",
    ) -> Page:
        """The log-in page."""
        # The form's token belongs to a cookie of its own, replaced at log-in: R11
        cookie = request.cookies.get(self._names.login) or self._random.token()
        failed = error if isinstance(error, SignInFailed) else None
        context = {
            "user_name": user_name,
            "user_name_hint": self._user_name_hint,
            "sign_in_name": self._sign_in.name if self._sign_in else "",
            "error": error.message if error else "",
            "code": failed.provider_code if failed else "",
            "approval_url": failed.approval_url if failed else "",
            "info": info,
            "sign_out_url": sign_out_url,
            "csrf": csrf.token(cookie),
        }
        cookies = (Cookie(self._names.login, cookie),)
        return Page("login.html", context, status_of(error) if error else 200, cookies, _retry_after(error))

    def confirmation(self, request: Request, next_page: str, error: VaultError | None = None) -> Page:
        """Asks for the password again, or sends to the provider again. Raises InvalidRequest for an unknown page."""
        check_next(next_page)
        context = {
            "login_name": request.session.user.login_name,
            "sign_in_name": self._sign_in.name if self._sign_in and request.session.by_openid else "",
            "before_again": self._sign_in.before_again if self._sign_in else "",
            "error": error.message if error else "",
            "next": next_page,
        }
        return Page("confirm.html", context, status_of(error) if error else 200, headers=_retry_after(error))

    def problem(self, name: str) -> SignInFailed | None:
        """The failure that a redirect asks for by its name; None for anything else."""
        if self._sign_in is None or name not in set(SignInProblem):
            return None
        return SignInFailed(SignInProblem(name), self._sign_in.name)

    def cookies_of(self, logged_in: LoggedIn) -> tuple[Cookie, ...]:
        """What the browser keeps of a log-in."""
        session = Cookie(self._names.session, logged_in.cookie.reveal())
        if logged_in.known_browser is None:
            return (session,)
        return session, Cookie(self._names.browser, logged_in.known_browser.reveal(), KNOWN_BROWSER_SECONDS)


def check_next(next_page: str) -> None:
    """Raise InvalidRequest unless it is one of `NEXT_PAGES`."""
    if next_page not in NEXT_PAGES:
        raise InvalidRequest


def _retry_after(error: VaultError | None) -> dict[str, str]:
    return {"Retry-After": str(error.retry_after)} if isinstance(error, TooManyTries) else {}
