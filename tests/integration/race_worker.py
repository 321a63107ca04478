"""`python -m tests.integration.race_worker`: one process of many that all want the same token at the same moment.

Reads its job as JSON from the environment, says that it is ready, and then for each line on standard input, which names
a person and may name a token that no longer serves, prints what each of its threads got. It wires the vault as in
production; a job may slow it down, kill it or move its clock.
"""

import hashlib
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from joserfc.jwk import ECKey

from chalicelib.adapters.aws import AwsClients
from chalicelib.adapters.endpoint_guard import EndpointGuard
from chalicelib.adapters.json_client import Limits
from chalicelib.adapters.oauth_client import AuthlibClient
from chalicelib.adapters.system import SystemClock
from chalicelib.bootstrap import Vault, create_vault
from chalicelib.domain.audit import Origin
from chalicelib.domain.directory import DirectorySettings
from chalicelib.domain.grant import Grant
from chalicelib.domain.provider_type import ProviderType
from chalicelib.domain.secret import Secret
from chalicelib.domain.token_exchange import Caller, Need, TokenRefused, TokenRequest
from chalicelib.domain.token_set import TokenSet
from chalicelib.ports import Client, GrantStore
from chalicelib.services import refresh
from chalicelib.settings import Settings
from tests.fakes.application import Application


def settings_of(described: dict[str, Any]) -> Settings:
    """From what JSON can carry."""
    directories = tuple(DirectorySettings.from_mapping(one) for one in described["directories"])
    return Settings(**(described | {"directories": directories}))


@dataclass(frozen=True)
class Job:
    settings: dict[str, Any]
    key: dict[str, str]
    name: str
    threads: int = 1
    clock_off: int = 0
    crash: bool = False
    """Die between the cloud's answer and the write."""
    slow_write: float = 0
    """Seconds between the cloud's answer and the write."""
    late_write: bool = False
    """Write the cloud's answer only after somebody else has written."""
    frozen: bool = False
    """Send, with the lease in hand, only after somebody else has written."""
    lease: int = 0
    """A shorter lease, so that a test need not wait as long as a person would."""


class WrongClock(SystemClock):
    """The system's clock, so many seconds off."""

    def __init__(self, off: int) -> None:
        self._off = off

    def now(self) -> int:
        return super().now() + self._off


class TroubledClient(AuthlibClient):
    """The real client, with what may happen to its process around a request."""

    def __init__(self, job: Job, clock: WrongClock) -> None:
        super().__init__(clock, EndpointGuard(allow_private=True))
        self._job = job

    def refresh(self, client: Client, provider_type: ProviderType, tokens: TokenSet) -> TokenSet:
        fresh = super().refresh(client, provider_type, tokens)
        if self._job.crash:
            os._exit(9)
        time.sleep(self._job.slow_write)
        self.between()
        return fresh

    def between(self) -> None:
        """What else happens between answer and write."""


def wait_until_overtaken(store: GrantStore, user_id: str) -> None:
    """However slow the machine is: until another worker has written an outcome."""
    deadline = time.monotonic() + 90
    before = store.load(user_id, "strict").grant
    while (now := store.load(user_id, "strict").grant) and before and now.version == before.version:
        if time.monotonic() > deadline:
            raise TimeoutError("nobody else has written")
        time.sleep(0.2)


def freeze_with_the_lease(vault: Vault) -> None:
    """Let the whole thread stand still once it holds a lease, as a frozen Lambda does."""
    store = vault.refresh._grants
    save = store.save

    def slow(grant: Grant, **how: Any) -> None:
        save(grant, **how)
        if grant.lease is not None:
            wait_until_overtaken(store, grant.user_id)

    store.save = slow  # type: ignore[method-assign]


def patient_aws() -> AwsClients:
    """Clients that wait for moto, which serves hundreds of callers on one core."""
    return AwsClients.create(Limits(read_seconds=60, connections=50))


def main() -> None:
    job = Job(**json.loads(os.environ["RACE_JOB"]))
    if job.lease:
        refresh.LEASE_SECONDS, refresh.LONGEST_WAIT_SECONDS = job.lease, job.lease + 8.0
    clock = WrongClock(job.clock_off)
    client = TroubledClient(job, clock)
    vault = create_vault(settings_of(job.settings), aws=patient_aws(), clock=clock, oauth_client=client)
    if job.late_write:
        client.between = lambda: wait_until_overtaken(vault.refresh._grants, job.name)  # type: ignore[method-assign]
    if job.frozen:
        freeze_with_the_lease(vault)
    application = Application("racer", vault.settings.public_url, clock.now, ECKey.import_key(job.key))
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        name, _, rejected = line.strip().partition(" ")
        request = partial(fetch, vault, application, name, rejected)
        print(json.dumps(at_once(job.threads, request)), flush=True)


def at_once(count: int, request: Callable[[], str]) -> list[tuple[str, str]]:
    """What so many threads get that all ask at the same moment."""
    barrier = threading.Barrier(count)
    results: list[tuple[str, str]] = []

    def ask() -> None:
        barrier.wait()
        results.append(outcome(request))

    threads = [threading.Thread(target=ask) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def fetch(vault: Vault, application: Application, name: str, rejected: str) -> str:
    request = TokenRequest(
        caller=Caller(client_assertion=Secret(application.assertion())),
        provider_id="strict",
        subject_token=Secret(application.subject(name)),
        subject_is_jwt=True,
        need=Need(rejected_token_hash=rejected),
    )
    return vault.token_exchange.exchange(request, Origin("race", "127.0.0.1")).access_token.reveal()


def outcome(ask: Callable[[], str]) -> tuple[str, str]:
    """A token, or why there is none. The token itself, since it is a test's: hashed it could not be tried."""
    try:
        return "token", ask()
    except TokenRefused as refusal:
        return "refused", refusal.reason.value
    except Exception as error:
        return "failed", f"{type(error).__name__}: {hashlib.sha256(str(error).encode()).hexdigest()[:8]}"


if __name__ == "__main__":
    main()
