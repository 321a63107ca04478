"""Manage tokens: administrators see every grant and remove some, or all of a provider."""

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.errors import InvalidRequest, NotFound
from chalicelib.domain.grant import Grant
from chalicelib.domain.provider import Provider
from chalicelib.domain.session import NoticeKind
from chalicelib.services.administration import AdministrationService, Tokens
from chalicelib.services.sessions import SessionService
from chalicelib.web.answers import Answer, Page, Redirect
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.pages import ProviderChoice, RemoveDialog, RemovedNotice, TokenFilter, TokenRow, TokenTable
from chalicelib.web.request import Request
from chalicelib.web.route import Route

_NAMED = 5
"""So many people are named in the dialog; the others are counted."""
_PAGE = "/admin/tokens"


def blueprint(endpoints: Endpoints, administration: AdministrationService, sessions: SessionService) -> Blueprint:
    routes = Blueprint(__name__)

    def page(chosen: TokenFilter, cursor: str, *, dialog: RemoveDialog | None, notice: RemovedNotice | None) -> Page:
        providers = administration.providers()
        shown = [provider for provider in providers if chosen.provider_id in ("", provider.id)]
        if chosen.provider_id and not shown:
            raise NotFound
        # A cursor belongs to one provider's list
        start = cursor or None if chosen.provider_id else None
        context = {
            "filter": chosen,
            "providers": tuple(ProviderChoice(provider.id, provider.name) for provider in providers),
            "tables": tuple(_table(administration.tokens(provider, chosen.user, start), start) for provider in shown),
            "dialog": dialog,
            "notice": notice,
        }
        return Page("tokens.html", context)

    @endpoints.route(routes, Route("GET", _PAGE, Access.ADMINISTRATOR, query=("provider", "user", "cursor", "notice")))
    def show(request: Request) -> Answer:
        query = request.query
        chosen = TokenFilter(query.text("provider"), query.text("user").strip())
        return page(chosen, query.text("cursor"), dialog=None, notice=_notice(request))

    @endpoints.route(
        routes,
        Route("GET", f"{_PAGE}/remove", Access.ADMINISTRATOR, repeatable=("token",), recent_login_for="tokens"),
    )
    def ask(request: Request) -> Answer:
        grants = administration.find(request.query.all("token"))
        if not grants:
            return Redirect(_PAGE)
        return page(TokenFilter(), "", dialog=_question(grants), notice=None)

    @endpoints.route(
        routes,
        Route("POST", f"{_PAGE}/remove", Access.ADMINISTRATOR, repeatable=("token",), recent_login_for="tokens"),
    )
    def remove(request: Request) -> Answer:
        ids = request.form.all("token")
        if not ids:
            raise InvalidRequest("No token was chosen. Nothing was changed.")
        count = administration.remove(request.session.user, ids, request.origin)
        return done(request, {"count": str(count)})

    @endpoints.route(
        routes,
        Route("GET", f"{_PAGE}/remove-all", Access.ADMINISTRATOR, query=("provider",), recent_login_for="tokens"),
    )
    def ask_all(request: Request) -> Answer:
        provider = administration.provider(request.query.one("provider"))
        count = administration.count(provider)
        dialog = RemoveDialog(count.number, provider=ProviderChoice(provider.id, provider.name), is_more=count.more)
        return page(TokenFilter(provider.id), "", dialog=dialog, notice=None)

    @endpoints.route(
        routes,
        Route("POST", f"{_PAGE}/remove-all", Access.ADMINISTRATOR, fields=("provider",), recent_login_for="tokens"),
    )
    def remove_all(request: Request) -> Answer:
        provider = administration.remove_all(request.session.user, request.form.one("provider"), request.origin)
        return done(request, {"provider": provider.name})

    def done(request: Request, facts: dict[str, str]) -> Redirect:
        notice = sessions.notify(request.session, NoticeKind.REMOVED, facts)
        return Redirect(f"{_PAGE}?notice={notice.id}")

    def _notice(request: Request) -> RemovedNotice | None:
        notice = sessions.notice(request.session, request.query.text("notice"))
        if notice is None or notice.kind is not NoticeKind.REMOVED:
            return None
        return RemovedNotice(int(notice.facts.get("count", 0)), notice.facts.get("provider"))

    return routes


def _question(grants: list[Grant]) -> RemoveDialog:
    return RemoveDialog(
        count=len(grants),
        user_names=tuple(grant.user_name for grant in grants[:_NAMED]),
        token_ids=tuple(grant.id for grant in grants),
    )


def _table(tokens: Tokens, cursor: str | None) -> TokenTable:
    provider: Provider = tokens.provider
    return TokenTable(
        provider_id=provider.id,
        provider_name=provider.name,
        rows=tuple(_row(grant.as_seen(provider)) for grant in tokens.page.grants),
        next_cursor=tokens.page.next_cursor,
        is_first_page=cursor is None,
    )


def _row(grant: Grant) -> TokenRow:
    return TokenRow(
        id=grant.id,
        user_name=grant.user_name,
        account=grant.account.label,
        state=grant.state,
        authorized_at=grant.authorized_at,
        refreshed_at=grant.refreshed_at,
        last_used_at=grant.last_used_at,
    )
