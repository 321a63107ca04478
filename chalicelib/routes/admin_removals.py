"""Removing tokens: ticked ones, a person's, a provider's or all; each asked about first, each with a receipt."""

from dataclasses import replace

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.errors import InvalidRequest
from chalicelib.domain.grant import Grant
from chalicelib.domain.odd_item import OddKind
from chalicelib.domain.removal import CloudReceipt, Receipt, Removal, RemovalScope
from chalicelib.domain.session import NoticeKind
from chalicelib.domain.text import in_order
from chalicelib.services.administration import AdministrationService, Count
from chalicelib.services.odd_items import OddItemService
from chalicelib.services.people import PeopleService, Person
from chalicelib.services.removals import RemovalService
from chalicelib.services.sessions import SessionService
from chalicelib.web.answers import Answer, Page, Redirect
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.pages import CloudRow, OddDialog, OddList, ReceiptView, RemoveDialog, TokenFilter
from chalicelib.web.request import Request
from chalicelib.web.route import Route

from .admin_tokens import PAGE, TokenPages
from .client_changes import actor_of

RECEIPTS = "/admin/removals"
_COUNTED = 25
"""At so many providers what is left is counted: a receipt of hundreds must not make hundreds of queries."""
_NAMED = 5
"""So many people are named in the dialog; the others are counted."""
_ODD_NAMED = 25
"""So many waiting items that cannot be read are named; the others are counted."""
EVERYTHING = "everything"
"""What has to be typed before everything is removed."""


def blueprint(
    endpoints: Endpoints,
    *,
    administration: AdministrationService,
    removals: RemovalService,
    odd_items: OddItemService,
    people: PeopleService,
    sessions: SessionService,
    pages: TokenPages,
) -> Blueprint:
    routes = Blueprint(__name__)

    @endpoints.route(
        routes,
        Route("GET", f"{PAGE}/remove", Access.ADMINISTRATOR, repeatable=("token",), recent_login_for="tokens"),
    )
    def ask(request: Request) -> Answer:
        grants = administration.find(request.query.all("token"))
        return pages.page(TokenFilter(), dialog=_about(RemovalScope.TOKENS, grants)) if grants else Redirect(PAGE)

    @endpoints.route(
        routes,
        Route(
            "POST", f"{PAGE}/remove", Access.ADMINISTRATOR,
            fields=("revoke",), repeatable=("token",), recent_login_for="tokens",
        ),
    )  # fmt: skip
    def remove(request: Request) -> Answer:
        ids = request.form.all("token")
        if not ids:
            raise InvalidRequest("No token was chosen. Nothing was changed.")
        return done(request, removals.remove(actor_of(request), ids, request.origin, revoke=_revoke(request)))

    @endpoints.route(
        routes,
        Route("GET", f"{PAGE}/remove-person", Access.ADMINISTRATOR, query=("person",), recent_login_for="tokens"),
    )
    def ask_person(request: Request) -> Answer:
        person = people.find(request.query.one("person"))
        dialog = _about(RemovalScope.PERSON, administration.of_person(person), person)
        return pages.page(TokenFilter(user=person.id), dialog=dialog)

    @endpoints.route(
        routes,
        Route(
            "POST", f"{PAGE}/remove-person", Access.ADMINISTRATOR,
            fields=("target", "revoke"), recent_login_for="tokens",
        ),
    )  # fmt: skip
    def remove_person(request: Request) -> Answer:
        person = people.find(request.form.one("target"))
        return done(request, removals.remove_of(actor_of(request), person, request.origin, revoke=_revoke(request)))

    def ask_about_provider(provider_id: str, *, problem: str = "", revoke: bool = False) -> Page:
        provider = administration.provider(provider_id)
        dialog = _about_all(RemovalScope.PROVIDER, administration.count(provider), provider.name)
        dialog = replace(dialog, target_id=provider.id, problem=problem, revoke=revoke)
        return pages.page(TokenFilter(provider.id), dialog=dialog, status=400 if problem else 200)

    @endpoints.route(
        routes,
        Route("GET", f"{PAGE}/remove-all", Access.ADMINISTRATOR, query=("provider",), recent_login_for="tokens"),
    )
    def ask_all(request: Request) -> Answer:
        return ask_about_provider(request.query.one("provider"))

    @endpoints.route(
        routes,
        Route(
            "POST", f"{PAGE}/remove-all", Access.ADMINISTRATOR,
            fields=("target", "confirm", "revoke"), recent_login_for="tokens",
        ),
    )  # fmt: skip
    def remove_all(request: Request) -> Answer:
        provider_id, revoke = request.form.one("target"), _revoke(request)
        name = administration.provider(provider_id).name
        if not _is_confirmed(request, name):
            return ask_about_provider(provider_id, problem=_problem(name), revoke=revoke)
        return receipt_of(removals.remove_all(actor_of(request), provider_id, request.origin, revoke=revoke))

    def ask_about_everything(*, problem: str = "", revoke: bool = False) -> Page:
        dialog = _about_all(RemovalScope.EVERYTHING, administration.count_all(), EVERYTHING)
        dialog = replace(dialog, problem=problem, revoke=revoke)
        return pages.page(TokenFilter(), dialog=dialog, status=400 if problem else 200)

    @endpoints.route(routes, Route("GET", f"{PAGE}/remove-everything", Access.ADMINISTRATOR, recent_login_for="tokens"))
    def ask_everything(_request: Request) -> Answer:
        return ask_about_everything()

    @endpoints.route(
        routes,
        Route(
            "POST", f"{PAGE}/remove-everything", Access.ADMINISTRATOR,
            fields=("target", "confirm", "revoke"), recent_login_for="tokens",
        ),
    )  # fmt: skip
    def remove_everything(request: Request) -> Answer:
        revoke = _revoke(request)
        if not _is_confirmed(request, EVERYTHING):
            return ask_about_everything(problem=_problem(EVERYTHING), revoke=revoke)
        return receipt_of(removals.remove_everything(actor_of(request), request.origin, revoke=revoke))

    @endpoints.route(routes, Route("GET", RECEIPTS, Access.ADMINISTRATOR))
    def show_receipts(_request: Request) -> Answer:
        return receipts_page(removals, odd_items)

    @endpoints.route(routes, Route("GET", f"{RECEIPTS}/{{removal}}", Access.ADMINISTRATOR))
    def show_receipt(request: Request) -> Answer:
        return Page("removal.html", {"receipt": _view(administration, removals.receipt(request.path["removal"]))})

    def done(request: Request, receipt: Receipt) -> Redirect:
        """To the receipt where something goes on; where all is done, a sentence above the list says so."""
        if receipt.removal.is_open or (receipt.clouds and receipt.removal.revoke):
            return receipt_of(receipt.removal)
        count = sum(cloud.removed for cloud in receipt.clouds)
        notice = sessions.notify(request.session, NoticeKind.REMOVED, {"count": str(count)})
        return Redirect(f"{PAGE}?notice={notice.id}")

    return routes


def receipts_page(removals: RemovalService, odd_items: OddItemService, dialog: OddDialog | None = None) -> Page:
    """The last receipts; and what waits and cannot be read, of which some are named."""
    odd = {kind: odd_items.of(kind) for kind in (OddKind.REVOCATION, OddKind.DELIVERY)}
    views = tuple(OddList(kind, tuple(ids[:_ODD_NAMED]), len(ids)) for kind, ids in odd.items() if ids)
    return Page("removals.html", {"removals": tuple(removals.recent()), "odd": views, "dialog": dialog})


def receipt_of(removal: Removal) -> Redirect:
    return Redirect(f"{RECEIPTS}/{removal.id}")


def _view(administration: AdministrationService, receipt: Receipt) -> ReceiptView:
    providers = {provider.id: provider for provider in administration.providers()}
    counted = {cloud.provider_id: cloud for cloud in receipt.clouds}
    ended = dict(receipt.removal.ended)
    remaining = administration.remaining(ended) if ended else {}
    rows = []
    for provider_id in dict.fromkeys((*ended, *counted)):
        provider, cloud = providers.get(provider_id), counted.get(provider_id, CloudReceipt(provider_id))
        row = CloudRow(provider.name if provider else provider_id, cloud)
        if provider is not None and provider.generation <= ended.get(provider_id, 0):
            row = replace(row, is_ended=False)
        elif left := remaining.get(provider_id):
            row = replace(row, left=left.number, is_more=left.more, is_waiting=left.more and not left.number)
        rows.append(row)
    return ReceiptView(receipt.removal, tuple(sorted(rows, key=lambda row: in_order(row.name))))


def _revoke(request: Request) -> bool:
    return request.form.text("revoke") == "yes"


def _is_confirmed(request: Request, wanted: str) -> bool:
    return request.form.text("confirm").strip().casefold() == wanted.casefold()


def _problem(wanted: str) -> str:
    return f"Nothing was removed. Please type “{wanted}” to confirm."


def _about(scope: RemovalScope, grants: list[Grant], person: Person | None = None) -> RemoveDialog:
    names = dict.fromkeys(grant.user_name for grant in grants)
    return RemoveDialog(
        scope,
        count=len(grants),
        user_names=tuple(names)[:_NAMED],
        token_ids=tuple(grant.id for grant in grants) if person is None else (),
        target_id=person.id if person else "",
        target_name=person.name if person else "",
    )


def _about_all(scope: RemovalScope, count: Count, name: str) -> RemoveDialog:
    return RemoveDialog(scope, count.number, target_name=name, is_more=count.more, confirm=name)
