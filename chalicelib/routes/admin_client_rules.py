"""The rules of a client application: of which provider, up to which scopes, whose, from where."""

import re

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.client_application import AccessRule, ClientApplication
from chalicelib.domain.errors import Conflict, InvalidForm, NotFound
from chalicelib.services.administration import AdministrationService
from chalicelib.services.client_applications import ClientApplicationService
from chalicelib.services.people import PeopleService
from chalicelib.web.answers import Answer, Page
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.pages import FormView, ProviderChoice, RemoveRuleDialog
from chalicelib.web.request import Request
from chalicelib.web.route import Route

from . import client_forms
from .client_changes import ONE, RECENT, actor_of, changed, check_version, to
from .client_views import ClientPages

_NUMBER = re.compile(r"[0-9]{1,3}")


def blueprint(
    endpoints: Endpoints,
    clients: ClientApplicationService,
    people: PeopleService,
    administration: AdministrationService,
    pages: ClientPages,
) -> Blueprint:
    routes = Blueprint(__name__)

    def rule_form(
        application: ClientApplication, provider_id: str, form: FormView, number: str = "", status: int = 200
    ) -> Page:
        provider = administration.provider(provider_id)
        context = {
            "form": form,
            "client": pages.view(application, {}),
            "provider": ProviderChoice(provider.id, provider.name),
            "scopes": provider.scopes,
            "number": number,
        }
        return Page("client_rule_form.html", context, status)

    @endpoints.route(
        routes,
        Route("GET", f"{ONE}/rules/add", Access.ADMINISTRATOR, query=("provider",), recent_login_for=RECENT),
    )
    def ask_rule(request: Request) -> Answer:
        return rule_form(clients.get(request.path["client"]), request.query.text("provider"), FormView({}))

    @endpoints.route(
        routes,
        Route("GET", f"{ONE}/rules/edit", Access.ADMINISTRATOR, query=("number",), recent_login_for=RECENT),
    )
    def ask_edit_rule(request: Request) -> Answer:
        application = clients.get(request.path["client"])
        number = _number(application, request.query.text("number"))
        rule = application.rules[number]
        form = client_forms.rule_values(rule, people, administration.provider(rule.provider_id).scopes)
        return rule_form(application, rule.provider_id, form, str(number))

    @endpoints.route(
        routes,
        Route(
            "POST",
            f"{ONE}/rules",
            Access.ADMINISTRATOR,
            fields=(*client_forms.RULE, "version"),
            repeatable=(client_forms.SCOPE,),
            recent_login_for=RECENT,
        ),
    )
    def save_rule(request: Request) -> Answer:
        application, form = clients.get(request.path["client"]), request.form
        provider_id, number = administration.provider(form.one("provider")).id, form.text("number")
        try:
            check_version(application, request)
            rules = _with_rule(application, number, client_forms.read_rule(provider_id, form, people))
            clients.set_rules(application, rules, actor_of(request), request.origin)
        except InvalidForm as error:
            view = client_forms.typed(form, client_forms.RULE, error.problems)
            return rule_form(application, provider_id, view, number, 400)
        except Conflict:
            # A number may mean another rule by now: what was typed becomes a new one, and nothing is overwritten
            typed = client_forms.typed(form, client_forms.RULE, {})
            view = FormView(typed.values, chosen=typed.chosen, is_outdated=True)
            return rule_form(clients.get(application.id), provider_id, view, "", 409)
        return to(application)

    @endpoints.route(
        routes,
        Route("GET", f"{ONE}/rules/remove", Access.ADMINISTRATOR, query=("number",), recent_login_for=RECENT),
    )
    def ask_remove_rule(request: Request) -> Answer:
        application = clients.get(request.path["client"])
        number = _number(application, request.query.text("number"))
        row = pages.rule(number, application.rules[number], pages.provider_names())
        return pages.one(application, dialog=RemoveRuleDialog(row))

    @endpoints.route(
        routes,
        Route(
            "POST", f"{ONE}/rules/remove", Access.ADMINISTRATOR, fields=("number", "version"), recent_login_for=RECENT
        ),
    )
    def remove_rule(request: Request) -> Answer:
        def removed(application: ClientApplication) -> None:
            number = _number(application, request.form.one("number"))
            rules = application.rules[:number] + application.rules[number + 1 :]
            clients.set_rules(application, rules, actor_of(request), request.origin)

        return changed(request, clients, pages, removed)

    return routes


def _number(application: ClientApplication, text: str) -> int:
    """Which rule is meant. Raises NotFound."""
    if not _NUMBER.fullmatch(text) or int(text) >= len(application.rules):
        raise NotFound
    return int(text)


def _with_rule(application: ClientApplication, number: str, rule: AccessRule) -> tuple[AccessRule, ...]:
    """The rules with one more, or with one in the place of another."""
    if not number:
        return (*application.rules, rule)
    place = _number(application, number)
    return (*application.rules[:place], rule, *application.rules[place + 1 :])
