"""Manage clients: which programs there are, how each proves itself, and what it may fetch."""

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.client_application import ClientApplication
from chalicelib.domain.errors import Conflict, InvalidForm, InvalidRequest, NotFound
from chalicelib.services.client_applications import ClientApplicationService
from chalicelib.services.reach import ReachService
from chalicelib.web.answers import Answer, Page, Redirect
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.pages import DeleteClientDialog, FormView
from chalicelib.web.request import Request
from chalicelib.web.route import Route

from . import client_forms
from .client_changes import ONE, PAGE, RECENT, actor_of, changed, check_version, to
from .client_views import ClientPages

_NEW = "/admin/register-client"
_LONGEST_NAME = 320
"""RFC 5321 4.5.3.1 lets an address have no more."""


def blueprint(
    endpoints: Endpoints,
    clients: ClientApplicationService,
    reach: ReachService,
    pages: ClientPages,
) -> Blueprint:
    routes = Blueprint(__name__)

    # The list, and who could get what

    @endpoints.route(routes, Route("GET", PAGE, Access.ADMINISTRATOR, query=("user", "provider")))
    def show(request: Request) -> Answer:
        search: dict[str, str] = {}
        try:
            search["provider"] = request.query.searched("provider", "Provider")
            search["user"] = request.query.searched("user", "Person", _LONGEST_NAME)
            found = reach.who_could_get(search["user"], search["provider"]) if search["user"] else None
            return pages.list(search, found=found)
        except (NotFound, InvalidRequest) as error:
            return pages.list(search, problem=error.message)

    @endpoints.route(routes, Route("GET", ONE, Access.ADMINISTRATOR))
    def show_one(request: Request) -> Answer:
        return pages.one(clients.get(request.path["client"]))

    # Registering and editing

    def registration(form: FormView, status: int = 200) -> Page:
        return Page("client_form.html", {"form": form, "client": None}, status)

    @endpoints.route(routes, Route("GET", _NEW, Access.ADMINISTRATOR, recent_login_for=RECENT))
    def ask_new(_request: Request) -> Answer:
        return registration(FormView({"subject_mode": "self_asserted"}))

    @endpoints.route(
        routes,
        Route("POST", _NEW, Access.ADMINISTRATOR, fields=client_forms.REGISTRATION, recent_login_for=RECENT),
    )
    def register(request: Request) -> Answer:
        try:
            asked = client_forms.read_registration(request.form, clients)
            registered = clients.register(asked, actor_of(request), request.origin)
        except InvalidForm as error:
            return registration(client_forms.typed(request.form, client_forms.REGISTRATION, error.problems), 400)
        return Redirect(f"{PAGE}/{registered.id}")

    def editing(application: ClientApplication, form: FormView, status: int = 200) -> Page:
        view = pages.view(application, {})
        return Page("client_form.html", {"form": form, "client": view}, status)

    @endpoints.route(routes, Route("GET", f"{ONE}/edit", Access.ADMINISTRATOR, recent_login_for=RECENT))
    def ask_edit(request: Request) -> Answer:
        application = clients.get(request.path["client"])
        return editing(application, FormView(client_forms.identity_of(application)))

    @endpoints.route(
        routes,
        Route(
            "POST",
            f"{ONE}/edit",
            Access.ADMINISTRATOR,
            fields=(*client_forms.IDENTITY, "version"),
            recent_login_for=RECENT,
        ),
    )
    def edit(request: Request) -> Answer:
        application, problems = clients.get(request.path["client"]), dict[str, str]()
        try:
            check_version(application, request)
            changed = client_forms.read_identity(application, request.form, clients)
            clients.change(changed, actor_of(request), request.origin)
        except InvalidForm as error:
            problems, status = error.problems, 400
        except Conflict:
            # What stands there now is shown beside what was typed; sending it again says that it is meant
            application, status = clients.get(application.id), 409
        else:
            return to(application)
        form = client_forms.typed(request.form, client_forms.IDENTITY, problems)
        if status == 409:  # noqa: PLR2004 - HTTP's conflict, just set
            form = FormView(form.values, {}, is_outdated=True, stored=client_forms.identity_of(application))
        return editing(application, form, status)

    # Deleting

    @endpoints.route(routes, Route("GET", f"{ONE}/delete", Access.ADMINISTRATOR, recent_login_for=RECENT))
    def ask_delete(request: Request) -> Answer:
        return pages.one(clients.get(request.path["client"]), dialog=DeleteClientDialog())

    @endpoints.route(
        routes, Route("POST", f"{ONE}/delete", Access.ADMINISTRATOR, fields=("version",), recent_login_for=RECENT)
    )
    def delete(request: Request) -> Answer:
        def deleted(application: ClientApplication) -> None:
            clients.delete(application, actor_of(request), request.origin)

        answer = changed(request, clients, pages, deleted)
        return Redirect(PAGE) if isinstance(answer, Redirect) else answer

    return routes
