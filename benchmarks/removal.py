"""Removal of all tokens of a provider, on dynalite: its effect, and the clean-up behind it, whole and killed half-way.

Calls are exact; CPU is this process's own, of one run of each, since a removal cannot be taken back.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

from chalicelib.adapters.system import SystemClock, SystemRandom
from chalicelib.domain.audit import Actor, Origin
from chalicelib.services.clean_up import _SETTLE_SECONDS
from chalicelib.stores.grants import _to_item
from chalicelib.stores.table import Table

from .dynalite import dynalite, sizes
from .harness import NotMeasured
from .local_aws import local_aws
from .many_grants import grants
from .pages import Bench, cpu

SIZES = (1_000, 10_000)
_SEALED_BYTES = 1_500
"""As long as a cloud's encrypted tokens."""
_PIECE = 1_000
_WRITES = ("PutItem", "UpdateItem", "DeleteItem", "BatchWriteItem")
_BY, _ORIGIN = Actor("benchmark", "benchmark"), Origin("-", "-")
_HEAD = (
    "| removal of all, grants | effect: calls | of them writes | CPU ms | clean-up: calls a token | CPU ms a token "
    "| killed half-way: calls | ciphertexts left |\n"
    "|---|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True, slots=True)
class CleanUp:
    """AWS calls, CPU in milliseconds, and how many grants still had their ciphertext afterwards."""

    calls: int
    cpu: float
    left: int


@dataclass(frozen=True, slots=True)
class Removal:
    """One provider's: its effect, the clean-up in one piece, and one of as many that died after half of the calls."""

    grants: int
    effect: tuple[str, ...]
    effect_cpu: float
    whole: CleanUp
    killed: CleanUp

    @property
    def writes(self) -> int:
        return sum(name in _WRITES for name in self.effect)


def measure() -> list[Removal]:
    """Raises NotMeasured without dynalite."""
    with dynalite(), local_aws() as endpoint:
        bench = Bench(endpoint)
        # One that does not count: what is imported and made with a first removal
        _one(bench, "cloud0", "cloud1", 1)
        return [_one(bench, f"cloud{2 * n}", f"cloud{2 * n + 1}", size) for n, size in enumerate(sizes(SIZES), start=1)]


def _one(bench: Bench, provider_id: str, other: str, size: int) -> Removal:
    fill(bench.aws.dynamodb, provider_id, size)
    effect, effect_cpu = _remove(bench, provider_id)
    if (sealed := _left(bench, provider_id)) != size:
        raise NotMeasured(f"{sealed} of {size} grants had ciphertexts before the clean-up")
    whole = _cleaned(bench, provider_id)
    fill(bench.aws.dynamodb, other, size)
    _remove(bench, other)
    return Removal(size, effect, effect_cpu, whole, _killed(bench, other, whole.calls // 2))


def fill(client: Any, provider_id: str, size: int, start: int = 0) -> None:
    """Store grants of the people from number `start` up to `size`, a piece at a time: a million need not be at once."""
    table = Table(client, "vault", SystemRandom(), SystemClock())
    sealed = os.urandom(_SEALED_BYTES)
    for first in range(start, size, _PIECE):
        some = grants(provider_id, min(first + _PIECE, size), first)
        table.put_all([_to_item(replace(one, token_set=sealed)) for one in some])


def _remove(bench: Bench, provider_id: str) -> tuple[tuple[str, ...], float]:
    bench.recorder.take()
    spent = cpu(lambda: bench.vault.removals.remove_all(_BY, provider_id, _ORIGIN))
    operations, _ = bench.recorder.take()
    return tuple(operations), spent


def _cleaned(bench: Bench, provider_id: str) -> CleanUp:
    """Until nothing is left to do, as the schedule calls it."""
    bench.recorder.take()
    spent = cpu(lambda: _run(bench))
    operations, _ = bench.recorder.take()
    return CleanUp(len(operations), spent, _left(bench, provider_id))


def _killed(bench: Bench, provider_id: str, after: int) -> CleanUp:
    """The same, by one that dies after so many calls and by another that goes on; calls and CPU of both."""
    bench.recorder.take()
    with _mortal(bench.aws.dynamodb, after):
        dead = cpu(lambda: _until_death(bench))
    operations, _ = bench.recorder.take()
    rest = _cleaned(bench, provider_id)
    return CleanUp(len(operations) + rest.calls, dead + rest.cpu, rest.left)


def _run(bench: Bench) -> None:
    # Nothing is touched while somebody may still be writing under it
    bench.clock.advance(_SETTLE_SECONDS)
    # The run that finds nothing more is also the one that deletes the key
    while bench.vault.clean_up.run():
        pass


def _until_death(bench: Bench) -> None:
    with suppress(_Death):
        _run(bench)
        raise NotMeasured("the clean-up was done before it could be killed")


class _Death(BaseException):
    """Of the whole process: nothing may catch it and go on."""


@contextmanager
def _mortal(client: Any, calls: int) -> Iterator[None]:
    """After so many calls nothing reaches AWS any more."""
    make, left = client.call, iter(range(calls))

    def call(operation: str, /, **arguments: Any) -> Any:
        if next(left, None) is None:
            raise _Death
        return make(operation, **arguments)

    client.call = call
    try:
        yield
    finally:
        client.call = make


def _left(bench: Bench, provider_id: str) -> int:
    """Items of the provider, in the table as it is, that still hold encrypted tokens."""
    arguments: dict[str, Any] = {
        "TableName": "vault",
        "FilterExpression": "provider_id = :provider AND attribute_exists(token_set)",
        "ExpressionAttributeValues": {":provider": {"S": provider_id}},
        "Select": "COUNT",
    }
    found = 0
    while True:
        answer = bench.aws.dynamodb.scan(**arguments)
        found += answer["Count"]
        if "LastEvaluatedKey" not in answer:
            bench.recorder.take()
            return found
        arguments["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def markdown(removals: Sequence[Removal] | str) -> str:
    """A row for each size; a text says why there is none."""
    rows = [f"| not measured: {removals} |"] if isinstance(removals, str) else list(map(_row, removals))
    return "\n".join([_HEAD, *rows]) + "\n"


def _row(one: Removal) -> str:
    whole, killed = one.whole, one.killed
    cells = (
        f"{one.grants:,}",
        str(len(one.effect)),
        str(one.writes),
        f"{one.effect_cpu:.1f}",
        f"{whole.calls / one.grants:.3f}",
        f"{whole.cpu / one.grants:.3f}",
        f"{killed.calls / whole.calls - 1:+.1%}",
        str(whole.left + killed.left),
    )
    return f"| {' | '.join(cells)} |"


def as_json(removals: Sequence[Removal] | str) -> dict[str, str] | list[dict[str, Any]]:
    return {"not_measured": removals} if isinstance(removals, str) else list(map(asdict, removals))
