"""Signed-in browsers: a person sees and ends their own (R7)."""

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.services.sessions import SessionService
from chalicelib.web.answers import Answer, Page, Redirect
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.pages import SessionRow
from chalicelib.web.request import Request
from chalicelib.web.route import Route


def blueprint(endpoints: Endpoints, sessions: SessionService) -> Blueprint:
    routes = Blueprint(__name__)

    @endpoints.route(routes, Route("GET", "/sessions", Access.USER))
    def show(request: Request) -> Answer:
        rows = tuple(
            SessionRow(
                handle=session.handle,
                browser=session.browser,
                signed_in_at=session.created_at,
                last_seen_at=session.last_seen_at,
                is_current=session.id_hash == request.session.id_hash,
            )
            for session in sessions.of_user(request.session.user)
        )
        return Page("sessions.html", {"sessions": rows})

    @endpoints.route(routes, Route("POST", "/sessions/{handle}/end", Access.USER))
    def end(request: Request) -> Answer:
        sessions.end_other(request.session, request.path["handle"], request.origin)
        return Redirect("/sessions")

    @endpoints.route(routes, Route("POST", "/sessions/end-others", Access.USER))
    def end_others(request: Request) -> Answer:
        sessions.end_others(request.session, request.origin)
        return Redirect("/sessions")

    return routes
