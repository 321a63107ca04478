"""`python -m benchmarks.releases`: AWS calls and CPU milliseconds a release and a refresh, beside bare boto3.

As in `benchmarks.pages`: moto runs in another process, the cloud is a fake in memory, rounds are interleaved. Callers
that ask at the same moment are threads of this process, each with its own signed request.
"""

import json
import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from benchmarks.pages import Recorder, cpu
from chalicelib.adapters.aws import AwsClients
from chalicelib.bootstrap import create_vault
from chalicelib.domain.audit import Origin
from chalicelib.domain.client_application import ANY_SCOPE, AccessRule, Whose
from chalicelib.domain.directory import DirectorySettings
from chalicelib.domain.secret import Secret
from chalicelib.domain.token_exchange import Caller, TokenRequest
from chalicelib.settings import Settings
from chalicelib.stores import tables
from tests.aws import ENVIRONMENT
from tests.fakes import directory
from tests.fakes.application import Application
from tests.fakes.directory import FakeDirectory
from tests.fakes.oauth_client import FakeOAuthClient
from tests.functional.client import BASE, Browser, going_to
from tests.samples import ACCOUNT, ADMINISTRATOR, APPLICATION, SERVER

ROUNDS = 30
HOUR = 3600
ORIGIN = Origin("-", "127.0.0.1")
NAME = "CONTOSO\\alice"


class MovableClock:
    """The system's clock, that can be put forward."""

    def __init__(self) -> None:
        self.off = 0

    def now(self) -> int:
        return int(time.time()) + self.off

    def monotonic(self) -> float:
        return time.monotonic() + self.off

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)


@dataclass(frozen=True)
class Measured:
    """One act, and its AWS calls made bare."""

    operations: list[str]
    act: float
    bare: float


class Bench:
    """A vault with one application, and alice who has authorized one cloud."""

    def __init__(self, endpoint: str) -> None:
        os.environ |= ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint}
        # Moto serves hundreds of callers on one core: patience, and a connection each
        config = Config(
            read_timeout=60, max_pool_connections=200, retries={"mode": "standard", "total_max_attempts": 3}
        )
        session = boto3.Session()
        self.aws = AwsClients(session.client("dynamodb", config=config), session.client("kms", config=config))
        for name, table in (("vault", tables.VAULT), ("vault-keys", tables.KEYS), ("vault-sessions", tables.SESSIONS)):
            self.aws.dynamodb.create_table(**table.create_arguments(name))
        self.clock = MovableClock()
        self.cloud = FakeOAuthClient(self.clock)
        settings = Settings(
            public_url=BASE,
            kms_key=self.aws.kms.create_key()["KeyMetadata"]["Arn"],
            audit_key="not used",
            directories=(DirectorySettings(domain="CONTOSO", servers=("ldaps://dc.example",)),),
            log_level="ERROR",
        )
        people = FakeDirectory(directory.ALICE)
        self.vault = create_vault(settings, aws=self.aws, clock=self.clock, directory=people, oauth_client=self.cloud)
        self.application = Application("scanner", BASE, self.clock.now)
        self._register()
        self._authorize()
        self.recorder = Recorder(self.aws)

    def _register(self) -> None:
        self.vault.registration.register(
            "cloud", "openid-connect", "Cloud", client_id="vault", client_secret=Secret("secret"), server=SERVER,
            scopes=("openid", "email"), actor="benchmark", origin=ORIGIN,
        )  # fmt: skip
        rule = AccessRule("cloud", (ANY_SCOPE,), Whose(everybody=True))
        service = self.vault.client_applications
        registered = service.register(replace(APPLICATION, rules=(rule,)), ADMINISTRATOR, ORIGIN)
        service.add_keys(registered, json.dumps(self.application.jwks()), ADMINISTRATOR, ORIGIN)

    def _authorize(self) -> None:
        browser = Browser(self.vault.app())
        browser.log_in(NAME, "alice-pass")
        token = browser.get("/providers").form("Sign out").fields[0][1]
        url = going_to(browser.post("/providers/cloud/authorize", {"csrf": token}))
        code = self.cloud.consent(url, ACCOUNT)
        browser.get(f"/oauth/callback/cloud?state={url.partition('state=')[2].partition('&')[0]}&code={code}")

    def request(self) -> TokenRequest:
        """Signed before the time is taken: that is the application's cost."""
        return TokenRequest(
            caller=Caller(client_assertion=Secret(self.application.assertion())),
            provider_id="cloud",
            subject_token=Secret(self.application.subject(NAME)),
            subject_is_jwt=True,
        )

    def release(self) -> Callable[[], Any]:
        request = self.request()
        return lambda: self.vault.token_exchange.exchange(request, ORIGIN)

    def refresh(self) -> Callable[[], Any]:
        self.clock.off += HOUR
        return self.release()

    def measured(self, act: Callable[[], Any]) -> Measured:
        self.recorder.take()
        spent = cpu(act)
        operations, calls = self.recorder.take()

        def bare() -> None:
            for call, arguments in calls:
                with suppress(ClientError):  # a repeated conditional write fails, at the same cost
                    call(**arguments)

        return Measured(operations, spent, cpu(bare))

    def at_once(self, callers: int) -> tuple[list[str], int, float, float, float]:
        """So many callers of one expired grant: calls, refreshes, seconds, CPU, CPU of the calls made bare."""
        self.clock.off += HOUR
        acts = [self.release() for _ in range(callers)]
        refreshes = self.cloud.refreshes
        self.recorder.take()
        started, spent = time.perf_counter(), time.process_time()
        in_threads(acts)
        seconds, spent = time.perf_counter() - started, (time.process_time() - spent) * 1000
        operations, calls = self.recorder.take()
        bare = cpu(lambda: in_threads([repeat(calls[n::callers]) for n in range(callers)]))
        self.recorder.take()
        return operations, self.cloud.refreshes - refreshes, seconds, spent, bare


def repeat(calls: list[tuple[Callable[..., Any], dict[str, Any]]]) -> Callable[[], None]:
    def act() -> None:
        for call, arguments in calls:
            with suppress(ClientError):
                call(**arguments)

    return act


def in_threads(acts: list[Callable[[], Any]]) -> None:
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    child = subprocess.Popen(
        [sys.executable, "-m", "dev.aws"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | ENVIRONMENT
    )
    try:
        assert child.stdout is not None  # noqa: S101 - it is a pipe
        measure(Bench(json.loads(child.stdout.readline())["endpoint"]))
    finally:
        child.terminate()
        child.wait()


def measure(bench: Bench) -> None:
    bench.release()()
    samples: dict[str, list[Measured]] = {"release": [], "release with a refresh": []}
    for _ in range(ROUNDS):
        samples["release"].append(bench.measured(bench.release()))
        samples["release with a refresh"].append(bench.measured(bench.refresh()))
    print(f"{'act':<24}{'calls':>6}{'CPU ms':>9}{'floor':>8}{'ratio':>7}  calls made")
    for name, every in samples.items():
        act, bare = statistics.median(m.act for m in every), statistics.median(m.bare for m in every)
        operations = every[-1].operations
        print(f"{name:<24}{len(operations):>6}{act:>9.2f}{bare:>8.2f}{act / bare:>7.2f}  {', '.join(operations)}")
    print(f"\n{'callers at once':<24}{'calls':>6}{'CPU ms':>9}{'floor':>8}{'ratio':>7}{'seconds':>9}{'refreshes':>11}")
    for callers in (20, 200):
        operations, refreshes, seconds, act, bare = bench.at_once(callers)
        print(
            f"{callers:<24}{len(operations):>6}{act:>9.0f}{bare:>8.0f}{act / bare:>7.2f}{seconds:>9.2f}{refreshes:>11}"
        )


if __name__ == "__main__":
    main()
