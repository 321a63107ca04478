"""What people and programs ask for while a provider's grants grow in number, on dynalite: calls and CPU, by size.

One person's release and providers page, and the administrators' first page of tokens. Other people's grants are added
between the sizes, so that all is asked of one table.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from tests.functional.client import Browser

from .dynalite import dynalite, sizes
from .harness import Measured, NotMeasured, Sample, in_turn, timed
from .local_aws import local_aws
from .releases import OK, Bench
from .removal import fill

SIZES = (10, 1_000, 10_000)
ROUNDS = 31


@dataclass(frozen=True, slots=True)
class Grown:
    """What each act took with so many grants."""

    grants: int
    acts: Mapping[str, Measured]


def measure() -> list[Grown]:
    """Raises NotMeasured without dynalite."""
    with dynalite(), local_aws() as endpoint:
        bench, grown, before = Bench(endpoint), list[Grown](), 0
        for size in sizes(SIZES):
            fill(bench.aws.dynamodb, "cloud", size, start=before)
            grown.append(Grown(size, _measured(bench)))
            before = size
        return grown


def _measured(bench: Bench) -> dict[str, Measured]:
    alice, admin = bench.browser("alice"), bench.browser("admin")
    acts: dict[str, Callable[[], Callable[[], Any]]] = {
        "release, private_key_jwt": lambda: partial(bench.fetched, bench.signed_event()),
        "providers page": lambda: partial(_page, alice, "/providers"),
        "Manage tokens, one provider": lambda: partial(_page, admin, "/admin/tokens?provider=cloud"),
    }
    taken = in_turn({name: partial(_once, bench, prepare) for name, prepare in acts.items()}, ROUNDS)
    measured = {name: value for name, value in taken.items() if isinstance(value, Measured)}
    if len(measured) < len(acts):
        raise NotMeasured("; ".join(f"{name}: {why}" for name, why in taken.items() if isinstance(why, str)))
    return measured


def _once(bench: Bench, prepare: Callable[[], Callable[[], Any]]) -> Sample:
    act = prepare()
    bench.recorder.take()
    sample = timed(act)
    operations, _ = bench.recorder.take()
    return Sample(sample.cpu, sample.wall, tuple(operations))


def _page(browser: Browser, path: str) -> None:
    if (status := browser.get(path).status) != OK:
        raise NotMeasured(f"{path} answered {status}")


def markdown(grown: Sequence[Grown] | str) -> str:
    """A row for each act, a column for each size; the largest beside the smallest, and beside 1,000, where lists fill
    a page. A text says why there is none.
    """
    if isinstance(grown, str):
        return f"| growth |\n|---|\n| not measured: {grown} |\n"
    sizes_of = [f"{one.grants:,}" for one in grown]
    head = ("growth, grants of the provider", *sizes_of, *(f"largest / {size}" for size in sizes_of[:2]))
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *(_row(act, [one.acts[act] for one in grown]) for act in grown[0].acts)]) + "\n"


def _row(act: str, taken: Sequence[Measured]) -> str:
    cells = (f"{len(one.calls)} calls, {one.cpu:.1f} ms" for one in taken)
    ratios = (f"{taken[-1].cpu / one.cpu:.2f}" for one in taken[:2])
    return f"| {' | '.join((act, *cells, *ratios))} |"


def as_json(grown: Sequence[Grown] | str) -> dict[str, str] | list[dict[str, Any]]:
    """Every number, or why there are none."""
    return {"not_measured": grown} if isinstance(grown, str) else list(map(asdict, grown))
