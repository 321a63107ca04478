"""Manage authorization providers: which there are, registering and editing them."""

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.errors import Conflict, InvalidForm
from chalicelib.domain.provider import Provider
from chalicelib.services.registration import RegistrationService
from chalicelib.services.sessions import SessionService
from chalicelib.web.answers import Answer, Redirect
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.pages import FormView
from chalicelib.web.request import Request
from chalicelib.web.route import Route

from . import provider_forms
from .client_changes import actor_of
from .provider_views import ProviderPages, consent_view

PAGE = "/admin/providers"
ONE = f"{PAGE}/{{provider}}"
_NEW = "/admin/register-provider"
RECENT = "providers"


def blueprint(
    endpoints: Endpoints,
    registration: RegistrationService,
    sessions: SessionService,
    pages: ProviderPages,
) -> Blueprint:
    routes = Blueprint(__name__)
    names = provider_forms.field_names(registration.types())

    @endpoints.route(routes, Route("GET", PAGE, Access.ADMINISTRATOR, query=("from",)))
    def show(request: Request) -> Answer:
        return pages.list(request.query.text("from"))

    @endpoints.route(routes, Route("GET", ONE, Access.ADMINISTRATOR, query=("notice",)))
    def show_one(request: Request) -> Answer:
        provider = registration.get(request.path["provider"])
        notice = sessions.notice(request.session, request.query.text("notice"))
        return pages.one(
            provider, consent=consent_view(notice, provider, pages.approval_url(provider)) if notice else None
        )

    # Registering

    @endpoints.route(
        routes, Route("GET", _NEW, Access.ADMINISTRATOR, query=("type", "search"), recent_login_for=RECENT)
    )
    def ask_new(request: Request) -> Answer:
        type_id = request.query.text("type")
        if not type_id:
            return pages.types(request.query.searched("search", "Search"))
        provider_type = registration.type(type_id)
        new_id = provider_forms.new_id(provider_type)
        return pages.form(provider_type, new_id, provider_forms.empty(provider_type))

    @endpoints.route(
        routes,
        Route(
            "POST",
            _NEW,
            Access.ADMINISTRATOR,
            fields=names,
            repeatable=(provider_forms.PRESET,),
            recent_login_for=RECENT,
        ),
    )
    def register(request: Request) -> Answer:
        provider_type = registration.type(request.form.one("type"))
        new_id = provider_forms.checked_id(request.form.one("id"))
        try:
            asked = provider_forms.read(request.form, provider_type)
            provider = registration.add(new_id, asked, actor_of(request), request.origin)
        except InvalidForm as error:
            form = provider_forms.typed(request.form, provider_type, _named(error.problems, names))
            return pages.form(provider_type, new_id, form, 400)
        return _to(provider)

    # Changing

    @endpoints.route(routes, Route("GET", f"{ONE}/edit", Access.ADMINISTRATOR, recent_login_for=RECENT))
    def ask_edit(request: Request) -> Answer:
        provider = registration.get(request.path["provider"])
        provider_type = registration.type_of(provider)
        form = provider_forms.stored(provider, provider_type)
        return pages.form(provider_type, provider.id, form, version=provider.version)

    @endpoints.route(
        routes,
        Route(
            "POST",
            f"{ONE}/edit",
            Access.ADMINISTRATOR,
            fields=names,
            repeatable=(provider_forms.PRESET,),
            recent_login_for=RECENT,
        ),
    )
    def edit(request: Request) -> Answer:
        provider = registration.get(request.path["provider"])
        provider_type = registration.type_of(provider)
        try:
            asked = provider_forms.read(request.form, provider_type)
            return _to(registration.change(seen(registration, request), asked, actor_of(request), request.origin))
        except InvalidForm as error:
            form, status = provider_forms.typed(request.form, provider_type, _named(error.problems, names)), 400
        except Conflict:
            # What stands there now is shown beside what was typed; sending it again says that it is meant
            provider, status = registration.get(request.path["provider"]), 409
            values = provider_forms.typed(request.form, provider_type, {})
            now = provider_forms.stored(provider, provider_type).values
            form = FormView(values.values, {}, values.chosen, is_outdated=True, stored=now)
        return pages.form(provider_type, provider.id, form, status, version=provider.version)

    return routes


def seen(registration: RegistrationService, request: Request) -> Provider:
    """The provider as the form showed it. Raises Conflict where it is another one by now."""
    provider = registration.get(request.path["provider"])
    if request.form.one("version") != str(provider.version):
        raise Conflict
    return provider


def _to(provider: Provider) -> Redirect:
    return Redirect(f"{PAGE}/{provider.id}")


def _named(problems: dict[str, str], names: tuple[str, ...]) -> dict[str, str]:
    """Problems by the names of the form: fields of a type have a name of their own there."""
    return {name if name in names else provider_forms.name_of(name): text for name, text in problems.items()}
