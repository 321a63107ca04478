"""`python -m benchmarks.background`: what pieces of background work cost, for docs/performance.md.

DynamoDB is a function in memory that gives prepared answers, so that everything of ours counts (signing, JSON, types)
and nothing of anybody else's. CPU of this thread, medians of rounds.
"""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from statistics import median
from tempfile import NamedTemporaryFile
from typing import Any

from chalicelib.adapters.directory import Directories
from chalicelib.adapters.json_client import DYNAMODB, Credentials, JsonClient, Place
from chalicelib.adapters.system import SystemClock, SystemRandom
from chalicelib.domain.audit import AuditEvent, AuditTag, Origin, Outcome, position
from chalicelib.domain.directory import DirectorySettings
from chalicelib.domain.seal import MAX_ENTRIES, SETTLE_SECONDS, Seal, Tip, compare, window_end
from chalicelib.domain.secret import Secret
from chalicelib.services.audit_seals import SealService
from chalicelib.services.background import Budget, Engine, Piece, Queue
from chalicelib.services.keep_alive import _Walk
from chalicelib.services.use_counts import UseCountService
from chalicelib.stores import grants as grant_store
from chalicelib.stores.audit_log import DynamoAuditLog, _to_item
from chalicelib.stores.grants import DynamoGrantStore
from chalicelib.stores.items import pack
from chalicelib.stores.table import Table
from chalicelib.stores.tables import LISTING
from dev.directory import Authority, EmbeddedDirectory
from tests.fakes.audit_key import FakeAuditKey
from tests.fakes.stores import (
    FakeCursorStore,
    FakeGrantStore,
    FakeProviderStore,
    FakeSealStore,
    FakeUseCountStore,
)
from tests.fakes.system import FakeClock
from tests.samples import GRANT, NOW, PROVIDER

ROUNDS = 5
ENTRIES = 20_000
PAGE_BYTES = 1_000_000


@dataclass
class Response:
    content: bytes
    status_code: int = 200
    headers: Any = None


def client(answer: Callable[[dict[str, Any]], bytes]) -> JsonClient:
    place = Place("eu-central-1", Credentials("AKIA", "secret", None), {"dynamodb": "https://dynamodb.invalid"})
    return JsonClient(DYNAMODB, place, lambda request: Response(answer(json.loads(request.body or b"{}"))))


def measured(act: Callable[[], int]) -> float:
    """CPU microseconds for each of the things that `act` says it did."""
    found = []
    for _ in range(ROUNDS):
        started = time.thread_time()
        number = act()
        found.append((time.thread_time() - started) / number * 1e6)
    return median(found)


def pages(items: list[dict[str, Any]]) -> list[bytes]:
    """As DynamoDB cuts them: a megabyte each."""
    packed = [json.dumps(item) for item in items]
    size = max(1, PAGE_BYTES // (sum(map(len, packed)) // len(packed)))
    parts = [packed[start : start + size] for start in range(0, len(packed), size)]
    last = '"LastEvaluatedKey":{"pk":{"S":"PAGE"},"sk":{"S":"%d"},"listed_as":{"S":"%d"},"listing":{"S":"x"}}'
    ends = [("," + last % (n, n)) if n < len(parts) else "" for n in range(1, len(parts) + 1)]
    return [f'{{"Items":[{",".join(part)}]{end}}}'.encode() for part, end in zip(parts, ends, strict=True)]


def page_of(prepared: list[bytes], asked: dict[str, Any]) -> bytes:
    key = asked.get("ExclusiveStartKey")
    return prepared[int(key["sk"]["S"]) if key else 0]


# The walk of keep-alive: a page of a list, and what of it is due


def walk() -> float:
    many = [replace(GRANT, user_id=f"S-1-5-21-1-2-3-{n}", user_name=f"CONTOSO\\user{n:06}") for n in range(ENTRIES)]
    kept = set(LISTING.projected or ()) | {"pk", "sk", "listing", "listed_as"}
    items = [pack({k: v for k, v in grant_store._to_item(grant).items() if k in kept}) for grant in many]
    prepared = pages(items)
    print(f"walk: {len(prepared)} pages of {ENTRIES // len(prepared)} grants a megabyte")
    lean = client(lambda asked: page_of(prepared, asked))
    random = SystemRandom()
    store = DynamoGrantStore(lean, *(Table(lean, name, random) for name in ("vault", "keys", "sessions")))

    def act() -> int:
        going, cursor = _Walk(PROVIDER, idle=90 * 86400), None
        for _ in prepared:
            page = store.page("northwind", 1, user_prefix="", limit=10_000, cursor=cursor)
            going.add(page.grants, NOW + 70 * 86400)
            cursor = page.next_cursor
        return ENTRIES

    return measured(act)


# Sealing: a window's entries


def audit_log() -> tuple[DynamoAuditLog, str, str]:
    """With a window's entries, and where the window begins and ends."""
    begin = NOW // 300 * 300
    origin = Origin("1f0c1f0c-1f0c-1f0c-1f0c-1f0c1f0c1f0c", "203.0.113.7", "")
    event = AuditEvent(
        AuditTag.TOKEN_RELEASED, Outcome.SUCCESS, "scanner", origin, "S-1-5-21-1-2-3-1101", "northwind",
        {"scopes": "Mail.Send offline_access", "rule": "everybody", "expires_at": "1800003600"},
        user_name="CONTOSO\\alice",
    )  # fmt: skip
    shards: dict[str, list[dict[str, Any]]] = {}
    for number in range(ENTRIES):
        item = _to_item(event, begin + number * 300 // ENTRIES, f"{number:016}")
        shards.setdefault(item["pk"][-1], []).append(pack(item))
    prepared = {shard: pages(items) for shard, items in shards.items()}
    lean = client(lambda asked: page_of(prepared[asked["ExpressionAttributeValues"][":partition"]["S"][-1]], asked))
    log = DynamoAuditLog(Table(lean, "vault", SystemRandom(), FakeClock()), FakeClock(), SystemRandom(), days=365)
    return log, position(begin), position(begin + 300)


def sealing() -> float:
    log, begin, _ = audit_log()
    clock = FakeClock(window_end(begin) + SETTLE_SECONDS)

    def act() -> int:
        seals = FakeSealStore()
        seals._tip = Tip(0, begin, "")
        engine = Engine(clock, FakeCursorStore())
        counts = UseCountService(
            uses=FakeUseCountStore(),
            grants=FakeGrantStore(FakeProviderStore()),
            audit_log=log,
            seals=seals,
            cursors=FakeCursorStore(),
            days=365,
            clock=clock,
        )
        service = SealService(
            audit_log=log, seals=seals, key=FakeAuditKey(), use_counts=counts, clock=clock, days=365, engine=engine
        )
        return service.seal_due() * MAX_ENTRIES

    return measured(act)


def looking_back() -> float:
    """What a seal says beside what is stored, as it is compared an hour later."""
    log, begin, end = audit_log()
    entries = tuple(log.stored(begin, end))
    seal = Seal(1, begin, end, 0, "", entries)

    def act() -> int:
        faults = compare(seal, log.stored(begin, end))
        return len(entries) - len(faults)

    return measured(act)


def turns() -> float:
    """The engine's own cost for a piece, with a thousand queues."""

    def act() -> int:
        engine = Engine(FakeClock(), FakeCursorStore())
        queues = [Queue(f"p{n}", (Piece(0, lambda: 1) for _ in range(20))) for n in range(1000)]
        return engine.run(Budget("turns", 60, 1), queues).done

    return measured(act)


class Password:
    """In the place of Secrets Manager."""

    def read(self, *_: object, **__: object) -> Secret:
        return Secret("admin-pass")


def asked() -> Iterator[tuple[str, float]]:
    """What the sweep asks an embedded directory, which has threads of its own."""
    with EmbeddedDirectory(Authority()) as server, NamedTemporaryFile("w", suffix=".pem") as ca_file:
        ca_file.write(server.ca_pem)
        ca_file.flush()
        contoso = DirectorySettings(
            domain=server.domain, dns_name=server.dns_name, servers=(server.url,), ca_file=ca_file.name,
            service_account=f"{server.domain}\\admin", service_secret="any",
        )  # fmt: skip
        people = Directories((contoso,), Password(), SystemClock())
        alice = people.authenticate(people.account(f"{server.domain}\\alice"), Secret("alice-pass"))
        page = [replace(alice, id=f"{alice.id[:-4]}{9000 + number}") for number in range(99)] + [alice]
        standing = people.standings(page)[alice.id]
        yield "sweep, whether a person is there", measured(lambda: len(people.standings(page)))
        yield (
            "sweep, a person's groups",
            measured(lambda: sum(bool(people.groups(alice, standing)) for _ in range(200))),
        )


def main() -> None:
    acts = {
        "walk, a grant": walk,
        "seal, an entry": sealing,
        "look back, an entry": looking_back,
        "engine, a piece among 1,000 queues": turns,
    }
    figures = chain(((name, act()) for name, act in acts.items()), asked())
    for name, microseconds in figures:
        print(f"{name}: {microseconds:.1f} us CPU")


if __name__ == "__main__":
    main()
