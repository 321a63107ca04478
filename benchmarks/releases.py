"""`python -m benchmarks.releases`: AWS calls and CPU milliseconds a release and a refresh, beside bare boto3.

As in `benchmarks.pages`: moto runs in another process, the cloud is a fake in memory, rounds are interleaved. Callers
that ask at the same moment are threads of this process, each with its own signed request.
"""

import json
import os
import statistics
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any
from urllib.parse import urlencode

from benchmarks.harness import NotMeasured
from benchmarks.local_aws import Bare, Recorder, lines_into_nothing, local_aws
from benchmarks.pages import CONTOSO, cpu
from chalicelib.adapters.aws import AwsClients
from chalicelib.adapters.json_client import Limits
from chalicelib.bootstrap import create_vault
from chalicelib.domain.audit import Origin
from chalicelib.domain.authorization_server import AuthorizationServer
from chalicelib.domain.client_application import ANY_SCOPE, AccessRule, Whose
from chalicelib.domain.secret import Secret
from chalicelib.domain.token_exchange import Caller, TokenRequest
from chalicelib.routes.token import NAME_TYPE
from chalicelib.settings import Settings
from chalicelib.stores import tables
from tests.aws import ENVIRONMENT
from tests.fakes import directory
from tests.fakes.application import EXCHANGE, Application
from tests.fakes.directory import FakeDirectory
from tests.fakes.oauth_client import FakeOAuthClient
from tests.functional.client import BASE, FORM, Browser, going_to
from tests.samples import ACCOUNT, ADMINISTRATOR, APPLICATION, SERVER

ROUNDS = 30
OK = 200
HOUR = 3600
ORIGIN = Origin("-", "127.0.0.1")
NAME = "CONTOSO\\alice"
ACCESS_TOKEN = "t" * 1200
"""As long as a cloud's JWT."""
ROLE = "arn:aws:iam::123456789012:role/archiver"
SESSION_OF_ROLE = "arn:aws:sts::123456789012:assumed-role/archiver/i-1"


def gateway_event(path: str, form: dict[str, str], **identity: str) -> dict[str, Any]:
    """A POST as API Gateway hands it over."""
    return {
        "httpMethod": "POST",
        "path": path,
        "resource": path,
        "headers": {"content-type": FORM},
        "multiValueHeaders": {},
        "pathParameters": {},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "body": urlencode(form),
        "isBase64Encoded": False,
        "stageVariables": None,
        "requestContext": {
            "resourcePath": path,
            "httpMethod": "POST",
            "requestId": "gateway-1",
            "identity": {"sourceIp": "127.0.0.1"} | identity,
        },
    }


class MovableClock:
    """The system's clock, that can be put forward."""

    def __init__(self) -> None:
        self.off = 0

    def milliseconds(self) -> int:
        return 1000 * self.now()

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

    def __init__(
        self, endpoint: str, *, server: AuthorizationServer = SERVER, refresh_token: Secret | None = None
    ) -> None:
        """The cloud is at `server`, where it matters; `refresh_token` is alice's there."""
        os.environ |= ENVIRONMENT | {"AWS_ENDPOINT_URL": endpoint}
        # Moto serves hundreds of callers on one core: patience, and a connection each
        self.aws = AwsClients.create(Limits(read_seconds=60, connections=200))
        for name, table in (("vault", tables.VAULT), ("vault-keys", tables.KEYS), ("vault-sessions", tables.SESSIONS)):
            self.aws.dynamodb.create_table(**table.create_arguments(name))
        self.clock = MovableClock()
        self.cloud = FakeOAuthClient(self.clock)
        settings = Settings(
            public_url=BASE,
            kms_key=self.aws.kms.create_key()["KeyMetadata"]["Arn"],
            audit_key="not used",
            directories=(CONTOSO,),
        )
        people = FakeDirectory(directory.ALICE, directory.ADMIN)
        self.vault = create_vault(settings, aws=self.aws, clock=self.clock, directory=people, oauth_client=self.cloud)
        self.application = Application("scanner", BASE, self.clock.now)
        self._register(server)
        self.app = self.vault.app()
        self._authorize({"refresh_token": refresh_token} if refresh_token else {})
        self.recorder, self.bare = Recorder(self.aws), Bare()

    def _register(self, server: AuthorizationServer) -> None:
        self.vault.registration.register(
            "cloud", "openid-connect", "Cloud", client_id="vault", client_secret=Secret("secret"), server=server,
            scopes=("openid", "email"), actor="benchmark", origin=ORIGIN,
        )  # fmt: skip
        rule = AccessRule("cloud", (ANY_SCOPE,), Whose(everybody=True))
        service = self.vault.client_applications
        registered = service.register(replace(APPLICATION, rules=(rule,)), ADMINISTRATOR, ORIGIN)
        by_role = replace(APPLICATION, id="archiver", name="Archiver", role_arn=ROLE, rules=(rule,))
        service.register(by_role, ADMINISTRATOR, ORIGIN)
        service.add_keys(registered, json.dumps(self.application.jwks()), ADMINISTRATOR, ORIGIN)

    def _authorize(self, tokens: dict[str, Secret]) -> None:
        browser = self.browser("alice")
        token = browser.get("/providers").form("Sign out").fields[0][1]
        url = going_to(browser.post("/providers/cloud/authorize", {"csrf": token}))
        code = self.cloud.consent(url, ACCOUNT, access_token=Secret(ACCESS_TOKEN), **tokens)
        browser.get(f"/oauth/callback/cloud?state={url.partition('state=')[2].partition('&')[0]}&code={code}")

    def browser(self, name: str) -> Browser:
        """Of somebody who has logged in."""
        browser = Browser(self.app)
        browser.log_in(f"CONTOSO\\{name}", f"{name}-pass")
        return browser

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

    def signed_event(self) -> dict[str, Any]:
        """A request with private_key_jwt, as API Gateway hands it over; signed before the time is taken."""
        return gateway_event("/oauth2/token", self.application.form(NAME, "cloud"))

    def role_event(self) -> dict[str, Any]:
        """A request of an IAM role, whose signature API Gateway has checked."""
        form = {
            "grant_type": EXCHANGE, "client_id": "archiver", "subject_token": NAME, "audience": "cloud",
            "subject_token_type": NAME_TYPE, "reason": "archive",
        }  # fmt: skip
        return gateway_event("/oauth2/token/iam", form, userArn=SESSION_OF_ROLE)

    def fetched(self, event: dict[str, Any]) -> dict[str, Any]:
        """The answer to `event`, whole. Raises NotMeasured where it is no token."""
        return fetched(self.app, event)

    def with_key_cache(self) -> Any:
        """The same vault in another process, as it were, where an operator has set a key cache."""
        settings = replace(self.vault.settings, key_cache_seconds=300)
        vault = create_vault(
            settings, aws=self.aws, clock=self.clock, directory=FakeDirectory(directory.ALICE), oauth_client=self.cloud
        )
        return vault.app()

    def refresh(self) -> Callable[[], Any]:
        self.clock.off += HOUR
        return self.release()

    def measured(self, act: Callable[[], Any]) -> Measured:
        self.recorder.take()
        spent = cpu(act)
        operations, calls = self.recorder.take()
        return Measured(operations, spent, cpu(lambda: self.bare.repeat(calls)))

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
        bare = cpu(lambda: in_threads([partial(self.bare.repeat, calls[n::callers]) for n in range(callers)]))
        self.recorder.take()
        return operations, self.cloud.refreshes - refreshes, seconds, spent, bare


def fetched(app: Any, event: dict[str, Any]) -> dict[str, Any]:
    """The vault's answer to `event`, whole. Raises NotMeasured where it is no token."""
    answer = app(event, None)
    if answer["statusCode"] != OK:
        raise NotMeasured(f"{event['path']} answered {answer['statusCode']}: {answer['body']}")
    body: dict[str, Any] = json.loads(answer["body"])
    return body


def in_threads(acts: list[Callable[[], Any]]) -> None:
    threads = [threading.Thread(target=act) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    with local_aws() as endpoint, lines_into_nothing():
        measure(Bench(endpoint))


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
