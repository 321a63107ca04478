"""Many processes and threads want one expired token of a cloud that rotates strictly and detects reuse.

The cloud is npm's oidc-provider, the store is moto in a process of its own, and the workers are wired as in production.
"""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import requests
from joserfc.jwk import ECKey

from chalicelib.adapters.aws import AwsClients
from chalicelib.adapters.endpoint_guard import EndpointGuard
from chalicelib.adapters.oauth_client import AuthlibClient
from chalicelib.adapters.system import SystemClock
from chalicelib.bootstrap import Vault, create_vault
from chalicelib.domain.audit import Origin
from chalicelib.domain.authorization_server import AuthorizationServer
from chalicelib.domain.client_application import ANY_SCOPE, AccessRule, Whose
from chalicelib.domain.grant import Grant, GrantReason, GrantState
from chalicelib.domain.secret import Secret, fingerprint
from chalicelib.domain.token_set import CloudAccount, TokenSet
from dev.process import ROOT, Child
from tests.aws import ENVIRONMENT, TABLES
from tests.integration.race_worker import settings_of
from tests.node import node
from tests.samples import ADMINISTRATOR, APPLICATION

pytestmark = pytest.mark.integration

ORIGIN = Origin("race", "127.0.0.1")
PROCESSES, THREADS = 4, 50
PROJECT = ROOT / "tests" / "strict_cloud"
SHORT_LEASE = 3
ROUNDS = int(os.environ.get("ROUNDS", "10"))
"""`make prove` plays a thousand."""


@dataclass
class StrictCloud:
    """oidc-provider, spoken to by its test addresses."""

    issuer: str
    client_id: str
    client_secret: str

    def get(self, what: str, **query: str) -> Any:
        return requests.get(f"{self.issuer}/test/{what}", params=query, timeout=5).json()

    def takes(self, access_token: str) -> bool:
        answer = requests.get(f"{self.issuer}/me", headers={"Authorization": f"Bearer {access_token}"}, timeout=5)
        return answer.status_code == 200


@pytest.fixture(scope="module")
def cloud() -> Iterator[StrictCloud]:
    with node(PROJECT, "server.js") as ready:
        yield StrictCloud(**ready)


@dataclass
class Race:
    """A vault with one registered application, its store, and people with expired tokens."""

    vault: Vault
    cloud: StrictCloud
    settings: dict[str, Any]
    environment: dict[str, str]
    key: dict[str, str]
    folder: Path
    user_id: str = field(default_factory=lambda: f"S-1-5-21-{secrets.randbelow(10**9)}")

    def expired(self) -> None:
        """Store a grant whose access token ended an hour ago; its refresh token is good."""
        now = int(time.time())
        refresh_token = self.cloud.get("grant", account="alice")["refresh_token"]
        tokens = TokenSet(Secret("old"), Secret(refresh_token), now - 3600, ("openid", "offline_access"))
        grant = Grant(
            user_id=self.user_id,
            user_name="CONTOSO\\alice",
            provider_id="strict",
            generation=1,
            version=1,
            state=GrantState.ACTIVE,
            account=CloudAccount("alice", "alice"),
            scopes=tokens.scopes,
            expires_at=tokens.expires_at,
            authorized_at=now - 7200,
        )
        store = self.vault.refresh._grants
        with self.vault.token_exchange._cipher.unlock(store.load(self.user_id, "strict").key) as box:
            sealed = box.encrypt(tokens.to_bytes(), grant.encryption_context())
        store.save(replace(grant, token_set=sealed), replaces=None)

    def held(self) -> Grant:
        grant = self.vault.refresh._grants.load(self.user_id, "strict").grant
        assert grant is not None
        return grant

    def run(self, *jobs: dict[str, Any], first_has_lease: bool = False) -> list[list[tuple[str, str]]]:
        """What each process' threads got; all start together, or the others when the first one holds the lease."""
        workers = [self._start(job) for job in jobs]
        for worker in workers:
            assert json.loads(worker.stdout.readline())["ready"]  # type: ignore[union-attr]
        for number, worker in enumerate(workers):
            worker.stdin.write(f"{self.user_id}\n")  # type: ignore[union-attr]
            worker.stdin.flush()  # type: ignore[union-attr]
            if number == 0 and first_has_lease:
                self._wait_for_the_lease()
        ended = [worker.communicate(timeout=120)[0] for worker in workers]
        return [[(what, text) for what, text in json.loads(lines)] if lines else [] for lines in ended]

    def rounds(self, number: int, *jobs: dict[str, Any]) -> Iterator[list[tuple[str, str]]]:
        """What all got, round after round: each time nobody can use the token of the round before any more."""
        workers = [self._start(job) for job in jobs]
        for worker in workers:
            assert json.loads(worker.stdout.readline())["ready"]  # type: ignore[union-attr]
        rejected = ""
        for _ in range(number):
            for worker in workers:
                worker.stdin.write(f"{self.user_id} {rejected}\n")  # type: ignore[union-attr]
                worker.stdin.flush()  # type: ignore[union-attr]
            results = [(w, t) for worker in workers for w, t in json.loads(worker.stdout.readline())]  # type: ignore[union-attr]
            yield results
            rejected = fingerprint(results[0][1])
        for worker in workers:
            worker.communicate(timeout=30)

    def _wait_for_the_lease(self) -> None:
        deadline = time.monotonic() + 60
        while self.held().lease is None:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def _start(self, job: dict[str, Any]) -> "subprocess.Popen[str]":
        whole = {"settings": self.settings, "key": self.key, "name": self.user_id} | job
        return subprocess.Popen(
            [sys.executable, "-m", "tests.integration.race_worker"],
            cwd=ROOT,
            env=self.environment | {"RACE_JOB": json.dumps(whole)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )

    def assert_one_refresh_served_all(self, results: list[list[tuple[str, str]]]) -> None:
        every = [result for process in results for result in process]
        assert {what for what, _ in every} == {"token"}, every
        (token,) = {text for _, text in every}
        assert self.cloud.takes(token)
        assert self.cloud.get("counts") == {"refreshes": 1, "invalid_grant": 0}
        after = self.held()
        assert (after.state, after.version, after.lease) == (GrantState.ACTIVE, 2, None)


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment that leads to a moto of our own."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "COV_"))}
    child = Child("dev.aws", [], plain | ENVIRONMENT, tmp_path_factory.mktemp("race") / "aws.log")
    yield plain | ENVIRONMENT | {"AWS_ENDPOINT_URL": child.ready()["endpoint"]}
    child.stop()


@pytest.fixture(scope="module")
def registered(aws: dict[str, str], cloud: StrictCloud, tmp_path_factory: pytest.TempPathFactory) -> Race:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (ENVIRONMENT | {"AWS_ENDPOINT_URL": aws["AWS_ENDPOINT_URL"]}).items():
            patch.setenv(name, value)
        clients = AwsClients.create()
    for name, table in TABLES.items():
        clients.dynamodb.create_table(**table.create_arguments(name))
    settings: dict[str, Any] = {
        "public_url": "http://localhost:8381",
        "kms_key": clients.kms.create_key()["KeyMetadata"]["Arn"],
        "audit_key": "not used",
        "directories": [{"domain": "CONTOSO", "servers": ["ldaps://dc.example"]}],
        "allow_private_clouds": True,
        "log_level": "ERROR",
    }
    clock = SystemClock()
    client = AuthlibClient(clock, EndpointGuard(allow_private=True))
    vault = create_vault(settings_of(settings), aws=clients, oauth_client=client)
    server = AuthorizationServer(f"{cloud.issuer}/auth", f"{cloud.issuer}/token", cloud.issuer)
    vault.registration.register(
        "strict", "openid-connect", "Strict Cloud", client_id=cloud.client_id,
        client_secret=Secret(cloud.client_secret), server=server,
        scopes=("openid", "offline_access"), actor="test", origin=ORIGIN,
    )  # fmt: skip
    key = ECKey.generate_key("P-256", {"kid": "k1"})
    rule = AccessRule("strict", (ANY_SCOPE,), Whose(everybody=True))
    application = vault.client_applications.register(
        replace(APPLICATION, id="racer", rules=(rule,)), ADMINISTRATOR, ORIGIN
    )
    vault.client_applications.add_keys(application, json.dumps(key.as_dict(private=False)), ADMINISTRATOR, ORIGIN)
    private = {name: str(value) for name, value in key.as_dict(private=True).items()}
    return Race(vault, cloud, settings, aws, private, tmp_path_factory.mktemp("race"))


@pytest.fixture
def race(registered: Race) -> Race:
    """Another person for each test, with a token that has expired, and a cloud that is said to be well."""
    again = replace(registered, user_id=f"S-1-5-21-{secrets.randbelow(10**9)}")
    registered.cloud.get("faults", next="")
    health = registered.vault.refresh._watch._health
    health.save(health.get("strict").recovered())
    again.expired()
    return again


def test_f1_r82_two_hundred_callers_in_four_processes_cause_one_refresh(race: Race) -> None:
    results = race.run(*[{"threads": THREADS}] * PROCESSES)
    assert [len(process) for process in results] == [THREADS] * PROCESSES
    race.assert_one_refresh_served_all(results)


def test_f1_r82_round_after_round(race: Race) -> None:
    for _ in range(3):
        race.user_id = f"S-1-5-21-{secrets.randbelow(10**9)}"
        race.cloud.get("faults", next="")
        race.expired()
        race.assert_one_refresh_served_all(race.run(*[{"threads": 13}] * PROCESSES))


def test_f1_r82_sixteen_workers_refresh_one_grant_once_a_round(race: Race) -> None:
    """Each round rotates the refresh token; had anybody sent one twice, the cloud would have ended the grant."""
    seen: set[str] = set()
    for results in race.rounds(ROUNDS, *[{"threads": 4}] * PROCESSES):
        assert {what for what, _ in results} == {"token"}, results
        assert len(results) == 16
        seen |= {token for _, token in results}
    assert len(seen) == ROUNDS
    assert race.cloud.get("counts") == {"refreshes": ROUNDS, "invalid_grant": 0}
    assert (race.held().state, race.held().version) == (GrantState.ACTIVE, 1 + ROUNDS)
    print(f"\nproof: {ROUNDS} refreshes for {16 * ROUNDS} callers")


def test_f1_a_slow_cloud_is_waited_for(race: Race) -> None:
    race.cloud.get("faults", next="slow")
    race.assert_one_refresh_served_all(race.run(*[{"threads": 13}] * PROCESSES))


def test_f1_a_slow_write_is_waited_for(race: Race) -> None:
    race.assert_one_refresh_served_all(race.run(*[{"threads": 13, "slow_write": 3}] * PROCESSES))


def test_f18_clocks_five_minutes_apart_cause_one_refresh(race: Race) -> None:
    jobs = [{"threads": 13, "clock_off": off, "slow_write": 2} for off in (-300, 0, 300, 0)]
    race.assert_one_refresh_served_all(race.run(*jobs))


def test_f5_a_worker_frozen_beyond_its_lease_does_not_send(race: Race) -> None:
    frozen = {"threads": 1, "frozen": True, "lease": SHORT_LEASE}
    race.assert_one_refresh_served_all(race.run(frozen, {"threads": 13, "lease": SHORT_LEASE}, first_has_lease=True))


def test_f5_a_worker_that_writes_after_its_lease_overwrites_nothing(race: Race) -> None:
    late = {"threads": 1, "late_write": True, "lease": SHORT_LEASE}
    results = race.run(late, {"threads": 13, "lease": SHORT_LEASE}, first_has_lease=True)
    # The cloud saw its refresh token twice, and said so: nobody is told that all is well
    assert {text for process in results for _, text in process} == {"needs_reauthorization"}
    assert (race.held().state, race.held().reason) == (GrantState.NEEDS_REAUTHORIZATION, GrantReason.OUTCOME_UNKNOWN)
    assert race.cloud.get("counts") == {"refreshes": 2, "invalid_grant": 1}


def test_f3_a_crash_between_answer_and_write_is_said_honestly(race: Race) -> None:
    results = race.run(
        {"crash": True, "lease": SHORT_LEASE}, {"threads": 13, "lease": SHORT_LEASE}, first_has_lease=True
    )
    assert results[0] == []
    assert set(results[1]) == {("refused", "needs_reauthorization")}
    assert (race.held().state, race.held().reason) == (GrantState.NEEDS_REAUTHORIZATION, GrantReason.OUTCOME_UNKNOWN)
    assert race.cloud.get("counts") == {"refreshes": 2, "invalid_grant": 1}


def test_f3_a_lost_answer_is_not_retried_blindly(race: Race) -> None:
    race.cloud.get("faults", next="lost")
    results = race.run(*[{"threads": 13}] * PROCESSES)
    assert {result for process in results for result in process} == {("refused", "provider_unavailable")}
    assert race.cloud.get("counts") == {"refreshes": 1, "invalid_grant": 0}
    assert (race.held().state, race.held().reason) == (GrantState.FAILING, GrantReason.OUTCOME_UNKNOWN)
    wait = race.held().next_attempt_at - int(time.time())
    results = race.run({"clock_off": wait})
    assert results == [[("refused", "needs_reauthorization")]]
    assert race.cloud.get("counts") == {"refreshes": 2, "invalid_grant": 1}


def test_f12_a_cloud_that_is_down_for_a_moment_leaves_a_working_grant(race: Race) -> None:
    race.cloud.get("faults", next="unavailable")
    results = race.run(*[{"threads": 13}] * PROCESSES)
    assert {result for process in results for result in process} == {("refused", "provider_unavailable")}
    assert race.cloud.get("counts") == {"refreshes": 1, "invalid_grant": 0}
    wait = race.held().next_attempt_at - int(time.time())
    ((what, token),) = race.run({"clock_off": wait})[0]
    assert what == "token"
    assert race.cloud.takes(token)
    assert race.held().state is GrantState.ACTIVE
