"""`python -m benchmarks.pages`: AWS calls and CPU milliseconds a page, beside the same calls made bare with boto3.

Moto runs in another process, so only our own CPU counts. The directory and the cloud are fakes in memory: their
cost is theirs. Rounds are interleaved and the median is printed; calls are exact.
"""

import os
import statistics
from collections.abc import Callable
from typing import Any

from benchmarks.harness import timed
from benchmarks.local_aws import Bare, Recorder, lines_into_nothing, local_aws
from chalicelib.adapters.aws import AwsClients
from chalicelib.bootstrap import create_vault
from chalicelib.domain.audit import Origin
from chalicelib.domain.directory import DirectorySettings
from chalicelib.domain.secret import Secret
from chalicelib.settings import Settings
from chalicelib.stores import tables
from tests.aws import ENVIRONMENT
from tests.fakes import directory
from tests.fakes.directory import FakeDirectory
from tests.fakes.oauth_client import FakeOAuthClient
from tests.fakes.system import FakeClock
from tests.functional.client import BASE, Browser, going_to
from tests.samples import ACCOUNT, SERVER

ROUNDS = 15
PROVIDERS = 10
"""As many are registered; alice has authorized half of them."""


CONTOSO = DirectorySettings(
    domain="CONTOSO", servers=("ldaps://dc.example",), administrator_groups=(directory.VAULT_ADMINISTRATORS,)
)


class Bench:
    """A vault with ten providers, on moto in another process."""

    def __init__(self, endpoint: str) -> None:
        os.environ |= ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint}
        self.aws = AwsClients.create()
        self.recorder, self.bare = Recorder(self.aws), Bare()
        self.clock = FakeClock()
        self.cloud = FakeOAuthClient(self.clock)
        settings = Settings(
            public_url=BASE,
            kms_key=self.aws.kms.create_key()["KeyMetadata"]["Arn"],
            audit_key="not used",
            directories=(CONTOSO,),
        )
        for name, table in (("vault", tables.VAULT), ("vault-keys", tables.KEYS), ("vault-sessions", tables.SESSIONS)):
            self.aws.dynamodb.create_table(**table.create_arguments(name))
        people = FakeDirectory(directory.ALICE, directory.BOB, directory.ADMIN)
        self.vault = create_vault(settings, aws=self.aws, clock=self.clock, directory=people, oauth_client=self.cloud)
        for number in range(PROVIDERS):
            self.vault.registration.register(
                f"cloud{number}",
                "openid-connect",
                f"Cloud {number}",
                client_id="vault",
                client_secret=Secret("secret"),
                server=SERVER,
                scopes=("openid", "email"),
                actor="benchmark",
                origin=Origin("-", "-"),
            )
        self.app = self.vault.app()

    def browser(self, name: str) -> Browser:
        browser = Browser(self.app)
        browser.log_in(f"CONTOSO\\{name}", f"{name}-pass")
        return browser

    def callback(self, browser: Browser, provider: str) -> str:
        """Go to the cloud and consent; the address to come back to."""
        url = going_to(browser.post(f"/providers/{provider}/authorize", {"csrf": self.token(browser)}))
        code = self.cloud.consent(url, ACCOUNT)
        return f"/oauth/callback/{provider}?state={url.partition('state=')[2].partition('&')[0]}&code={code}"

    @staticmethod
    def token(browser: Browser) -> str:
        return browser.get("/providers").form("Sign out").fields[0][1]


def main() -> None:
    with local_aws() as endpoint, lines_into_nothing():
        measure(Bench(endpoint))


def measure(bench: Bench) -> None:
    alice, admin = bench.browser("alice"), bench.browser("admin")
    for number in range(0, PROVIDERS, 2):
        alice.get(bench.callback(alice, f"cloud{number}"))
    jobs: dict[str, Callable[[], Callable[[], Any]]] = {
        "log-in page": lambda: lambda: Browser(bench.app).get("/login"),
        "log in": lambda: prepared_login(bench),
        f"providers page ({PROVIDERS} providers, 5 grants)": lambda: lambda: alice.get("/providers"),
        "authorize": lambda: prepared_post(bench, alice, "/providers/cloud1/authorize"),
        "callback": lambda: prepared_callback(bench, alice),
        "revoke": lambda: prepared_revoke(bench, alice),
        "manage tokens": lambda: lambda: admin.get("/admin/tokens?provider=cloud0"),
    }
    samples: dict[str, list[tuple[float, float]]] = {name: [] for name in jobs}
    operations: dict[str, list[str]] = {}
    for _ in range(ROUNDS):
        for name, prepare in jobs.items():
            page, bare, operations[name] = once(bench, prepare())
            samples[name].append((page, bare))
    print(f"{'page':<44}{'calls':>6}{'CPU ms':>9}{'floor':>8}{'ratio':>7}  calls made")
    for name, values in samples.items():
        page, bare = (statistics.median(column) for column in zip(*values, strict=True))
        ratio = f"{page / bare:.2f}" if bare else "-"
        print(f"{name:<44}{len(operations[name]):>6}{page:>9.2f}{bare:>8.2f}{ratio:>7}  {', '.join(operations[name])}")


def once(bench: Bench, act: Callable[[], Any]) -> tuple[float, float, list[str]]:
    """CPU of the page, CPU of its calls made bare, and which they were."""
    bench.recorder.take()
    page = cpu(act)
    operations, calls = bench.recorder.take()
    floor = cpu(lambda: bench.bare.repeat(calls)) if calls else 0.0
    bench.recorder.take()
    return page, floor, operations


def cpu(act: Callable[[], Any]) -> float:
    """Milliseconds of this process's CPU."""
    return timed(act).cpu


def prepared_login(bench: Bench) -> Callable[[], Any]:
    browser = Browser(bench.app)
    page = browser.get("/login")
    return lambda: browser.press(page, "Log in", follow=False, user_name="CONTOSO\\bob", password="bob-pass")


def prepared_post(bench: Bench, browser: Browser, path: str) -> Callable[[], Any]:
    token = bench.token(browser)
    return lambda: browser.post(path, {"csrf": token}, follow=False)


def prepared_callback(bench: Bench, browser: Browser) -> Callable[[], Any]:
    path = bench.callback(browser, "cloud1")
    return lambda: browser.get(path, follow=False)


def prepared_revoke(bench: Bench, browser: Browser) -> Callable[[], Any]:
    browser.get(bench.callback(browser, "cloud1"))
    return prepared_post(bench, browser, "/providers/cloud1/revoke")


if __name__ == "__main__":
    main()
