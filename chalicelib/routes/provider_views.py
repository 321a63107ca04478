"""What the pages of "Manage authorization providers" show."""

from collections.abc import Sequence

from chalicelib.domain.authorization_request import ConsentProblem
from chalicelib.domain.directory_report import Step
from chalicelib.domain.odd_item import OddKind
from chalicelib.domain.provider import Provider
from chalicelib.domain.provider_health import ProviderHealth
from chalicelib.domain.provider_type import ProviderType
from chalicelib.domain.session import Notice, NoticeKind
from chalicelib.ports import Clock, ProviderHealthStore
from chalicelib.services.administration import AdministrationService, Part
from chalicelib.services.odd_items import OddItemService
from chalicelib.services.registration import RegistrationService
from chalicelib.web.answers import Page
from chalicelib.web.pages import (
    DeleteProviderDialog,
    FormView,
    ListPart,
    OddDialog,
    ProviderRow,
    ProviderTypeView,
    ProviderView,
    StepsView,
    TestConsentView,
    TypeFieldView,
)
from chalicelib.web.urls import Urls

from .provider_forms import name_of

PROVIDERS_A_PAGE = 25
"""Each is counted at, which is a call."""


class ProviderPages:
    """Fills the pages; routes decide which."""

    def __init__(
        self,
        *,
        registration: RegistrationService,
        administration: AdministrationService,
        odd_items: OddItemService,
        health: ProviderHealthStore,
        clock: Clock,
        urls: Urls,
    ) -> None:
        self._registration = registration
        self._administration = administration
        self._odd_items = odd_items
        self._health = health
        self._clock = clock
        self._urls = urls

    def list(self, first_provider: str, *, dialog: OddDialog | None = None) -> Page:
        """A part of the list, from that provider on. Those that cannot be read have no name, and come first."""
        part = Part.of(self._registration.all(), first_provider, PROVIDERS_A_PAGE)
        health = self._health.of_each([provider.id for provider in part.providers])
        rows = tuple(self._row(provider, health[provider.id]) for provider in part.providers)
        context = {
            "rows": rows,
            "odd": tuple(self._odd_items.of(OddKind.PROVIDER)) if part.is_first else (),
            "part": ListPart(part.next_id, part.is_first),
            "dialog": dialog,
        }
        return Page("manage_providers.html", context)

    def types(self, search: str) -> Page:
        """The kinds of cloud to choose from, those that match `search`."""
        types = tuple(type_view(type_) for type_ in self._registration.types() if type_.matches(search))
        return Page("provider_types.html", {"types": types, "search": search})

    def one(
        self,
        provider: Provider,
        *,
        steps: Sequence[Step] | None = None,
        dialog: DeleteProviderDialog | None = None,
        consent: TestConsentView | None = None,
        is_outdated: bool = False,
    ) -> Page:
        result = StepsView("What the test found", tuple(steps)) if steps is not None else None
        context = {
            "provider": self.view(provider),
            "result": result,
            "consent": consent,
            "dialog": dialog,
            "is_outdated": is_outdated,
        }
        return Page("manage_provider.html", context, 409 if is_outdated else 200)

    def form(
        self, provider_type: ProviderType, provider_id: str, form: FormView, status: int = 200, *, version: int = 0
    ) -> Page:
        context = {
            "type": type_view(provider_type),
            "id": provider_id,
            "redirect_uri": self._redirect_uri(provider_id),
            "form": form,
            "version": version,
        }
        return Page("provider_form.html", context, status)

    def redirect_uri(self, provider: Provider) -> str:
        return self._urls.absolute(provider.redirect_path())

    def approval_url(self, provider: Provider) -> str:
        """Where an administrator of a company approves the vault there; empty where there is no such page."""
        return approval_url(self._registration.type_of(provider), provider, self._urls)

    def _redirect_uri(self, provider_id: str) -> str:
        return self._urls.absolute(f"/oauth/callback/{provider_id}")

    def _row(self, provider: Provider, health: ProviderHealth) -> ProviderRow:
        count = self._administration.count(provider)
        return ProviderRow(
            id=provider.id,
            name=provider.name,
            type_name=self._registration.type_of(provider).name,
            enabled=provider.enabled,
            authorizations=count.number,
            are_more=count.more,
            is_for_groups=bool(provider.visible_to),
            error=health.misconfigured_error if health.is_misconfigured(provider.version) else "",
            failing_since=health.failing_since if health.failures else None,
            secret_ends_at=provider.secret_ends_at,
            secret_ends_soon=provider.secret_ends_soon(self._clock.now()),
        )

    def view(self, provider: Provider) -> ProviderView:
        return ProviderView(
            row=self._row(provider, self._health.get(provider.id)),
            type=type_view(self._registration.type_of(provider)),
            redirect_uri=self.redirect_uri(provider),
            client_id=provider.client_id,
            fields=tuple(provider.fields.items()),
            scopes=provider.scopes,
            groups=provider.visible_to,
            has_older_secret=provider.has_older_secret,
            authorize_again_since=provider.authorize_again_since,
            version=provider.version,
        )


def approval_url(provider_type: ProviderType, provider: Provider, urls: Urls) -> str:
    """Where an administrator of a company approves the vault at that provider; empty where there is no such page."""
    return provider_type.approval_url(
        provider.fields,
        client_id=provider.client_id,
        scopes=provider.scopes,
        redirect_uri=urls.absolute(provider.redirect_path()),
    )


def consent_view(notice: Notice, provider: Provider, approval_url: str) -> TestConsentView | None:
    """What came of an administrator's test consent at this provider."""
    facts = notice.facts
    if facts.get("provider") != provider.id:
        return None
    if notice.kind is NoticeKind.CONSENT_FAILED:
        problem = ConsentProblem(facts["problem"])
        needed = approval_url if problem is ConsentProblem.APPROVAL_NEEDED else ""
        return TestConsentView(problem=problem, code=facts.get("code", ""), approval_url=needed)
    if notice.kind is not NoticeKind.TESTED:
        return None
    return TestConsentView(
        account=facts["account"],
        scopes=tuple(facts["scopes"].split()),
        missing=tuple(facts["missing"].split()),
        has_refresh_token=facts["is_renewable"] == "true",
        seconds=int(facts["seconds"]),
    )


def type_view(type_: ProviderType) -> ProviderTypeView:
    return ProviderTypeView(
        id=type_.id,
        name=type_.name,
        description=type_.description,
        fields=tuple(
            TypeFieldView(
                name=name_of(field.id),
                label=field.label,
                hint=field.help,
                placeholder=field.placeholder,
                is_optional=not field.required,
                choices=tuple((choice.value, choice.label) for choice in field.choices),
            )
            for field in type_.fields
        ),
        presets=type_.presets,
        required_scopes=type_.required_scopes,
        checklist=type_.checklist,
        unverified=type_.unverified,
        app_page=type_.app_page,
        documentation=type_.documentation,
        side_effect=type_.revocation_side_effect,
    )
