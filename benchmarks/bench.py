"""`python -m benchmarks.bench` (`make bench`): the vault beside its floor and its peers, in one table.

Writes docs/benchmarks/results.md, results.json and bench.svg. Exits with 1 only when the vault itself could not be
measured; a peer that could not be set up is "not measured", and why is in results.json.
"""

import json
import logging
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from . import harness, pages, releases
from .harness import Contender, Job, NotMeasured, Sample, timed
from .local_aws import Call, Recorder, local_aws, repeat
from .peer import Peer
from .plot import svg

OUTPUT = Path("docs/benchmarks")
CREDSTASH = ("credstash", ("credstash==1.17.1", "boto3", "setuptools<81"), "credstash_peer.py")
SECRETS_MANAGER = ("boto3", ("boto3",), "secrets_manager.py")


class Floor:
    """What the vault called last, made bare, and one decryption of a token as long as a cloud's."""

    def __init__(self, *, decrypts: int) -> None:
        self._calls: list[Call] = []
        self._decrypts = decrypts
        self._nonce = secrets.token_bytes(12)
        self._key = AESGCM(secrets.token_bytes(32))
        self._sealed = self._key.encrypt(self._nonce, releases.ACCESS_TOKEN.encode(), b"")

    def follow(self, calls: list[Call]) -> None:
        self._calls = [_anew(call) for call in calls]

    def once(self) -> Sample:
        return timed(self._bare)

    def _bare(self) -> None:
        repeat(self._calls)
        for _ in range(self._decrypts):
            self._key.decrypt(self._nonce, self._sealed, b"")


def _anew(call: Call) -> Call:
    """A conditional put of an item of its own, which is taken as the vault's was."""
    function, arguments = call
    if "Item" not in arguments or "sk" not in arguments["Item"]:
        return call
    key = {"sk": {"S": arguments["Item"]["sk"]["S"] + secrets.token_hex(4)}}
    return function, arguments | {"Item": arguments["Item"] | key}


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


class Peers:
    """The peers that can be had; for others, why not."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack

    def start(self, peer: tuple[str, tuple[str, ...], str], endpoint: str) -> Callable[[str], Contender]:
        name, packages, script = peer
        print(f"setting up {name} ...", file=sys.stderr)
        try:
            running = self._stack.enter_context(Peer(name, packages, script, {"AWS_ENDPOINT_URL": endpoint}))
        except (NotMeasured, OSError) as reason:
            print(f"{name} is not measured: {reason}", file=sys.stderr)
            why = str(reason)
            return lambda _act: partial(_not_measured, why)
        return lambda act: partial(running.once, act)


def _not_measured(reason: str) -> Sample:
    raise NotMeasured(reason)


def release_jobs(peers: Peers, endpoint: str) -> Iterator[Job]:
    bench = releases.Bench(endpoint)
    credstash, manager = peers.start(CREDSTASH, endpoint), peers.start(SECRETS_MANAGER, endpoint)

    def beside(act: str) -> dict[str, Contender]:
        return {"credstash": credstash(act), "Secrets Manager": manager(act)}

    def through(event: Callable[[], dict[str, Any]]) -> Callable[[], Callable[[], Any]]:
        return lambda: partial(bench.fetched, event())

    yield compare("release, private_key_jwt", through(bench.signed_event), bench.recorder, beside("get"), 1)
    yield compare("release, IAM role", through(bench.role_event), bench.recorder, beside("get"), 1)

    def expired() -> Callable[[], Any]:
        bench.clock.off += releases.HOUR
        return partial(bench.fetched, bench.signed_event())

    yield compare("release with a refresh", expired, bench.recorder, {}, 1)


def page_jobs(endpoint: str) -> Iterator[Job]:
    bench = pages.Bench(endpoint)
    alice = bench.browser("alice")
    for number in range(0, pages.PROVIDERS, 2):
        alice.get(bench.callback(alice, f"cloud{number}"))
    recorder = bench.recorder
    yield compare("providers page, 10 providers, 5 grants", lambda: lambda: alice.get("/providers"), recorder, {}, 0)
    yield compare("callback: one grant stored", lambda: pages.prepared_callback(bench, alice), recorder, {}, 0)
    yield compare("log-in, without the directory", lambda: pages.prepared_login(bench), recorder, {}, 0)


@contextmanager
def lines_into_nothing() -> Iterator[None]:
    """The log is formatted and written as it is in production, to where nobody reads it."""
    logger = logging.getLogger("chalicelib")
    with Path(os.devnull).open("w", encoding="utf-8") as nothing:
        for handler in logger.handlers:
            if isinstance(handler, logging.StreamHandler):
                handler.setStream(nothing)
        yield
        logger.handlers.clear()


def jobs() -> Iterator[Job]:
    with ExitStack() as stack:
        yield from release_jobs(Peers(stack), stack.enter_context(local_aws()))
        yield from page_jobs(stack.enter_context(local_aws()))


def write(measured: list[Job]) -> str:
    """The three files; the table as text."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    machine = harness.machine()
    table = harness.markdown(measured)
    said = f"Measured on {machine['date']}: {machine['cores']} cores, Python {machine['python']}, {machine['kernel']}."
    (OUTPUT / "results.md").write_text(f"# Results of `make bench`\n\n{said}\n\n{table}", encoding="utf-8")
    document = json.dumps(harness.as_json(measured, machine), indent=2)
    (OUTPUT / "results.json").write_text(document + "\n", encoding="utf-8")
    (OUTPUT / "bench.svg").write_text(svg(measured), encoding="utf-8")
    return table


def main() -> int:
    try:
        measured = list(jobs())
    except NotMeasured as reason:
        print(f"Not measured: {reason}", file=sys.stderr)
        return 1
    print(write(measured))
    return 0


if __name__ == "__main__":
    sys.exit(main())
