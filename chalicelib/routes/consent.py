"""To a cloud and back."""

from collections.abc import Sequence

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.authorization_request import ConsentFailed, ConsentProblem
from chalicelib.domain.errors import InvalidRequest
from chalicelib.domain.secret import fingerprint
from chalicelib.domain.session import NoticeKind
from chalicelib.services.consent import TEST_STATE, Callback, ConsentService, Tested
from chalicelib.services.sessions import SessionService
from chalicelib.web.answers import Answer, Redirect
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.request import Request
from chalicelib.web.route import Route

from .departures import going, is_from_approval

_ONE_MORE = "new"
"""What the page sends instead of a slot for one more account."""
_NOT_OURS = {
    ConsentProblem.USED: (
        "This answer of the cloud was used already, or belongs to no authorization that was started here."
    ),
    ConsentProblem.FOREIGN: (
        "This authorization was started by somebody else or in another browser. Nothing was changed."
    ),
}
"""Problems of a callback that no trip of this browser leads to: answered on the spot, with nothing to go back to."""


def blueprint(endpoints: Endpoints, consent: ConsentService, sessions: SessionService) -> Blueprint:
    routes = Blueprint(__name__)
    flow_cookie = endpoints.cookie_names.flow
    kept = consent.callback_parameters()

    @endpoints.route(routes, Route("POST", "/providers/{provider_id}/authorize", Access.USER, fields=("account",)))
    def authorize(request: Request) -> Answer:
        account = request.form.text("account")
        departure = consent.start(
            request.session,
            request.path["provider_id"],
            request.cookies.get(flow_cookie),
            slot=None if account == _ONE_MORE else account,
        )
        return going(departure, flow_cookie)

    @endpoints.route(
        routes,
        Route(
            "GET",
            "/oauth/callback/{provider_id}",
            Access.USER,
            query=("state", "code", "error", "error_description", "iss", "admin_consent", *kept),
            is_callback=True,
            login_hint=lambda query: "approved" if is_from_approval(query) else "consent",
        ),
    )
    def callback(request: Request) -> Answer:
        session, provider_id = request.session, request.path["provider_id"]
        if is_from_approval(request.query):
            return Redirect(f"/providers?notice={sessions.notify(session, NoticeKind.BACK_FROM_APPROVAL, {}).id}")
        returned = _callback(request, provider_id, request.cookies.get(flow_cookie, ""), kept)
        state_hash = fingerprint(returned.state)
        told = sessions.told_of(session, state_hash)
        if told is not None:
            # Loaded again, or sent twice by the browser: what came of it the first time is said once more
            return back(returned, told.id)
        try:
            consented = consent.complete(session, returned, request.origin)
            kind, facts = NoticeKind.AUTHORIZED, {"account": consented.account.label}
            if consented.previous:
                facts["previous"] = consented.previous.label
            if consented.was_connected:
                facts["was_connected"] = "true"
            if consented.tested:
                kind, facts = NoticeKind.TESTED, facts | _facts(consented.tested)
        except ConsentFailed as failure:
            if failure.problem in _NOT_OURS:
                raise InvalidRequest(_NOT_OURS[failure.problem], detail=failure.detail) from None
            kind, facts = NoticeKind.CONSENT_FAILED, {"problem": failure.problem.value, "code": failure.cloud_code}
        facts |= {"provider": provider_id, "state": state_hash}
        return back(returned, sessions.notify(session, kind, facts, finished=state_hash).id)

    def back(returned: Callback, notice_id: str) -> Redirect:
        page = f"/admin/providers/{returned.provider_id}" if returned.state.startswith(TEST_STATE) else "/providers"
        return Redirect(f"{page}?notice={notice_id}")

    return routes


def _facts(tested: Tested) -> dict[str, str]:
    return {
        "scopes": " ".join(tested.scopes),
        "missing": " ".join(tested.missing),
        "is_renewable": str(tested.has_refresh_token).lower(),
        "seconds": str(tested.seconds),
    }


def _callback(request: Request, provider_id: str, flow: str, kept: Sequence[str]) -> Callback:
    query = request.query
    return Callback(
        provider_id=provider_id,
        state=query.text("state"),
        flow=flow,
        code=query.text("code"),
        error=query.text("error"),
        description=query.text("error_description"),
        iss=query.text("iss") if "iss" in query.values else None,
        parameters={name: query.text(name) for name in kept if name in query.values},
    )
