"""`python -m benchmarks.bench` (`make bench`): the vault beside its floor and its peers, in one table.

Writes docs/benchmarks/results.md, results.json and bench.svg. Exits with 1 only when the vault itself could not be
measured; a peer that could not be set up is "not measured", and why is in results.json.
"""

import json
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Self, TypeVar

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import growth, harness, pages, releases, removal, start, storm
from .dynalite import dynalite
from .harness import Contender, Job, NotMeasured, Sample, timed
from .local_aws import Bare, Call, Recorder, lines_into_nothing, local_aws
from .peer import Peer
from .plot import svg
from .strict_cloud import StrictCloud

T = TypeVar("T")

OUTPUT = Path("docs/benchmarks")
CREDSTASH = ("credstash", ("credstash==1.17.1", "boto3", "setuptools<81"), "credstash_peer.py")
ALLAUTH = ("django-allauth", ("django", "django-allauth[socialaccount]"), "allauth_peer.py")
SOCIAL_AUTH = ("social-auth-app-django", ("django", "social-auth-app-django"), "social_auth_peer.py")
BETTER_AUTH = ("better-auth", ("better-auth@1",), "better_auth_peer.mjs")
SECRETS_MANAGER = ("boto3", ("boto3",), "secrets_manager.py")


class Floor:
    """What the vault called last, made with boto3 as it comes, and one decryption of a token as long as a cloud's."""

    def __init__(self, *, decrypts: int) -> None:
        self._calls: list[Call] = []
        self._aws = Bare()
        self._decrypts = decrypts
        self._nonce = secrets.token_bytes(12)
        self._key = AESGCM(secrets.token_bytes(32))
        self._sealed = self._key.encrypt(self._nonce, releases.ACCESS_TOKEN.encode(), b"")

    def follow(self, calls: list[Call]) -> None:
        self._calls = [self._anew(call) for call in calls]

    def once(self) -> Sample:
        return timed(self._bare)

    def _anew(self, call: Call) -> Call:
        """A conditional put is of an item of its own, and taken as the vault's was."""
        if "sk" not in (item := call.arguments.get("Item", {})):
            return call
        key = {"sk": {"S": item["sk"]["S"] + secrets.token_hex(4)}}
        return replace(call, arguments=call.arguments | {"Item": item | key})

    def _bare(self) -> None:
        self._aws.repeat(self._calls)
        for _ in range(self._decrypts):
            self._key.decrypt(self._nonce, self._sealed, b"")


def followed(prepare: Callable[[], Callable[[], Any]], recorder: Recorder, floor: Floor) -> Contender:
    """The vault as a contender: prepared outside the time that is taken, its calls handed to the floor."""

    def once() -> Sample:
        act = prepare()
        recorder.take()
        sample = timed(act)
        operations, calls = recorder.take()
        floor.follow(calls)
        return Sample(sample.cpu, sample.wall, tuple(operations))

    return once


def compare(
    name: str, vault: Callable[[], Callable[[], Any]], recorder: Recorder, peers: Mapping[str, Contender], decrypts: int
) -> Job:
    """One job, its contenders in turn. Raises NotMeasured."""
    floor = Floor(decrypts=decrypts)
    contenders = {"vault": followed(vault, recorder, floor), "floor": floor.once, **peers}
    measured = harness.in_turn(contenders)
    recorder.take()
    return harness.job(name, measured)


@dataclass(frozen=True, slots=True)
class Guest:
    """A peer that was invited: running, or why not."""

    running: Peer | str

    def act(self, name: str) -> Contender:
        """One of its acts as a contender."""
        return lambda: self.peer().once(name)

    def peer(self) -> Peer:
        """Raises NotMeasured where it is not running."""
        if isinstance(self.running, str):
            raise NotMeasured(self.running)
        return self.running


class Peers:
    """The peers that can be had; for others, why not."""

    def __init__(self, stack: ExitStack, settings: Mapping[str, str]) -> None:
        self._stack = stack
        self._settings = settings

    def start(self, peer: tuple[str, tuple[str, ...], str]) -> Guest:
        name, packages, script = peer
        print(f"setting up {name} ...", file=sys.stderr)
        try:
            return Guest(self._stack.enter_context(Peer(name, packages, script, self._settings)))
        except (NotMeasured, OSError) as reason:
            print(f"{name} is not measured: {reason}", file=sys.stderr)
            return Guest(str(reason))


@dataclass(frozen=True, slots=True)
class Guests:
    """Everybody that the vault is measured beside."""

    credstash: Guest
    secrets_manager: Guest
    allauth: Guest
    social_auth: Guest
    better_auth: Guest

    @classmethod
    def of(cls, peers: Peers) -> Self:
        invited = (CREDSTASH, SECRETS_MANAGER, ALLAUTH, SOCIAL_AUTH, BETTER_AUTH)
        return cls(*map(peers.start, invited))


def release_jobs(bench: releases.Bench, guests: Guests) -> Iterator[Job]:
    peers = {
        "credstash": guests.credstash.act("get"),
        "Secrets Manager": guests.secrets_manager.act("get"),
        "python-social-auth": guests.social_auth.act("get"),
        "better-auth": guests.better_auth.act("get"),
    }

    def through(event: Callable[[], dict[str, Any]]) -> Callable[[], Callable[[], Any]]:
        return lambda: partial(bench.fetched, event())

    yield compare("release, private_key_jwt", through(bench.signed_event), bench.recorder, peers, 1)
    yield compare("release, IAM role", through(bench.role_event), bench.recorder, peers, 1)
    cached = bench.with_key_cache()
    yield compare(
        "release, IAM role, key cache",
        lambda: partial(releases.fetched, cached, bench.role_event()),
        bench.recorder,
        peers,
        1,
    )

    def expired() -> Callable[[], Any]:
        bench.clock.off += releases.HOUR
        return partial(bench.fetched, bench.signed_event())

    yield compare("release with a refresh", expired, bench.recorder, {}, 1)


def page_jobs(bench: pages.Bench, guests: Guests) -> Iterator[Job]:
    alice = bench.browser("alice")
    for number in range(0, pages.PROVIDERS, 2):
        alice.get(bench.callback(alice, f"cloud{number}"))
    recorder = bench.recorder
    shown = {"django-allauth": guests.allauth.act("page")}
    stored = {
        "credstash put": guests.credstash.act("put"),
        "Secrets Manager put": guests.secrets_manager.act("put"),
    }
    yield compare("providers page, 10 providers, 5 grants", lambda: lambda: alice.get("/providers"), recorder, shown, 0)
    yield compare("callback: one grant stored", lambda: pages.prepared_callback(bench, alice), recorder, stored, 0)
    yield compare("log-in, without the directory", lambda: pages.prepared_login(bench), recorder, {}, 0)


def or_why_not(measure: Callable[[], T]) -> T | str:
    """What was measured, or why it could not be."""
    try:
        return measure()
    except NotMeasured as reason:
        return str(reason)


def storms(bench: releases.Bench, guests: Guests, cloud: StrictCloud) -> dict[str, list[storm.Round] | str]:
    """The vault's in one process, which must be there, and the others'. Raises NotMeasured."""
    played: dict[str, list[storm.Round] | str] = {
        "vault, 20 threads": [storm.play(bench) for _ in range(storm.ROUNDS)],
        "vault, 2 processes of 10 threads": or_why_not(storm.of_processes),
    }
    for name, guest in {"python-social-auth": guests.social_auth, "better-auth": guests.better_auth}.items():
        played[name] = or_why_not(lambda guest=guest: storm.of_peer(guest.peer(), cloud))
    return played


@dataclass(frozen=True, slots=True)
class Results:
    """What one run has measured."""

    jobs: list[Job]
    storms: storm.Storms
    starts: dict[str, start.Start]
    removals: list[removal.Removal] | str
    grown: list[growth.Grown] | str


@contextmanager
def empty_aws() -> Iterator[str]:
    """Where all but DynamoDB is; that is dynalite, or moto as well where there is no npm."""
    with ExitStack() as stack:
        with suppress(NotMeasured):
            stack.enter_context(dynalite())
        yield stack.enter_context(local_aws())


def measure() -> Results:
    """Everything, in turn. Raises NotMeasured where the vault could not be."""
    with ExitStack() as stack:
        endpoint, cloud = stack.enter_context(empty_aws()), stack.enter_context(StrictCloud())
        settings = {"AWS_ENDPOINT_URL": endpoint, "TOKEN_ENDPOINT": cloud.token_endpoint}
        guests = Guests.of(Peers(stack, settings))
        stack.enter_context(lines_into_nothing())
        bench = releases.Bench(endpoint)
        # First, since the children have the system's clock, and what follows puts the bench's forward
        starts = start.measure(bench)
        measured = list(release_jobs(bench, guests))
        stormed = storms(bench, guests, cloud)
        measured += page_jobs(pages.Bench(stack.enter_context(empty_aws())), guests)
        removals, grown = or_why_not(removal.measure), or_why_not(growth.measure)
    return Results(measured, stormed, starts, removals, grown)


def write(results: Results) -> str:
    """The three files; the tables as text."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    machine = harness.machine()
    tables = "\n".join(
        (
            harness.markdown(results.jobs),
            storm.markdown(results.storms),
            start.markdown(results.starts),
            removal.markdown(results.removals),
            growth.markdown(results.grown),
        )
    )
    said = f"Measured on {machine['date']}: {machine['cores']} cores, Python {machine['python']}, {machine['kernel']}."
    (OUTPUT / "results.md").write_text(f"# Results of `make bench`\n\n{said}\n\n{tables}", encoding="utf-8")
    more = {
        "storms": storm.as_json(results.storms),
        "starts": start.as_json(results.starts),
        "removals": removal.as_json(results.removals),
        "growth": growth.as_json(results.grown),
    }
    document = harness.as_json(results.jobs, machine) | more
    (OUTPUT / "results.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    (OUTPUT / "bench.svg").write_text(svg(results.jobs), encoding="utf-8")
    return tables


def main() -> int:
    try:
        results = measure()
    except NotMeasured as reason:
        print(f"Not measured: {reason}", file=sys.stderr)
        return 1
    print(write(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
