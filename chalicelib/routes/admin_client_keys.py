"""The keys of a client application: added beside the old ones, removed one by one."""

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.client_application import ClientApplication
from chalicelib.domain.errors import Conflict, InvalidForm, NotFound
from chalicelib.services.client_applications import ClientApplicationService
from chalicelib.web.answers import Answer, Page
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.pages import FormView, RemoveKeyDialog
from chalicelib.web.request import Request
from chalicelib.web.route import Route

from . import client_forms
from .client_changes import ONE, RECENT, actor_of, changed, check_version, to
from .client_views import ClientPages


def blueprint(endpoints: Endpoints, clients: ClientApplicationService, pages: ClientPages) -> Blueprint:
    routes = Blueprint(__name__)

    def key_form(application: ClientApplication, form: FormView, status: int = 200) -> Page:
        return Page("client_key_form.html", {"form": form, "client": pages.view(application, {})}, status)

    @endpoints.route(routes, Route("GET", f"{ONE}/keys/add", Access.ADMINISTRATOR, recent_login_for=RECENT))
    def ask_key(request: Request) -> Answer:
        return key_form(clients.get(request.path["client"]), FormView({}))

    @endpoints.route(
        routes,
        Route("POST", f"{ONE}/keys/add", Access.ADMINISTRATOR, fields=("keys", "version"), recent_login_for=RECENT),
    )
    def add_key(request: Request) -> Answer:
        application, text = clients.get(request.path["client"]), request.form.text("keys")
        try:
            # First: what comes back with the form is public then
            clients.keys_of(text)
            check_version(application, request)
            clients.add_keys(application, text, actor_of(request), request.origin)
        except InvalidForm as error:
            return key_form(application, client_forms.typed(request.form, ("keys",), error.problems), 400)
        except Conflict:
            return key_form(clients.get(application.id), FormView({"keys": text}, is_outdated=True), 409)
        return to(application)

    @endpoints.route(
        routes,
        Route("GET", f"{ONE}/keys/remove", Access.ADMINISTRATOR, query=("key",), recent_login_for=RECENT),
    )
    def ask_remove_key(request: Request) -> Answer:
        application = clients.get(request.path["client"])
        rows = {key.id: pages.key(key) for key in application.keys}
        row = rows.get(request.query.text("key"))
        if row is None:
            raise NotFound
        others = any(other.is_usable for other in rows.values() if other.id != row.id)
        return pages.one(application, dialog=RemoveKeyDialog(row, is_last=not others))

    @endpoints.route(
        routes,
        Route("POST", f"{ONE}/keys/remove", Access.ADMINISTRATOR, fields=("key", "version"), recent_login_for=RECENT),
    )
    def remove_key(request: Request) -> Answer:
        def removed(application: ClientApplication) -> None:
            clients.remove_key(application, request.form.one("key"), actor_of(request), request.origin)

        return changed(request, clients, pages, removed)

    return routes
