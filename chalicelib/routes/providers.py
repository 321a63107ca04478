"""Available authorization providers: the page, its dialogs, and revoking."""

from dataclasses import replace

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.authorization_request import ConsentProblem
from chalicelib.domain.errors import NotFound
from chalicelib.domain.grant import GrantState, RevocationOutcome
from chalicelib.domain.session import Notice, NoticeKind
from chalicelib.services.grants import GrantService
from chalicelib.services.providers import Offer, ProviderService
from chalicelib.services.sessions import SessionService
from chalicelib.web.answers import Answer, Page, Redirect
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.pages import (
    AuthorizedDialog,
    ConsentFailedDialog,
    ProviderCard,
    ProviderDialog,
    RevokedDialog,
    RevokeDialog,
)
from chalicelib.web.request import Request
from chalicelib.web.route import Route


def blueprint(
    endpoints: Endpoints, providers: ProviderService, grants: GrantService, sessions: SessionService
) -> Blueprint:
    routes = Blueprint(__name__)

    @endpoints.route(routes, Route("GET", "/providers", Access.USER, query=("notice",)))
    def show(request: Request) -> Answer:
        cards = _cards(providers.offers(request.session.user))
        notice = sessions.notice(request.session, request.query.text("notice"))
        return _page(cards, _report(notice, cards) if notice else None)

    @endpoints.route(routes, Route("GET", "/providers/{provider_id}/revoke", Access.USER))
    def ask(request: Request) -> Answer:
        cards = _cards(providers.offers(request.session.user))
        card = cards.get(request.path["provider_id"])
        if card is None:
            raise NotFound
        return _page(cards, RevokeDialog(card)) if card.is_connected else Redirect("/providers")

    @endpoints.route(routes, Route("POST", "/providers/{provider_id}/revoke", Access.USER))
    def revoke(request: Request) -> Answer:
        session, provider_id = request.session, request.path["provider_id"]
        revoked = grants.revoke(session.user, provider_id, request.origin)
        if revoked is None:
            return Redirect("/providers")
        facts = {"provider": provider_id, "outcome": revoked.outcome.value, "account": revoked.account.label}
        notice = sessions.notify(session, NoticeKind.REVOKED, facts)
        return Redirect(f"/providers?notice={notice.id}")

    return routes


def _page(cards: dict[str, ProviderCard], dialog: ProviderDialog | None) -> Page:
    return Page("providers.html", {"cards": tuple(cards.values()), "dialog": dialog})


def _cards(offers: list[Offer]) -> dict[str, ProviderCard]:
    return {offer.provider.id: _card(offer) for offer in offers}


def _card(offer: Offer) -> ProviderCard:
    grant, provider, provider_type = offer.grant, offer.provider, offer.type
    scopes = grant.scopes if grant else provider.scopes
    card = ProviderCard(
        id=provider.id,
        name=provider.name,
        type_name=provider_type.name,
        scopes=tuple(provider_type.scope_words.get(scope, scope) for scope in scopes),
        is_revocable=provider_type.can_revoke(provider.server),
        side_effect=provider_type.revocation_side_effect,
        account_page=provider_type.account_page,
    )
    if grant is None:
        return card
    removed = grant.state is GrantState.REMOVED
    return replace(
        card,
        state=grant.state,
        reason=grant.reason,
        account=grant.account.label,
        since=grant.authorized_at,
        removed_at=grant.state_at if removed else None,
    )


def _report(notice: Notice, cards: dict[str, ProviderCard]) -> ProviderDialog | None:
    """The dialog for what just happened, unless it has been overtaken: nothing is said that no longer holds."""
    facts = notice.facts
    card = cards.get(facts.get("provider", ""))
    if card is None:
        return None
    match notice.kind:
        case NoticeKind.AUTHORIZED if card.state is GrantState.ACTIVE:
            return AuthorizedDialog(card, facts["account"], facts.get("previous"))
        case NoticeKind.CONSENT_FAILED:
            return ConsentFailedDialog(card, ConsentProblem(facts["problem"]))
        case NoticeKind.REVOKED:
            return RevokedDialog(card, facts["account"], RevocationOutcome(facts["outcome"]))
    return None
