"""The only place that constructs stores, adapters and services, and so decides what stands behind each port."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from chalice.app import Chalice

from . import telemetry
from .adapters.audit_key import KmsAuditKey
from .adapters.aws import AwsClients
from .adapters.directory import Directories
from .adapters.endpoint_guard import EndpointGuard
from .adapters.event_bridge import EventBridge
from .adapters.late import Late
from .adapters.secrets_manager import SecretsManager
from .adapters.ses_feedback import refusals_in
from .adapters.ses_mailer import MailSender, SesMailer
from .adapters.system import SystemClock, SystemRandom
from .domain.configuration import ConfigurationFault
from .domain.directory import user_name_hint
from .domain.odd_item import OddKind
from .domain.sign_in import SignInSettings
from .ports import (
    AuditLog,
    AuthorizationRequestStore,
    Catalogue,
    Clock,
    Directory,
    GrantStore,
    IdentityProvider,
    JwtVerifier,
    OAuthClient,
    ProviderCheck,
    PublicKeyReader,
    Random,
    SessionBox,
    TokenCipher,
)
from .routes import (
    activity,
    admin_administrators,
    admin_audit,
    admin_client_keys,
    admin_client_rules,
    admin_clients,
    admin_directory,
    admin_leavers,
    admin_odd_items,
    admin_provider_acts,
    admin_providers,
    admin_removals,
    admin_stops,
    admin_tokens,
    admin_undelivered,
    applications,
    consent,
    login,
    mail,
    personal_data,
    providers,
    sessions,
    sign_in,
    static,
    token,
)
from .routes.client_views import ClientPages
from .routes.login_views import LoginPages
from .routes.provider_views import ProviderPages
from .services.administration import AdministrationService
from .services.administrators import AdministratorService
from .services.audit import AuditService
from .services.audit_seals import SealService
from .services.background import Engine
from .services.clean_up import CleanUpService
from .services.client_applications import ClientApplicationService
from .services.consent import ConsentService
from .services.events import EventService, Outlets
from .services.generations import GenerationService
from .services.grant_import import GrantImportService
from .services.grants import GrantService
from .services.keep_alive import KeepAliveService
from .services.key_rotation import KeyRotationService
from .services.leavers import LeaverService
from .services.limits import LimitService
from .services.login import LoginService
from .services.mail import MailService
from .services.odd_items import OddItemService
from .services.people import PeopleService
from .services.personal_data import PersonalDataService
from .services.providers import ProviderService
from .services.reach import ReachService
from .services.refresh import RefreshService
from .services.refusals import RefusalService
from .services.registration import RegistrationService
from .services.removals import RemovalService
from .services.restoration import RestorationService
from .services.revocations import RevocationService
from .services.sessions import SessionService
from .services.sign_in import SignInService
from .services.stops import StopService
from .services.throttle import Throttle
from .services.token_exchange import TokenExchangeService
from .services.use_counts import UseCountService
from .settings import Settings
from .stores.administrators import DynamoAdministratorStore
from .stores.audit_log import DynamoAuditLog
from .stores.authorization_requests import DynamoAuthorizationRequestStore
from .stores.client_applications import DynamoClientApplicationStore
from .stores.copies import CopiedTable, DynamoCopyStore
from .stores.cursors import DynamoCursorStore
from .stores.grants import DynamoGrantStore
from .stores.mail import DynamoMailStore
from .stores.outbox import DynamoOutbox
from .stores.personal_items import DynamoPersonalItems
from .stores.provider_health import DynamoProviderHealthStore
from .stores.providers import DynamoProviderStore
from .stores.releases import DynamoReleaseStore
from .stores.removals import DynamoRemovalStore
from .stores.revocations import DynamoRevocationStore
from .stores.seals import DynamoSealStore
from .stores.sessions import DynamoSessionStore
from .stores.stops import DynamoStopStore
from .stores.table import Table
from .stores.tries import DynamoTryStore
from .stores.usage import DynamoUsageStore
from .stores.use_counts import DynamoUseCountStore
from .stores.user_aliases import DynamoUserAliasStore
from .stores.users import DynamoUserStore
from .web.answers import Page
from .web.endpoint import Endpoints
from .web.mails import MailWriter
from .web.pages import OddDialog
from .web.render import Renderer
from .web.urls import Urls

AT_ONCE = 8
"""Pieces of background work at the same time; fewer than the connections that a client keeps (`adapters.aws`)."""


@dataclass(frozen=True, slots=True)
class World:
    """What lies outside. `of` makes the real one; tests replace single parts of it."""

    aws: AwsClients
    clock: Clock
    random: Random
    directory: Directory
    oauth_client: OAuthClient
    catalogue: Catalogue
    cipher: TokenCipher
    jwt_verifier: JwtVerifier
    key_reader: PublicKeyReader
    provider_check: ProviderCheck
    identity_provider: IdentityProvider | None
    session_box: SessionBox
    at_once: int = AT_ONCE

    @classmethod
    def of(cls, settings: Settings, **replaced: Any) -> "World":
        aws: AwsClients = replaced.pop("aws", None) or AwsClients.create()
        clock: Clock = replaced.pop("clock", None) or SystemClock()
        guard = EndpointGuard(allow_private=settings.allow_private_clouds)
        oauth_client = Late(lambda: _oauth_client(clock, guard))
        of_clouds = replaced.get("oauth_client", oauth_client)
        secrets, sign_in = SecretsManager(aws), settings.sign_in
        parts: dict[str, Any] = {
            "random": SystemRandom(),
            "directory": Directories(settings.directories, secrets, clock),
            "identity_provider": sign_in and Late(lambda: _identity_provider(sign_in, secrets, of_clouds, clock)),
            "session_box": Late(_session_box),
            "oauth_client": oauth_client,
            "jwt_verifier": Late(lambda: _jwt_verifier(clock, of_clouds)),
            "key_reader": Late(_key_reader),
            "provider_check": Late(lambda: _provider_check(clock, guard)),
            "catalogue": Late(_catalogue),
            "cipher": Late(lambda: _cipher(aws, settings, clock)),
        }
        return cls(aws=aws, clock=clock, **(parts | replaced))


def _oauth_client(clock: Clock, guard: EndpointGuard) -> OAuthClient:
    from .adapters.oauth_client import AuthlibClient

    return AuthlibClient(clock, guard)


def _identity_provider(
    settings: SignInSettings, secrets: SecretsManager, oauth_client: OAuthClient, clock: Clock
) -> IdentityProvider:
    from .adapters.openid_provider import OpenIdProvider

    return OpenIdProvider(settings, secrets, oauth_client, clock)


def _session_box() -> SessionBox:
    from .adapters import session_box

    return session_box.SessionBox()


def _jwt_verifier(clock: Clock, oauth_client: Any) -> JwtVerifier:
    from .adapters.jwt_verifier import JoseVerifier

    def fetch(url: str) -> dict[str, Any]:
        # Named as the method it is, the client would be made now
        answer: dict[str, Any] = oauth_client.json_object(url)
        return answer

    return JoseVerifier(clock, fetch)


def _key_reader() -> PublicKeyReader:
    from .adapters import application_keys

    return application_keys.PublicKeyReader()


def _provider_check(clock: Clock, guard: EndpointGuard) -> ProviderCheck:
    from .adapters.provider_check import CloudCheck

    return CloudCheck(clock, guard)


def _catalogue() -> Catalogue:
    from .adapters.catalogue import FileCatalogue

    return FileCatalogue()


def _cipher(aws: AwsClients, settings: Settings, clock: Clock) -> TokenCipher:
    from .adapters.token_cipher import KeptKeys, KmsTokenCipher

    kept = KeptKeys(clock, settings.key_cache_seconds)
    return KmsTokenCipher(aws.kms, settings.kms_key, settings.earlier_kms_key, kept)


def _seals(
    settings: Settings,
    world: World,
    *,
    vault: Table,
    keys: Table,
    grants: GrantStore,
    audit_log: AuditLog,
    engine: Engine,
) -> SealService:
    seal_store = DynamoSealStore(vault, keys)
    return SealService(
        audit_log=audit_log,
        seals=seal_store,
        key=KmsAuditKey(world.aws.kms, settings.audit_key),
        use_counts=UseCountService(
            uses=DynamoUseCountStore(vault),
            grants=grants,
            audit_log=audit_log,
            seals=seal_store,
            cursors=DynamoCursorStore(vault),
            days=settings.audit_days,
            clock=world.clock,
        ),
        clock=world.clock,
        days=settings.audit_days,
        engine=engine,
    )


def _sign_in(
    settings: Settings,
    world: World,
    requests: AuthorizationRequestStore,
    sessions: SessionService,
    audit_log: AuditLog,
) -> SignInService | None:
    if not settings.sign_in or not world.identity_provider:
        return None
    return SignInService(
        settings=settings.sign_in,
        provider=world.identity_provider,
        requests=requests,
        sessions=sessions,
        directory=world.directory,
        audit_log=audit_log,
        clock=world.clock,
        random=world.random,
        public_url=settings.public_url,
        box=world.session_box,
        directory_domains=frozenset(
            name.casefold() for one in settings.directories for name in (one.dns_name, *one.upn_suffixes) if name
        ),
    )


class Vault:
    """Everything wired together: stores inside, services to call, the Chalice app on top."""

    def __init__(self, settings: Settings, world: World) -> None:
        self.settings = settings
        self._aws, self._clock = world.aws, world.clock
        self._identity_provider = world.identity_provider
        vault, keys, session_table = (
            Table(world.aws.dynamodb, name, world.random, world.clock)
            for name in (settings.table, settings.keys_table, settings.sessions_table)
        )
        session_store = DynamoSessionStore(session_table)
        provider_store = DynamoProviderStore(copied := CopiedTable(vault, keys), keys)
        grant_store = DynamoGrantStore(vault, keys, session_table)
        revocation_store, removal_store = DynamoRevocationStore(vault), DynamoRemovalStore(vault)
        mail_store, alias_store = DynamoMailStore(vault), DynamoUserAliasStore(vault, world.random)
        user_store = DynamoUserStore(vault, alias_store)
        application_store, stop_store = DynamoClientApplicationStore(copied), DynamoStopStore(copied)
        administrator_store = DynamoAdministratorStore(copied)
        audit_log = DynamoAuditLog(vault, world.clock, world.random, days=settings.audit_days)
        generations = GenerationService(
            providers=provider_store, cipher=world.cipher, audit_log=audit_log, clock=world.clock
        )

        cursors, outbox = DynamoCursorStore(vault), DynamoOutbox(vault)
        engine = Engine(world.clock, cursors, at_once=world.at_once)

        self.refusals = RefusalService(usage=DynamoUsageStore(session_table), audit_log=audit_log, clock=world.clock)
        self.directory, self.users, self.provider_health = world.directory, user_store, DynamoProviderHealthStore(vault)
        request_store = DynamoAuthorizationRequestStore(session_table)
        self.sessions = SessionService(
            sessions=session_store,
            requests=request_store,
            audit_log=audit_log,
            clock=world.clock,
            random=world.random,
            users=user_store,
            administrators=administrator_store,
            administrator_groups=settings.administrator_groups,
        )
        throttle = Throttle(DynamoTryStore(session_table), world.clock, world.random)
        self.login = LoginService(world.directory, self.sessions, throttle, audit_log, world.clock)
        self.providers = ProviderService(
            provider_store, grant_store, self.provider_health, world.catalogue, world.clock
        )
        self.revocations = RevocationService(
            catalogue=world.catalogue,
            revocations=revocation_store,
            removals=removal_store,
            providers=provider_store,
            grants=grant_store,
            cipher=world.cipher,
            oauth_client=world.oauth_client,
            audit_log=audit_log,
            clock=world.clock,
            random=world.random,
            engine=engine,
        )
        self.events = EventService(
            outbox=DynamoOutbox(vault),
            outlets=_outlets(settings, world),
            grants=grant_store,
            users=user_store,
            mail=mail_store,
            audit_log=audit_log,
            clock=world.clock,
            engine=engine,
        )
        self.mail = MailService(mail_store, audit_log, world.clock, is_on=bool(settings.mail_from))
        self.grants = GrantService(
            grants=grant_store,
            cipher=world.cipher,
            catalogue=world.catalogue,
            revocations=self.revocations,
            events=self.events,
            audit_log=audit_log,
            clock=world.clock,
        )
        self.leavers = LeaverService(
            users=user_store,
            directory=world.directory,
            sessions=session_store,
            grant_store=grant_store,
            grants=self.grants,
            audit_log=audit_log,
            clock=world.clock,
            days=settings.leaver_days,
            engine=engine,
            claims_days=settings.sign_in.allowed_days if settings.sign_in and settings.sign_in.allowed else 0,
        )
        self.refresh = RefreshService(
            grants=grant_store,
            health=self.provider_health,
            catalogue=world.catalogue,
            oauth_client=world.oauth_client,
            revocations=self.revocations,
            events=self.events,
            audit_log=audit_log,
            clock=world.clock,
            random=world.random,
        )
        self.keep_alive = KeepAliveService(
            providers=provider_store,
            grants=grant_store,
            cursors=cursors,
            catalogue=world.catalogue,
            cipher=world.cipher,
            refresh=self.refresh,
            events=self.events,
            stops=stop_store,
            clock=world.clock,
            engine=engine,
        )
        self.sign_in = _sign_in(settings, world, request_store, self.sessions, audit_log)
        self.consent = ConsentService(
            requests=request_store,
            sessions=session_store,
            grant_store=grant_store,
            grants=self.grants,
            generations=generations,
            cipher=world.cipher,
            oauth_client=world.oauth_client,
            catalogue=world.catalogue,
            audit_log=audit_log,
            clock=world.clock,
            random=world.random,
            public_url=settings.public_url,
        )
        self.people = PeopleService(alias_store, user_store, world.directory, world.clock)
        self.administrators = AdministratorService(
            administrators=administrator_store,
            groups=settings.administrator_groups,
            people=self.people,
            directory=world.directory,
            audit_log=audit_log,
            clock=world.clock,
        )
        self.grant_import = GrantImportService(
            grants=grant_store,
            generations=generations,
            people=self.people,
            users=user_store,
            directory=world.directory,
            cipher=world.cipher,
            audit_log=audit_log,
            clock=world.clock,
        )
        self.administration = AdministrationService(providers=provider_store, grants=grant_store, people=self.people)
        self.removals = RemovalService(
            providers=provider_store,
            generations=generations,
            grants=grant_store,
            removals=removal_store,
            administration=self.administration,
            revocations=self.revocations,
            catalogue=world.catalogue,
            cipher=world.cipher,
            audit_log=audit_log,
            clock=world.clock,
            random=world.random,
            engine=engine,
        )
        self.clean_up = CleanUpService(
            providers=provider_store,
            grants=grant_store,
            removals=removal_store,
            revocation_store=revocation_store,
            revocations=self.revocations,
            catalogue=world.catalogue,
            cipher=world.cipher,
            audit_log=audit_log,
            clock=world.clock,
            engine=engine,
        )
        self.key_rotation = KeyRotationService(provider_store, world.cipher, audit_log)
        self.restoration = RestorationService(
            copies=DynamoCopyStore(vault, keys, world.clock),
            providers=provider_store,
            applications=application_store,
            administrators=administrator_store,
            stops=stop_store,
            leavers=self.leavers,
            cipher=world.cipher,
            audit_log=audit_log,
            clock=world.clock,
        )
        self.registration = RegistrationService(
            providers=provider_store,
            cipher=world.cipher,
            oauth_client=world.oauth_client,
            check=world.provider_check,
            catalogue=world.catalogue,
            administration=self.administration,
            generations=generations,
            removals=self.removals,
            audit_log=audit_log,
            clock=world.clock,
        )
        self.odd_items = OddItemService(
            providers=provider_store,
            others={
                OddKind.CLIENT: application_store,
                OddKind.REVOCATION: revocation_store,
                OddKind.DELIVERY: outbox,
            },
            generations=generations,
            audit_log=audit_log,
        )
        self.client_applications = ClientApplicationService(
            applications=application_store,
            key_reader=world.key_reader,
            oauth_client=world.oauth_client,
            audit_log=audit_log,
            clock=world.clock,
        )
        self.stops = StopService(
            stops=stop_store,
            applications=application_store,
            providers=provider_store,
            people=self.people,
            audit_log=audit_log,
            clock=world.clock,
        )
        self.token_exchange = TokenExchangeService(
            releases=DynamoReleaseStore(grant_store),
            refresh=self.refresh,
            cipher=world.cipher,
            jwt_verifier=world.jwt_verifier,
            audit_log=audit_log,
            clock=world.clock,
            random=world.random,
            limits=LimitService(
                usage=DynamoUsageStore(session_table), stops=self.stops, events=self.events, clock=world.clock
            ),
            people=self.people,
            issuer=settings.public_url,
        )
        self.reach = ReachService(
            applications=application_store,
            providers=provider_store,
            grants=grant_store,
            stops=stop_store,
            health=self.provider_health,
            people=self.people,
            audit_log=audit_log,
            clock=world.clock,
        )
        self.audit = AuditService(audit_log, provider_store, world.clock)
        self.personal_data = PersonalDataService(
            items=DynamoPersonalItems(vault, copied, keys, session_table, alias_store),
            people=self.people,
            users=user_store,
            grant_store=grant_store,
            grants=self.grants,
            directory=world.directory,
            audit_log=audit_log,
            clock=world.clock,
            days={"VAULT_AUDIT_DAYS": settings.audit_days, "VAULT_LEAVER_DAYS": settings.leaver_days},
        )
        self.seals = _seals(
            settings, world, vault=vault, keys=keys, grants=grant_store, audit_log=audit_log, engine=engine
        )
        self.endpoints = self._endpoints(world)

    def configuration_faults(self) -> Iterator[ConfigurationFault]:
        """What is wrong with the keys, secrets and tables that the settings name."""
        from .adapters.key_check import AUDIT_KEY, TOKEN_KEY, key_faults, secret_faults
        from .stores import tables
        from .stores.table_check import table_faults

        aws, settings = self._aws, self.settings
        yield from key_faults(aws.kms, settings.kms_key, TOKEN_KEY)
        yield from key_faults(aws.kms, settings.audit_key, AUDIT_KEY)
        yield from table_faults(aws.dynamodb, "VAULT_TABLE", settings.table, tables.VAULT)
        yield from table_faults(aws.dynamodb, "VAULT_KEYS_TABLE", settings.keys_table, tables.KEYS)
        yield from table_faults(aws.dynamodb, "VAULT_SESSIONS_TABLE", settings.sessions_table, tables.SESSIONS)
        for one in settings.directories:
            if one.service_secret:
                yield from secret_faults(SecretsManager(aws), one.domain, one.service_secret)
        if self._identity_provider:
            yield from self._identity_provider.faults()

    def note_feedback(self, detail: Mapping[str, Any]) -> None:
        """What SES says of a mail that came back, as EventBridge brings it."""
        self.mail.refused(refusals_in(detail, self._clock.now()))

    def app(self) -> Chalice:
        """The Chalice app with all routes."""
        app = Chalice(app_name="token-vault", configure_logs=False)
        for blueprint in self._blueprints:
            app.register_blueprint(blueprint)
        self.endpoints.install(app, self.settings.gateway_stage)
        return app

    def _endpoints(self, world: World) -> Endpoints:
        urls = Urls(self.settings.public_url)
        provider_pages = ProviderPages(
            registration=self.registration,
            administration=self.administration,
            odd_items=self.odd_items,
            health=self.provider_health,
            clock=world.clock,
            urls=urls,
        )
        endpoints = Endpoints(self.sessions, self.refusals, Renderer(urls.base_path), urls)
        client_pages = ClientPages(
            clients=self.client_applications,
            administration=self.administration,
            people=self.people,
            stops=self.stops,
            odd_items=self.odd_items,
            clock=world.clock,
            vault=urls.public_url,
        )
        hint = user_name_hint(self.settings.directories)
        login_pages = LoginPages(endpoints.cookie_names, world.random, hint, self.sign_in)
        token_pages = admin_tokens.TokenPages(self.administration)
        self._blueprints = (
            static.blueprint(endpoints),
            login.blueprint(endpoints, self.login, self.sessions, self.sign_in, login_pages),
            sign_in.blueprint(endpoints, self.sign_in, self.sessions, login_pages),
            providers.blueprint(endpoints, self.providers, self.grants, self.sessions, urls),
            consent.blueprint(endpoints, self.consent, self.sessions),
            sessions.blueprint(endpoints, self.sessions),
            admin_leavers.blueprint(endpoints, self.leavers),
            admin_administrators.blueprint(endpoints, self.administrators),
            admin_directory.blueprint(endpoints, self.settings.directories, self.directory, self.login),
            admin_providers.blueprint(endpoints, self.registration, self.sessions, provider_pages),
            admin_provider_acts.blueprint(
                endpoints, self.registration, self.administration, self.consent, provider_pages
            ),
            admin_tokens.blueprint(endpoints, self.administration, self.sessions, token_pages),
            admin_removals.blueprint(
                endpoints,
                administration=self.administration,
                removals=self.removals,
                odd_items=self.odd_items,
                people=self.people,
                sessions=self.sessions,
                pages=token_pages,
            ),
            admin_odd_items.blueprint(
                endpoints,
                self.odd_items,
                {
                    OddKind.PROVIDER: lambda dialog: provider_pages.list("", dialog=dialog),
                    OddKind.CLIENT: lambda dialog: client_pages.list({}, dialog=dialog),
                    OddKind.REVOCATION: self._receipts,
                    OddKind.DELIVERY: self._receipts,
                },
            ),
            admin_audit.blueprint(endpoints, self.audit),
            activity.blueprint(endpoints, self.audit),
            applications.blueprint(endpoints, self.reach),
            mail.blueprint(endpoints, self.mail),
            personal_data.blueprint(endpoints, self.personal_data),
            admin_undelivered.blueprint(endpoints, self.events),
            admin_clients.blueprint(endpoints, self.client_applications, self.reach, client_pages),
            admin_client_keys.blueprint(endpoints, self.client_applications, client_pages),
            admin_client_rules.blueprint(
                endpoints, self.client_applications, self.people, self.administration, client_pages
            ),
            admin_stops.blueprint(endpoints, self.stops, self.client_applications, self.administration),
            token.blueprint(endpoints, self.token_exchange, urls),
        )
        return endpoints

    def _receipts(self, dialog: OddDialog) -> Page:
        return admin_removals.receipts_page(self.removals, self.odd_items, dialog)


def _outlets(settings: Settings, world: World) -> Outlets:
    """Where events go, as far as the settings name it."""
    urls = Urls(settings.public_url)
    bus = EventBridge(world.aws, settings.event_bus, urls) if settings.event_bus else None
    mailer = None
    if settings.mail_from:
        sender = MailSender(settings.mail_from, settings.mail_configuration_set, settings.mail_reply_to, urls.host)
        mailer = SesMailer(world.aws, sender, MailWriter(urls), world.clock)
    return Outlets(bus, mailer, settings.admin_mail)


def create_vault(settings: Settings | None = None, **replaced: Any) -> Vault:
    """The vault as the settings say (default: of the environment); `replaced` are parts of the `World`."""
    settings = settings or Settings.from_environment()
    telemetry.configure(settings.log_level, settings.metrics)
    return Vault(settings, World.of(settings, **replaced))
