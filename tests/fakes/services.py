"""All services over fakes of every port, wired as in `bootstrap`, for unit tests."""

from dataclasses import replace

from chalicelib.domain.audit import Origin
from chalicelib.domain.grant import Grant
from chalicelib.domain.provider import ClientSecrets
from chalicelib.domain.provider_type import ProviderType, RevocationStyle
from chalicelib.domain.secret import Secret
from chalicelib.domain.session import Session
from chalicelib.domain.token_set import CloudAccount, TokenSet
from chalicelib.services.administration import AdministrationService
from chalicelib.services.background import Engine
from chalicelib.services.consent import Callback, Consented, ConsentService
from chalicelib.services.events import EventService, Outlets
from chalicelib.services.generations import GenerationService
from chalicelib.services.grants import GrantService
from chalicelib.services.mail import MailService
from chalicelib.services.people import PeopleService
from chalicelib.services.refresh import RefreshService
from chalicelib.services.removals import RemovalService
from chalicelib.services.revocations import RevocationService
from tests.fakes.directory import FakeDirectory
from tests.fakes.events import FakeBus, FakeMailer, FakeMailStore, FakeOutbox
from tests.fakes.oauth_client import FakeOAuthClient
from tests.fakes.stores import (
    FakeAuditLog,
    FakeAuthorizationRequestStore,
    FakeClientApplicationStore,
    FakeCursorStore,
    FakeGrantStore,
    FakeProviderStore,
    FakeReleaseStore,
    FakeRemovalStore,
    FakeRevocationStore,
    FakeSessionStore,
    FakeStopStore,
    FakeUserAliasStore,
    FakeUserStore,
)
from tests.fakes.system import FakeClock, FakeRandom
from tests.fakes.token_cipher import FakeTokenCipher
from tests.samples import PROVIDER, SESSION

ORIGIN = Origin("request-1", "127.0.0.1")


class FakeCatalogue:
    """Implements `ports.Catalogue` with one type that a test may change."""

    def __init__(self) -> None:
        self.type = ProviderType(
            "openid-connect",
            "OpenID Connect",
            authorize_parameters={"prompt": "consent"},
            reauthorize_parameters={"prompt": "select_account"},
            revocation=RevocationStyle.RFC7009,
        )

    def all(self) -> list[ProviderType]:
        return [self.type]

    def get(self, type_id: str) -> ProviderType:
        return self.type

    def stored(self, type_id: str) -> ProviderType:
        return self.type


class FakeVault:
    """One provider is registered; `session` is alice's."""

    def __init__(self) -> None:
        self.clock, self.random, self.cipher = FakeClock(), FakeRandom(), FakeTokenCipher()
        self.sessions, self.requests = FakeSessionStore(), FakeAuthorizationRequestStore()
        self.providers, self.revocation_store = FakeProviderStore(), FakeRevocationStore()
        self.grant_store = FakeGrantStore(self.providers)
        self.aliases, self.applications = FakeUserAliasStore(), FakeClientApplicationStore()
        self.users, self.directory = FakeUserStore(self.aliases), FakeDirectory()
        self.stop_store, self.removal_store = FakeStopStore(), FakeRemovalStore()
        self.releases = FakeReleaseStore(self.applications, self.grant_store, self.aliases, self.users, self.stop_store)
        self.audit_log, self.cloud, self.catalogue = (
            FakeAuditLog(self.clock),
            FakeOAuthClient(self.clock),
            FakeCatalogue(),
        )
        self.cursors = FakeCursorStore()
        self.engine = Engine(self.clock, self.cursors)
        self.revocations = RevocationService(
            revocations=self.revocation_store,
            removals=self.removal_store,
            providers=self.providers,
            grants=self.grant_store,
            cipher=self.cipher,
            catalogue=self.catalogue,
            oauth_client=self.cloud,
            audit_log=self.audit_log,
            clock=self.clock,
            random=self.random,
            engine=self.engine,
        )
        self.generations = GenerationService(
            providers=self.providers, cipher=self.cipher, audit_log=self.audit_log, clock=self.clock
        )
        self.outbox, self.bus, self.mailer = FakeOutbox(), FakeBus(), FakeMailer()
        self.mail_store = FakeMailStore()
        self.events = EventService(
            outbox=self.outbox,
            outlets=Outlets(self.bus, self.mailer, ("team@contoso.example",)),
            grants=self.grant_store,
            users=self.users,
            mail=self.mail_store,
            audit_log=self.audit_log,
            clock=self.clock,
            engine=self.engine,
        )
        self.mail = MailService(self.mail_store, self.audit_log, self.clock, is_on=True)
        self.grants = GrantService(
            grants=self.grant_store,
            cipher=self.cipher,
            catalogue=self.catalogue,
            revocations=self.revocations,
            events=self.events,
            audit_log=self.audit_log,
            clock=self.clock,
        )
        self.refresh = RefreshService(
            grants=self.grant_store,
            health=self.grant_store.health,
            catalogue=self.catalogue,
            oauth_client=self.cloud,
            revocations=self.revocations,
            events=self.events,
            audit_log=self.audit_log,
            clock=self.clock,
            random=self.random,
        )
        self.consent = ConsentService(
            requests=self.requests,
            sessions=self.sessions,
            grant_store=self.grant_store,
            grants=self.grants,
            generations=self.generations,
            cipher=self.cipher,
            oauth_client=self.cloud,
            catalogue=self.catalogue,
            audit_log=self.audit_log,
            clock=self.clock,
            random=self.random,
            public_url="https://vault.example",
        )
        key = self.cipher.new_key("northwind", 1)
        with self.cipher.unlock(key) as box:
            secret = box.encrypt(ClientSecrets(Secret("client-secret")).to_bytes(), PROVIDER.secret_context())
        self.providers.add_key(key)
        self.providers.add(replace(PROVIDER, client_secret=secret))
        self.sessions.add(SESSION, 0)

    @property
    def session(self) -> Session:
        session = self.sessions.get(SESSION.id_hash)
        assert session is not None
        return session

    def trip(self, account: CloudAccount, **changed: str) -> Callback:
        """Go to the cloud and consent there; `changed` are fields of what comes back."""
        departure = self.consent.start(self.session, "northwind", None)
        code = self.cloud.consent(departure.url, account)
        state = departure.url.partition("state=")[2].partition("&")[0]
        return replace(Callback("northwind", state, departure.flow, code=code), **changed)

    def authorize(self, account: CloudAccount) -> Consented:
        return self.consent.complete(self.session, self.trip(account), ORIGIN)

    def grant(self) -> Grant | None:
        return self.grant_store.load(SESSION.user.id, "northwind").grant

    def tokens(self, grant: Grant) -> TokenSet:
        """What the grant's ciphertext holds."""
        key = self.providers.key(grant.provider_id, grant.generation)
        with self.cipher.unlock(key) as box:
            return TokenSet.from_bytes(box.decrypt(grant.token_set or b"", grant.encryption_context()))


class AdministeredVault(FakeVault):
    """The same with what administrators do about tokens."""

    def __init__(self) -> None:
        super().__init__()
        self.people = PeopleService(self.aliases, self.users, self.directory, self.clock)
        self.administration = AdministrationService(
            providers=self.providers, grants=self.grant_store, people=self.people
        )
        self.removals = RemovalService(
            providers=self.providers,
            generations=self.generations,
            grants=self.grant_store,
            removals=self.removal_store,
            administration=self.administration,
            revocations=self.revocations,
            catalogue=self.catalogue,
            cipher=self.cipher,
            audit_log=self.audit_log,
            clock=self.clock,
            random=self.random,
            engine=self.engine,
        )
