"""Items that cannot be read: asked about over the page that shows them, and removed."""

from collections.abc import Callable, Mapping

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.odd_item import OddKind
from chalicelib.services.odd_items import OddItemService
from chalicelib.web.answers import Answer, Page, Redirect
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.pages import OddDialog
from chalicelib.web.request import Request
from chalicelib.web.route import Route

from . import admin_providers, admin_removals, client_changes
from .client_changes import actor_of

PAGE = "/admin/unreadable"
_SHOWN_ON = {
    OddKind.PROVIDER: (admin_providers.PAGE, admin_providers.RECENT),
    OddKind.CLIENT: (client_changes.PAGE, client_changes.RECENT),
    OddKind.REVOCATION: (admin_removals.RECEIPTS, "removals"),
    OddKind.DELIVERY: (admin_removals.RECEIPTS, "removals"),
}


def blueprint(
    endpoints: Endpoints, odd_items: OddItemService, pages: Mapping[OddKind, Callable[[OddDialog], Page]]
) -> Blueprint:
    """`pages` gives the page of each kind with the question over it."""
    routes = Blueprint(__name__)

    def removing(kind: OddKind) -> None:
        path, (back, recent) = f"{PAGE}/{kind.value}", _SHOWN_ON[kind]

        @endpoints.route(routes, Route("GET", path, Access.ADMINISTRATOR, query=("record",), recent_login_for=recent))
        def ask(request: Request) -> Answer:
            return pages[kind](OddDialog(kind, request.query.one("record"), back))

        @endpoints.route(routes, Route("POST", path, Access.ADMINISTRATOR, fields=("record",), recent_login_for=recent))
        def remove(request: Request) -> Answer:
            odd_items.remove(kind, request.form.one("record"), actor_of(request), request.origin)
            return Redirect(back)

    for kind in OddKind:
        removing(kind)
    return routes
