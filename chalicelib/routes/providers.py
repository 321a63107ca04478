"""Available authorization providers: the page, its dialogs, and revoking."""

from dataclasses import replace

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.authorization_request import ConsentProblem
from chalicelib.domain.errors import NotFound
from chalicelib.domain.grant import Grant, GrantState, RevocationOutcome
from chalicelib.domain.provider_type import ProviderType
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
from chalicelib.web.urls import Urls

from .departures import BACK_FROM_APPROVAL
from .provider_views import approval_url


def blueprint(
    endpoints: Endpoints, providers: ProviderService, grants: GrantService, sessions: SessionService, urls: Urls
) -> Blueprint:
    routes = Blueprint(__name__)

    @endpoints.route(routes, Route("GET", "/providers", Access.USER, query=("notice", "search")))
    def show(request: Request) -> Answer:
        search = request.query.searched("search", "Search")
        offers = providers.offers(request.session.user)
        cards = _cards(offers)
        notice = sessions.notice(request.session, request.query.text("notice"))
        if notice and notice.kind is NoticeKind.GROUPS_NOT_NAMED:
            return _page(cards, None, search, groups_not_named_at=notice.facts["at"])
        if notice and notice.kind is NoticeKind.BACK_FROM_APPROVAL:
            return _page(cards, None, search, info=BACK_FROM_APPROVAL)
        dialog = _report(notice, cards) if notice else None
        if isinstance(dialog, ConsentFailedDialog):
            dialog = _with_approval(dialog, offers)
        return _page(cards, dialog, search)

    @endpoints.route(routes, Route("GET", "/providers/{provider_id}/revoke", Access.USER, query=("account",)))
    def ask(request: Request) -> Answer:
        cards = _cards(providers.offers(request.session.user))
        card = cards.get(request.path["provider_id"])
        if card is None:
            raise NotFound
        slot = request.query.text("account")
        account = next((one for one in card.accounts if one.slot == slot and one.is_connected), None)
        return _page(cards, RevokeDialog(account, _next_default(card, account))) if account else Redirect("/providers")

    @endpoints.route(routes, Route("POST", "/providers/{provider_id}/default", Access.USER, fields=("account",)))
    def prefer(request: Request) -> Answer:
        provider_id = request.path["provider_id"]
        grants.prefer(request.session.user, provider_id, request.form.text("account"), request.origin)
        return Redirect(f"/providers#provider-{provider_id}")

    @endpoints.route(routes, Route("POST", "/providers/{provider_id}/revoke", Access.USER, fields=("account",)))
    def revoke(request: Request) -> Answer:
        session, provider_id = request.session, request.path["provider_id"]
        revoked = grants.revoke(session.user, provider_id, request.origin, slot=request.form.text("account"))
        if revoked is None:
            return Redirect("/providers")
        facts = {"provider": provider_id, "outcome": revoked.outcome.value, "account": revoked.account.label}
        notice = sessions.notify(session, NoticeKind.REVOKED, facts)
        return Redirect(f"/providers?notice={notice.id}")

    def _with_approval(dialog: ConsentFailedDialog, offers: list[Offer]) -> ConsentFailedDialog:
        if dialog.problem is not ConsentProblem.APPROVAL_NEEDED:
            return dialog
        offer = next(one for one in offers if one.provider.id == dialog.provider.id)
        return replace(dialog, approval_url=approval_url(offer.type, offer.provider, urls))

    return routes


def _page(
    cards: dict[str, ProviderCard],
    dialog: ProviderDialog | None,
    search: str = "",
    *,
    groups_not_named_at: str = "",
    info: str = "",
) -> Page:
    shown = tuple(card for card in cards.values() if card.matches(search))
    context = {"cards": shown, "total": len(cards), "search": search, "dialog": dialog}
    return Page("providers.html", {**context, "groups_not_named_at": groups_not_named_at, "info": info})


def _cards(offers: list[Offer]) -> dict[str, ProviderCard]:
    return {offer.provider.id: _card(offer) for offer in offers}


def _card(offer: Offer) -> ProviderCard:
    provider, provider_type = offer.provider, offer.type
    card = ProviderCard(
        id=provider.id,
        name=provider.name,
        type_name=provider_type.name,
        scopes=_words(provider_type, provider.scopes),
        is_revocable=provider_type.can_revoke(provider.server),
        side_effect=provider_type.revocation_side_effect,
        account_page=provider_type.account_page,
    )
    accounts = [
        replace(_account(card, provider_type, grant), is_misconfigured=grant.slot in offer.misconfigured)
        for grant in offer.grants
    ]
    return replace(accounts[0], others=tuple(accounts[1:])) if accounts else card


def _account(card: ProviderCard, provider_type: ProviderType, grant: Grant) -> ProviderCard:
    removed = grant.state is GrantState.REMOVED
    return replace(
        card,
        slot=grant.slot,
        scopes=_words(provider_type, grant.scopes),
        state=grant.state,
        reason=grant.reason,
        account=grant.account.label,
        since=grant.authorized_at,
        last_used_at=grant.last_used_at,
        removed_at=grant.state_at if removed else None,
    )


def _words(provider_type: ProviderType, scopes: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(provider_type.scope_words.get(scope, scope) for scope in scopes)


def _next_default(card: ProviderCard, revoked: ProviderCard) -> str:
    """The label of the account that programs get next, if they get the revoked one now."""
    is_default = revoked.slot == card.slot and card.others
    return min(card.others, key=lambda other: other.slot).account or "" if is_default else ""


def _report(notice: Notice, cards: dict[str, ProviderCard]) -> ProviderDialog | None:
    """The dialog for what just happened, unless it has been overtaken: nothing is said that no longer holds."""
    facts = notice.facts
    card = cards.get(facts.get("provider", ""))
    if card is None:
        return None
    match notice.kind:
        case NoticeKind.AUTHORIZED if _is_active(card, facts["account"]):
            return AuthorizedDialog(card, facts["account"], facts.get("previous"), "was_connected" in facts)
        case NoticeKind.CONSENT_FAILED:
            return ConsentFailedDialog(card, ConsentProblem(facts["problem"]), facts.get("code", ""))
        case NoticeKind.REVOKED:
            return RevokedDialog(card, facts["account"], RevocationOutcome(facts["outcome"]))
    return None


def _is_active(card: ProviderCard, account: str) -> bool:
    return any(one.state is GrantState.ACTIVE and one.account == account for one in card.accounts)
