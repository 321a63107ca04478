"""Manage tokens: administrators search everybody's grants, and take them along as a file."""

from datetime import UTC, datetime

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.errors import InvalidRequest, NotFound
from chalicelib.domain.grant import Grant, GrantState
from chalicelib.domain.grant_search import GrantSearch
from chalicelib.domain.provider import Provider
from chalicelib.domain.session import NoticeKind
from chalicelib.services.administration import AdministrationService, Part, Tokens
from chalicelib.services.people import Person
from chalicelib.services.sessions import SessionService
from chalicelib.web import csv_file
from chalicelib.web.answers import Answer, File, Page
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.forms import day
from chalicelib.web.pages import (
    ListPart,
    ProviderChoice,
    RemoveDialog,
    RemovedNotice,
    TokenFilter,
    TokenRow,
    TokenTable,
)
from chalicelib.web.request import Request
from chalicelib.web.route import Route

PAGE = "/admin/tokens"
_FILTER = {
    "provider": "Provider",
    "user": "User",
    "account": "Cloud account contains",
    "state": "State",
    "scope": "Scope",
    "before": "Authorized before",
}
"""Each field and its label."""
PROVIDERS_A_PAGE = 10
"""Where no provider was chosen: each is a call."""
_COLUMNS = (
    "provider_id", "provider", "user_id", "user", "account", "state", "reason", "scopes", "authorized", "refreshed",
    "last_used",
)  # fmt: skip
_STATES = (GrantState.ACTIVE, GrantState.FAILING, GrantState.NEEDS_REAUTHORIZATION)


class TokenPages:
    """The page of tokens: by itself, and under the dialogs of `admin_removals`."""

    def __init__(self, administration: AdministrationService) -> None:
        self._administration = administration

    def page(
        self,
        chosen: TokenFilter,
        cursor: str = "",
        *,
        first_provider: str = "",
        dialog: RemoveDialog | None = None,
        notice: RemovedNotice | None = None,
        status: int = 200,
    ) -> Page:
        """The grants that match; raises NotFound for an unknown provider, InvalidRequest for a search that is none."""
        providers = self._administration.providers()
        shown = self.shown(chosen, providers)
        # A cursor belongs to one provider's list
        start = cursor or None if chosen.provider_id else None
        person, problem = self.person(chosen)
        search = _search(chosen, person)
        # What one person has is one read; otherwise each provider has a list of its own
        part = Part(tuple(shown)) if person else Part.of(shown, first_provider, PROVIDERS_A_PAGE)
        found = [] if problem else self._administration.tokens_of_each(part.providers, search, start)
        context = {
            "filter": TokenFilter(**{**_values(chosen), "problem": problem}),
            "person": person,
            "states": _STATES,
            "providers": tuple(ProviderChoice(provider.id, provider.name) for provider in providers),
            "tables": tuple(_table(tokens, start) for tokens in found),
            "part": ListPart(part.next_id, part.is_first),
            "dialog": dialog,
            "notice": notice,
        }
        return Page("tokens.html", context, status)

    def shown(self, chosen: TokenFilter, providers: list[Provider]) -> list[Provider]:
        """The provider that was chosen, or all of them. Raises NotFound."""
        shown = [provider for provider in providers if chosen.provider_id in ("", provider.id)]
        if chosen.provider_id and not shown:
            raise NotFound
        return shown

    def person(self, chosen: TokenFilter) -> tuple[Person | None, str]:
        """Whom a complete name means, and why it means nobody."""
        try:
            return self._administration.person(chosen.user), ""
        except (NotFound, InvalidRequest) as error:
            return None, error.message


def blueprint(
    endpoints: Endpoints, administration: AdministrationService, sessions: SessionService, pages: TokenPages
) -> Blueprint:
    routes = Blueprint(__name__)

    @endpoints.route(routes, Route("GET", PAGE, Access.ADMINISTRATOR, query=(*_FILTER, "cursor", "from", "notice")))
    def show(request: Request) -> Answer:
        query = request.query
        return pages.page(
            _chosen(request), query.text("cursor"), first_provider=query.text("from"), notice=_notice(request)
        )

    @endpoints.route(routes, Route("GET", f"{PAGE}/export", Access.ADMINISTRATOR, query=_FILTER))
    def export(request: Request) -> Answer:
        chosen = _chosen(request)
        shown = pages.shown(chosen, administration.providers())
        found = administration.export(shown, _search(chosen, administration.person(chosen.user)))
        body = csv_file.render(_COLUMNS, (_cells(provider, grant) for provider, grant in found))
        return File(body, csv_file.CSV_TYPE, "no-store", "tokens.csv")

    def _notice(request: Request) -> RemovedNotice | None:
        notice = sessions.notice(request.session, request.query.text("notice"))
        if notice is None or notice.kind is not NoticeKind.REMOVED:
            return None
        return RemovedNotice(int(notice.facts.get("count", 0)))

    return routes


def _chosen(request: Request) -> TokenFilter:
    query = request.query
    return TokenFilter(*(query.searched(name, label) for name, label in _FILTER.items()))


def _values(chosen: TokenFilter) -> dict[str, str]:
    return {name: getattr(chosen, name) for name in TokenFilter.__slots__}


def _search(chosen: TokenFilter, person: Person | None) -> GrantSearch:
    try:
        state = GrantState(chosen.state) if chosen.state else None
    except ValueError:
        raise InvalidRequest from None
    return GrantSearch(
        user_prefix="" if person else chosen.user,
        user_id=person.id if person else "",
        account=chosen.account,
        state=state,
        scope=chosen.scope,
        authorized_before=_midnight(chosen.authorized_before),
    )


def _midnight(text: str) -> int | None:
    """The beginning of a day in UTC, epoch seconds."""
    chosen = day(text)
    return int(datetime.combine(chosen, datetime.min.time(), UTC).timestamp()) if chosen else None


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


def _cells(provider: Provider, grant: Grant) -> tuple[str, ...]:
    return (
        provider.id,
        provider.name,
        grant.user_id,
        grant.user_name,
        grant.account.label,
        grant.state.value,
        grant.reason.value,
        " ".join(grant.scopes),
        csv_file.moment(grant.authorized_at),
        csv_file.moment(grant.refreshed_at),
        csv_file.moment(grant.last_used_at),
    )
