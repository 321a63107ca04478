"""Stop: what is stopped, since when, by whom and why; stopping and resuming."""

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.errors import InvalidForm, InvalidRequest, NotFound
from chalicelib.domain.stop import ALL, StopKind
from chalicelib.services.administration import AdministrationService
from chalicelib.services.client_applications import ClientApplicationService
from chalicelib.services.stops import StopService
from chalicelib.web.answers import Answer, Page, Redirect
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.pages import FormView, ProviderChoice, StopDialog
from chalicelib.web.request import Request
from chalicelib.web.route import Route

from .client_changes import actor_of
from .client_views import stop_row

PAGE = "/admin/stops"
_NOWHERE = {
    StopKind.APPLICATION: "Please choose an application.",
    StopKind.PROVIDER: "Please choose a provider.",
}


def blueprint(
    endpoints: Endpoints,
    stops: StopService,
    clients: ClientApplicationService,
    administration: AdministrationService,
) -> Blueprint:
    routes = Blueprint(__name__)

    def page(*, form: FormView | None = None, dialog: StopDialog | None = None, status: int = 200) -> Page:
        context = {
            "rows": tuple(stop_row(stop) for stop in stops.all()),
            "applications": tuple(ProviderChoice(one.id, one.name) for one in clients.all() if one.enabled),
            "providers": tuple(ProviderChoice(one.id, one.name) for one in administration.providers()),
            "form": form or FormView({}),
            "dialog": dialog,
        }
        return Page("stops.html", context, status)

    def question(kind: StopKind, target: str, form: FormView) -> StopDialog:
        """Asked over the page of stops, whichever page it was asked from."""
        name = clients.get(target).name if kind is StopKind.APPLICATION else ""
        return StopDialog(kind, target, name, f"/admin/clients/{target}" if name else PAGE, form)

    @endpoints.route(routes, Route("GET", PAGE, Access.ADMINISTRATOR))
    def show(_request: Request) -> Answer:
        return page()

    @endpoints.route(routes, Route("GET", f"{PAGE}/everything", Access.ADMINISTRATOR))
    def ask_everything(_request: Request) -> Answer:
        return page(dialog=question(StopKind.EVERYTHING, ALL, FormView({})))

    @endpoints.route(routes, Route("GET", f"{PAGE}/application/{{client}}", Access.ADMINISTRATOR))
    def ask_application(request: Request) -> Answer:
        return page(dialog=question(StopKind.APPLICATION, request.path["client"], FormView({})))

    # Without a recent log-in, unlike all that is harder to take back: the directory may be what is in trouble
    @endpoints.route(routes, Route("POST", PAGE, Access.ADMINISTRATOR, fields=("kind", "target", "reason", "asked")))
    def stop(request: Request) -> Answer:
        kind, target = _kind(request), request.form.text("target").strip()
        try:
            stops.stop(kind, target, request.form.text("reason"), actor_of(request), request.origin)
        except (InvalidForm, NotFound, InvalidRequest) as error:
            form = _typed(request, error)
            if kind is StopKind.EVERYTHING or request.form.text("asked"):
                return page(dialog=question(kind, target or ALL, form), status=400)
            return page(form=form, status=400)
        return Redirect(PAGE)

    @endpoints.route(
        routes,
        Route("POST", f"{PAGE}/resume", Access.ADMINISTRATOR, fields=("kind", "target"), recent_login_for="stops"),
    )
    def resume(request: Request) -> Answer:
        stops.resume(_kind(request), request.form.one("target"), actor_of(request), request.origin)
        return Redirect(PAGE)

    return routes


def _kind(request: Request) -> StopKind:
    try:
        kind = StopKind(request.form.one("kind"))
    except ValueError:
        raise InvalidRequest from None
    if kind in (StopKind.OWN, StopKind.DIRECTORY):
        raise InvalidRequest
    return kind


def _typed(request: Request, error: InvalidRequest | NotFound) -> FormView:
    values = {name: request.form.text(name) for name in ("kind", "target", "reason")}
    if isinstance(error, InvalidForm):
        return FormView(values, error.problems)
    return FormView(values, {"target": _NOWHERE.get(StopKind(values["kind"]), error.message)})
