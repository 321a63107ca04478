"""The whole vault without a network: stores on moto, OAuth against a scripted cloud, a directory in memory."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from email import message_from_string
from email.message import EmailMessage
from email.policy import default

import pytest
from moto.backends import get_backend

from chalicelib.adapters.endpoint_guard import EndpointGuard
from chalicelib.adapters.oauth_client import AuthlibClient
from chalicelib.adapters.provider_check import CloudCheck
from chalicelib.bootstrap import Vault, create_vault
from chalicelib.domain.audit import Origin
from chalicelib.domain.directory import DirectorySettings
from chalicelib.domain.grant import Holding
from chalicelib.domain.secret import Secret
from chalicelib.domain.token_exchange import Need, TokenRefused
from chalicelib.settings import Settings
from tests.aws import ACCOUNT_ID, ENVIRONMENT, Aws
from tests.fakes import directory
from tests.fakes.cloud import CLIENT_ID, CLIENT_SECRET, ScriptedCloud
from tests.fakes.directory import FakeDirectory
from tests.fakes.system import FakeClock
from tests.iam import recorded

from .client import BASE, Answer, Browser, going_to

NORTHWIND = "northwind"
SENDER, TEAM = "vault@contoso.example", "team@contoso.example"
CONTOSO = DirectorySettings(
    domain="CONTOSO",
    servers=("ldaps://dc.contoso.example",),
    administrator_groups=(directory.VAULT_ADMINISTRATORS,),
)


@dataclass
class Running:
    """A vault, what is around it, and what people do in it."""

    vault: Vault
    aws: Aws
    cloud: ScriptedCloud
    directory: FakeDirectory
    clock: FakeClock

    def __post_init__(self) -> None:
        self.app = self.vault.app()

    def browser(self, user_name: str = "", password: str = "") -> Browser:
        """A new browser, logged in if a name is given (passwords are `<name>-pass`)."""
        browser = Browser(self.app)
        if user_name:
            browser.log_in(f"CONTOSO\\{user_name}", password or f"{user_name}-pass")
        return browser

    def authorize(self, browser: Browser, account: str = "alice", button: str = "Authorize") -> Answer:
        """Go to the cloud, consent there as `account`, come back."""
        going = browser.press(browser.get("/providers"), button)
        return browser.get(self.callback(self.cloud.consent(going_to(going), account)))

    @staticmethod
    def callback(url: str) -> str:
        assert url.startswith(BASE), url
        return url.removeprefix(BASE)

    def refresh(self, user_id: str) -> None:
        """As when a program asks for that person's token; whatever comes of it."""
        grants, cipher = self.vault.grants._grants, self.vault.grants._cipher

        def load() -> Holding:
            return grants.load(user_id, NORTHWIND)

        holding = load()
        with cipher.unlock(holding.key) as box, suppress(TokenRefused):
            self.vault.refresh.fresh(holding, box, Need(), load)

    def stored(self) -> list[object]:
        """Every item, but for what notes that a request was refused."""
        every = [item for name in ("vault", "vault-keys", "vault-sessions") for item in self.aws.items(name)]
        return [
            item
            for item in every
            if item.get("tag") != {"S": "request.denied"}
            and not str(item["pk"]["S"]).startswith("USAGE#CALLS#refused ")
        ]

    def audit_tags(self) -> list[str]:
        entries = [item for item in self.aws.items("vault") if item["pk"]["S"].startswith("AUDIT#")]
        return [item["tag"]["S"] for item in entries]


@pytest.fixture
def running(aws: Aws) -> Iterator[Running]:
    clock = FakeClock()
    people = FakeDirectory(directory.ALICE, directory.BOB, directory.ADMIN)
    with ScriptedCloud(now=clock.now) as cloud, recorded(aws.clients):
        vault = create_vault(
            Settings(
                public_url=BASE,
                kms_key=aws.kms_key,
                audit_key=aws.audit_key,
                directories=(CONTOSO,),
                log_level="DEBUG",
            ),
            aws=aws.clients,
            clock=clock,
            directory=people,
            oauth_client=AuthlibClient(clock, EndpointGuard(allow_private=True)),
            provider_check=CloudCheck(clock, EndpointGuard(allow_private=True)),
            at_once=1,
        )
        vault.registration.register(
            NORTHWIND,
            "openid-connect",
            "Northwind Cloud",
            client_id=CLIENT_ID,
            client_secret=Secret(CLIENT_SECRET),
            server=cloud.server,
            fields={"issuer": cloud.issuer},
            scopes=("openid", "profile", "email", "offline_access"),
            actor="test",
            origin=Origin("-", "test"),
        )
        yield Running(vault, aws, cloud, people, clock)


@dataclass
class Telling(Running):
    """A vault that tells people and programs what happens."""

    def mails(self) -> list[EmailMessage]:
        """Every mail that SES took, as its reader's program sees it."""
        sent = get_backend("ses")[ACCOUNT_ID][ENVIRONMENT["AWS_DEFAULT_REGION"]].sent_messages
        messages = [message_from_string(one.raw_data, policy=default) for one in sent]
        return [message for message in messages if isinstance(message, EmailMessage)]


@pytest.fixture
def telling(running: Running) -> Iterator[Telling]:
    settings = replace(running.vault.settings, event_bus="default", mail_from=SENDER, admin_mail=(TEAM,))
    vault = create_vault(
        settings,
        aws=running.aws.clients,
        clock=running.clock,
        directory=running.directory,
        oauth_client=AuthlibClient(running.clock, EndpointGuard(allow_private=True)),
        provider_check=CloudCheck(running.clock, EndpointGuard(allow_private=True)),
        at_once=1,
    )
    running.aws.clients.mail.create_email_identity(EmailIdentity=SENDER)
    get_backend("ses")[ACCOUNT_ID][ENVIRONMENT["AWS_DEFAULT_REGION"]].sent_messages.clear()
    yield Telling(vault, running.aws, running.cloud, running.directory, running.clock)
    running.aws.clients.mail.delete_email_identity(EmailIdentity=SENDER)
