"""The way of every request: read it, find out who calls, check the form, let the route answer.

`Endpoints` turns a route's function, which takes a `Request` and gives an `Answer`, into a Chalice view.
Whatever goes wrong on the way becomes a page here, so Chalice never sees an exception.
"""

import json
import logging
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Protocol, assert_never

from chalice.app import Blueprint, Chalice, IAMAuthorizer

from chalicelib.domain.access import Access, require
from chalicelib.domain.audit import Origin
from chalicelib.domain.errors import (
    AccessDenied,
    ForgedForm,
    LoginRequired,
    RecentLoginRequired,
    VaultError,
    place_of,
)
from chalicelib.domain.session import Session
from chalicelib.domain.user import User

from . import csrf, errors, forms, headers, oauth
from . import request as requests
from .answers import Answer, File, Json, Page, Redirect, VaultResponse
from .cookies import CookieNames
from .pages import ErrorView, Viewer
from .render import Renderer
from .request import Request
from .route import Route
from .urls import Urls

_LOG = logging.getLogger(__name__)

Handler = Callable[[Request], Answer]


class Sessions(Protocol):
    """What the way of a request needs to know of sessions; `services.sessions` fits."""

    def find(self, cookie: str) -> Session | None:
        """The live session of a cookie."""

    def is_administrator(self, session: Session) -> bool:
        """Whether who is signed in administrates, as of now."""

    def logged_in_recently(self, session: Session) -> bool:
        """Whether it may do what can hurt many."""


class Refusals(Protocol):
    """Where refusals are noted that mean something; `services.refusals` fits."""

    def note(self, code: str, route: str, user: User | None, origin: Origin) -> None:
        """Count one, and record it where that is due. Never raises."""


class Endpoints:
    """Registers routes and answers requests. `routes` lists them all, for tests and documents."""

    def __init__(self, sessions: Sessions, refusals: Refusals, renderer: Renderer, urls: Urls) -> None:
        self._sessions = sessions
        self._refusals = refusals
        self._renderer = renderer
        self._urls = urls
        self.cookie_names = CookieNames.for_scheme(secure=urls.is_secure)
        self.routes: list[Route] = []

    def route(self, blueprint: Blueprint, route: Route) -> Callable[[Handler], Handler]:
        """Register the decorated function for one method of one path."""

        def register(handler: Handler) -> Handler:
            def view(**path: str) -> VaultResponse:
                return self.answer(blueprint.current_request, path, route, handler)

            # Chalice wants a name of its own for each view
            view.__name__ = f"{handler.__module__.rpartition('.')[2]}_{handler.__name__}"
            options: dict[str, Any] = {"content_types": [forms.FORM_TYPE]} if route.method == "POST" else {}
            if route.iam:
                options["authorizer"] = IAMAuthorizer()
            blueprint.route(route.path, methods=[route.method], **options)(view)
            self.routes.append(route)
            return handler

        return register

    def install(self, app: Chalice, stage: str = "") -> None:
        """Give the refusals that Chalice makes by itself (405, 415 and the like) our page and headers.

        With `stage` nothing is answered that came by another stage of the gateway: that has no firewall and no log.
        """

        def replace_refusals(event: Any, get_response: Callable[[Any], Any]) -> Any:
            if stage and (event.context or {}).get("stage") != stage:
                return self.refusal(404, for_program=event.path in self._addresses_of_programs())
            response = get_response(event)
            return response if isinstance(response, VaultResponse) else self._replaced(event, response.status_code)

        app.register_middleware(replace_refusals, "http")

    def _replaced(self, raw: Any, status: int) -> VaultResponse:
        """Never raises."""
        for_program = raw.path in self._addresses_of_programs()
        refused = errors.of_status(status)
        try:
            for route in self.routes:
                if route.on_unreadable and (route.method, route.path) == (raw.method, raw.path):
                    route.on_unreadable(requests.origin(raw), refused)
        except VaultError as error:
            _log_error(error, requests.origin(raw).request_id)
            return self._refused(error, for_program=for_program)
        return self._refused(refused, for_program=for_program)

    def refusal(self, status: int, *, for_program: bool = False) -> VaultResponse:
        """Our page, or JSON, for a refusal that was made before any route was reached. Never raises."""
        return self._refused(errors.of_status(status), for_program=for_program)

    def _refused(self, error: VaultError, *, for_program: bool) -> VaultResponse:
        try:
            return self._respond(self._error_answer(error, "-", for_program=for_program), None)
        except Exception as crash:  # not even the error page could be made (R19)
            _log_crash(crash, "-")
            return _last_resort()

    def answer(self, raw: Any, path: dict[str, str], route: Route, handler: Handler) -> VaultResponse:
        """Answer one request. Never raises."""
        try:
            return self._answer(raw, path, route, handler)
        except Exception as error:  # the page itself could not be made (R19)
            _log_crash(error, "-")
            return self.refusal(500)

    def _answer(self, raw: Any, path: dict[str, str], route: Route, handler: Handler) -> VaultResponse:
        started = time.perf_counter()
        origin = requests.origin(raw)
        request: Request | None = None
        try:
            request = self._identify(self._read(raw, path, route, origin), route)
            self._admit(raw, request, route)
            answer = handler(request)
        except LoginRequired:
            answer = Redirect(self._login_path(request, route))
        except RecentLoginRequired:
            answer = Redirect(f"/login/confirm?next={route.recent_login_for}")
        except VaultError as error:
            _log_error(error, origin.request_id)
            answer = self._error_answer(error, origin.request_id, for_program=route.access is Access.APPLICATION)
        except Exception as error:  # the last resort: no exception leaves without a page (R19)
            _log_crash(error, origin.request_id)
            answer = self._error_answer(VaultError(), origin.request_id, for_program=route.access is Access.APPLICATION)
        response = self._respond(answer, request)
        _LOG.info(
            "request",
            extra={
                "method": route.method,
                "route": route.path,
                "status": response.status_code,
                "request_id": origin.request_id,
                "milliseconds": round((time.perf_counter() - started) * 1000),
            },
        )
        return response

    def _read(self, raw: Any, path: dict[str, str], route: Route, origin: Origin) -> Request:
        try:
            return requests.read(raw, path, route, self.cookie_names)
        except VaultError as error:
            if route.on_unreadable is not None:
                route.on_unreadable(origin, error)
            if route.is_callback:
                self._refusals.note(error.code, route.path, None, origin)
            raise

    def _admit(self, raw: Any, request: Request, route: Route) -> None:
        """Raises what `_check` does, noted where it means something (ASVS 16.3.2)."""
        try:
            self._check(raw, request, route)
        except (ForgedForm, AccessDenied, LoginRequired) as error:
            user = request.signed_in.user if request.signed_in else None
            if user or route.is_callback:
                self._refusals.note(error.code, route.path, user, request.origin)
            raise

    def _identify(self, request: Request, route: Route) -> Request:
        cookie = request.cookies.get(self.cookie_names.session)
        if route.access in (Access.PUBLIC, Access.APPLICATION) or not cookie:
            return request
        session = self._sessions.find(cookie)
        is_one = session is not None and self._sessions.is_administrator(session)
        return replace(request, signed_in=session, is_administrator=is_one)

    def _check(self, raw: Any, request: Request, route: Route) -> None:
        """Raises unless caller and form are what the route asks for; roles are looked at anew each time."""
        session = request.signed_in
        require(route.access, session.user if session else None, is_administrator=request.is_administrator)
        if route.method == "POST" and route.access is not Access.APPLICATION:
            csrf.check_origin(raw.headers, self._urls.origin)
            cookie = self.cookie_names.login if route.access is Access.PUBLIC else self.cookie_names.session
            csrf.check_token(request.cookies.get(cookie, ""), request.form.text("csrf"))
        if route.recent_login_for and session and not self._sessions.logged_in_recently(session):
            raise RecentLoginRequired

    def _login_path(self, request: Request | None, route: Route) -> str:
        if request is not None and route.login_hint:
            return f"/login?hint={route.login_hint(request.query)}"
        had_session = request is not None and self.cookie_names.session in request.cookies
        return "/login?hint=ended" if had_session else "/login"

    def _addresses_of_programs(self) -> set[str]:
        return {route.path for route in self.routes if route.access is Access.APPLICATION}

    def _error_answer(self, error: VaultError, request_id: str, *, for_program: bool) -> Answer:
        if for_program:
            return oauth.failure(error, request_id)
        status = errors.status_of(error)
        view = ErrorView(status=status, message=error.message, code=error.code, request_id=request_id)
        return Page("error.html", {"error": view}, status)

    def _respond(self, answer: Answer, request: Request | None) -> VaultResponse:
        match answer:
            case Page():
                nonce = secrets.token_urlsafe(16)
                viewer = None if self._signs_out(answer) else self._viewer(request)
                body = self._renderer.page(answer.template, nonce=nonce, viewer=viewer, **answer.context)
                sent = {"Content-Type": "text/html; charset=utf-8", **answer.headers}
                return self._finish(body, answer.status, sent, answer, nonce)
            case Redirect():
                sent = {"Content-Type": "text/plain", "Location": self._urls.absolute(answer.path), **answer.headers}
                return self._finish("", 303, sent, answer)
            case File():
                sent = {"Content-Type": answer.content_type, "Cache-Control": answer.cache_control}
                if answer.name:
                    sent["Content-Disposition"] = f'attachment; filename="{answer.name}"'
                return self._finish(answer.body, 200, sent, None)
            case Json():
                sent = {"Content-Type": "application/json", **answer.headers}
                return self._finish(json.dumps(answer.body), answer.status, sent, None)
        assert_never(answer)

    def _finish(
        self, body: str, status: int, sent: dict[str, Any], answer: Page | Redirect | None, nonce: str = ""
    ) -> VaultResponse:
        all_headers: dict[str, Any] = headers.security_headers(nonce) | sent
        if answer is not None and answer.cookies:
            secure = self._urls.is_secure
            all_headers["Set-Cookie"] = [cookie.header(secure=secure) for cookie in answer.cookies]
        headers.check(all_headers)
        return VaultResponse(body, status_code=status, headers=all_headers)

    def _signs_out(self, page: Page) -> bool:
        return any(cookie.name == self.cookie_names.session and not cookie.value for cookie in page.cookies)

    def _viewer(self, request: Request | None) -> Viewer | None:
        if request is None or request.signed_in is None:
            return None
        session = request.signed_in
        return Viewer(
            display_name=session.user.display_name,
            login_name=session.user.login_name,
            is_administrator=request.is_administrator,
            csrf=csrf.token(request.cookies[self.cookie_names.session]),
        )


def _last_resort() -> VaultResponse:
    body = f"<!doctype html><title>Token Vault</title><p>{VaultError.message}</p>"
    sent: dict[str, Any] = {"Content-Type": "text/html; charset=utf-8"}
    return VaultResponse(body, status_code=500, headers={**headers.security_headers(), **sent})


def _log_error(error: VaultError, request_id: str) -> None:
    severe = errors.status_of(error) >= 500  # noqa: PLR2004 - HTTP's class of our own failures
    extra = {"code": error.code, "detail": error.detail, "request_id": request_id}
    _LOG.log(logging.ERROR if severe else logging.INFO, "request.refused", extra=extra)


def _log_crash(error: Exception, request_id: str) -> None:
    extra = {"error_type": type(error).__name__, "where": place_of(error), "request_id": request_id}
    _LOG.error("request.crashed", extra=extra)
