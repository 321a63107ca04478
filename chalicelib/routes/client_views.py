"""Client applications as the pages show them."""

from collections.abc import Mapping

from chalicelib.domain.client_application import ANY_SCOPE, AccessRule, ApplicationKey, ClientApplication
from chalicelib.domain.odd_item import OddKind
from chalicelib.domain.stop import Stop, StopKind
from chalicelib.ports import Clock
from chalicelib.services.administration import AdministrationService
from chalicelib.services.client_applications import ClientApplicationService
from chalicelib.services.odd_items import OddItemService
from chalicelib.services.people import PeopleService
from chalicelib.services.reach import WhoCould
from chalicelib.services.stops import StopService
from chalicelib.web.answers import Page
from chalicelib.web.pages import (
    ClientDialog,
    ClientRow,
    ClientView,
    DeveloperView,
    HeldAccount,
    KeyRow,
    OddDialog,
    ProviderChoice,
    ReachRow,
    ReachView,
    RuleRow,
    StopDialog,
    StopRow,
)

_EXAMPLE_PROVIDER = "northwind"


class ClientPages:
    """Reads what the pages of "Manage clients" need, and gives it as view models."""

    def __init__(
        self,
        *,
        clients: ClientApplicationService,
        administration: AdministrationService,
        people: PeopleService,
        stops: StopService,
        odd_items: OddItemService,
        clock: Clock,
        vault: str,
    ) -> None:
        self._clients = clients
        self._administration = administration
        self._people = people
        self._stops = stops
        self._odd_items = odd_items
        self._clock = clock
        self._vault = vault

    def provider_names(self) -> dict[str, str]:
        """Id and name of every provider, by name."""
        return {provider.id: provider.name for provider in self._administration.providers()}

    def list(
        self,
        search: Mapping[str, str],
        *,
        problem: str = "",
        found: WhoCould | None = None,
        dialog: OddDialog | None = None,
    ) -> Page:
        """All applications, and the answer to a search if one was made."""
        names = self.provider_names()
        everything = self._stops.everything()
        context = {
            "rows": tuple(self._row(application, names) for application in self._clients.all()),
            "odd": tuple(self._odd_items.of(OddKind.CLIENT)),
            "dialog": dialog,
            "providers": tuple(ProviderChoice(provider_id, name) for provider_id, name in names.items()),
            "search": search,
            "problem": problem,
            "found": self._reach(found, names) if found else None,
            "everything": stop_row(everything) if everything else None,
        }
        return Page("clients.html", context, 400 if problem else 200)

    def one(
        self,
        application: ClientApplication,
        *,
        dialog: ClientDialog | StopDialog | None = None,
        is_outdated: bool = False,
        status: int = 200,
    ) -> Page:
        """Everything about one application."""
        names = self.provider_names()
        view = self.view(application, names)
        context = {
            "client": view,
            "developer": self._developer(application, view),
            "providers": tuple(ProviderChoice(provider_id, name) for provider_id, name in names.items()),
            "dialog": dialog,
            "is_outdated": is_outdated,
        }
        return Page("client.html", context, 409 if is_outdated else status)

    def view(self, application: ClientApplication, names: Mapping[str, str]) -> ClientView:
        issuer = application.trusted_issuer
        return ClientView(
            row=self._row(application, names),
            version=application.version,
            created_at=application.created_at,
            role_arn=application.role_arn or "",
            issuer=issuer.issuer if issuer else "",
            issuer_audience=issuer.audience if issuer else "",
            user_claim=issuer.user_claim if issuer else "",
            calls_per_minute=application.calls_per_minute,
            people_per_hour=application.people_per_hour,
            keys=tuple(self.key(key) for key in application.keys),
            rules=tuple(self.rule(number, rule, names) for number, rule in enumerate(application.rules)),
        )

    def key(self, key: ApplicationKey) -> KeyRow:
        usable = key.is_usable(self._clock.now())
        return KeyRow(key.id, key.algorithm, key.fingerprint, key.added_at, key.expires_at, usable)

    def rule(self, number: int, rule: AccessRule, names: Mapping[str, str]) -> RuleRow:
        whose = rule.whose
        return RuleRow(
            number=number,
            provider=names.get(rule.provider_id, rule.provider_id),
            scopes=None if ANY_SCOPE in rule.scopes else rule.scopes,
            everybody=whose.everybody,
            groups=tuple(sorted(whose.groups)),
            users=tuple(self._people.names(whose.users)),
            sources=rule.sources,
        )

    def _row(self, application: ClientApplication, names: Mapping[str, str]) -> ClientRow:
        ids = dict.fromkeys(rule.provider_id for rule in application.rules)
        return ClientRow(
            id=application.id,
            name=application.name,
            keys=len(application.usable_keys(self._clock.now())),
            has_role=application.role_arn is not None,
            providers=tuple(names.get(provider_id, provider_id) for provider_id in ids),
            stop=None if application.enabled else stop_of(application),
        )

    def _developer(self, application: ClientApplication, view: ClientView) -> DeveloperView:
        newest = max((key for key in view.keys if key.is_usable), key=lambda key: key.added_at, default=None)
        provider_id = next((rule.provider_id for rule in application.rules), _EXAMPLE_PROVIDER)
        return DeveloperView(self._vault, application.id, newest, provider_id)

    def _reach(self, found: WhoCould, names: Mapping[str, str]) -> ReachView:
        rows = (
            ReachRow(
                one.application.id,
                one.application.name,
                tuple(self.rule(number, rule, names) for number, rule in enumerate(one.rules)),
                one.obstacles,
                tuple(grant.account.label for grant in one.accounts),
            )
            for one in found.reaches
        )
        return ReachView(
            person=found.person.name,
            provider=found.provider.name,
            accounts=tuple(HeldAccount(grant.account.label, grant.scopes) for grant in found.grants),
            rows=tuple(rows),
        )


def stop_row(stop: Stop) -> StopRow:
    return StopRow(stop.kind, stop.target, stop.target_name or stop.target, stop.reason, stop.at, stop.by.name)


def stop_of(application: ClientApplication) -> StopRow:
    """The stop that an application's own registration holds."""
    return StopRow(
        StopKind.APPLICATION,
        application.id,
        application.name,
        application.stopped_reason,
        application.stopped_at or application.created_at,
        application.stopped_by,
    )
