"""What administrators do to one provider: enable, disable, test, delete."""

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.errors import Conflict
from chalicelib.services.administration import AdministrationService
from chalicelib.services.consent import ConsentService
from chalicelib.services.registration import RegistrationService
from chalicelib.web.answers import Answer, Redirect
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.pages import DeleteProviderDialog
from chalicelib.web.request import Request
from chalicelib.web.route import Route

from .admin_providers import ONE, PAGE, RECENT, seen
from .client_changes import actor_of
from .departures import going
from .provider_views import ProviderPages


def blueprint(
    endpoints: Endpoints,
    registration: RegistrationService,
    administration: AdministrationService,
    consent: ConsentService,
    pages: ProviderPages,
) -> Blueprint:
    routes = Blueprint(__name__)
    flow_cookie = endpoints.cookie_names.flow

    def switching(word: str, enabled: bool) -> None:
        @endpoints.route(
            routes,
            Route("POST", f"{ONE}/{word}", Access.ADMINISTRATOR, fields=("version",), recent_login_for=RECENT),
        )
        def switch(request: Request) -> Answer:
            act = registration.enable if enabled else registration.disable
            try:
                provider = act(seen(registration, request), actor_of(request), request.origin)
            except Conflict:
                return pages.one(registration.get(request.path["provider"]), is_outdated=True)
            return Redirect(f"{PAGE}/{provider.id}")

    switching("enable", enabled=True)
    switching("disable", enabled=False)

    # Testing

    @endpoints.route(routes, Route("POST", f"{ONE}/test", Access.ADMINISTRATOR, recent_login_for=RECENT))
    def test(request: Request) -> Answer:
        provider = registration.get(request.path["provider"])
        steps = registration.test(provider, pages.redirect_uri(provider), actor_of(request), request.origin)
        return pages.one(provider, steps=steps)

    @endpoints.route(routes, Route("POST", f"{ONE}/test-consent", Access.ADMINISTRATOR, recent_login_for=RECENT))
    def test_consent(request: Request) -> Answer:
        provider = registration.get(request.path["provider"])
        departure = consent.start(request.session, provider.id, request.cookies.get(flow_cookie), is_test=True)
        return going(departure, flow_cookie)

    # Deleting

    @endpoints.route(routes, Route("GET", f"{ONE}/delete", Access.ADMINISTRATOR, recent_login_for=RECENT))
    def ask_delete(request: Request) -> Answer:
        provider = registration.get(request.path["provider"])
        count = administration.count(provider)
        return pages.one(provider, dialog=DeleteProviderDialog(count.number, count.more))

    @endpoints.route(
        routes, Route("POST", f"{ONE}/delete", Access.ADMINISTRATOR, fields=("version",), recent_login_for=RECENT)
    )
    def delete(request: Request) -> Answer:
        try:
            registration.delete(seen(registration, request), actor_of(request), request.origin)
        except Conflict:
            return pages.one(registration.get(request.path["provider"]), is_outdated=True)
        return Redirect(PAGE)

    return routes
