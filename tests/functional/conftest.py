"""The whole vault without a network: stores on moto, OAuth against a scripted cloud, a directory in memory."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from chalicelib.adapters.endpoint_guard import EndpointGuard
from chalicelib.adapters.oauth_client import AuthlibClient
from chalicelib.adapters.provider_check import CloudCheck
from chalicelib.bootstrap import Vault, create_vault
from chalicelib.domain.audit import Origin
from chalicelib.domain.directory import DirectorySettings
from chalicelib.domain.secret import Secret
from chalicelib.settings import Settings
from tests.aws import Aws
from tests.fakes import directory
from tests.fakes.cloud import CLIENT_ID, CLIENT_SECRET, ScriptedCloud
from tests.fakes.directory import FakeDirectory
from tests.fakes.system import FakeClock
from tests.iam import recorded

from .client import BASE, Answer, Browser, going_to

NORTHWIND = "northwind"
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
