"""`python -m benchmarks.many_grants [SIZE ...]`: pages and removals at 10, 1,000 and 100,000 grants of one provider.

AWS calls and CPU milliseconds of our own process, median of some rounds. Moto is too slow with so many items, so let
npm's dynalite be the table: `npx dynalite --createTableMs 0 &`, and AWS_ENDPOINT_URL_DYNAMODB=http://127.0.0.1:4567 in
the environment. The removal of all is counted up to its effect; the clean-up behind it a page of grants at a time.
"""

import statistics
import sys
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from benchmarks.local_aws import lines_into_nothing, local_aws
from benchmarks.pages import PROVIDERS, Bench, cpu
from chalicelib.adapters.system import SystemClock, SystemRandom
from chalicelib.domain.audit import Actor, Origin
from chalicelib.domain.grant import Grant
from chalicelib.stores.grants import _to_item
from chalicelib.stores.table import Table
from tests.samples import GRANT

SIZES = (10, 1_000, 100_000)
ROUNDS = 7
BY, ORIGIN = Actor("benchmark", "benchmark"), Origin("-", "-")


def main() -> None:
    sizes = tuple(map(int, sys.argv[1:])) or SIZES
    with local_aws() as endpoint, lines_into_nothing():
        bench = Bench(endpoint)
        print(f"{'grants':>8}  {'page or act':<40}{'calls':>6}{'CPU ms':>9}  calls made")
        for number, size in enumerate(sizes[:PROVIDERS]):
            measure(bench, f"cloud{number}", size)


def measure(bench: Bench, provider_id: str, size: int) -> None:
    table = Table(bench.aws.dynamodb, "vault", SystemRandom(), SystemClock())
    table.put_all([_to_item(one) for one in grants(provider_id, size)])
    admin = bench.browser("admin")
    tokens = f"/admin/tokens?provider={provider_id}"
    pages: dict[str, str] = {
        "tokens, first page": tokens,
        "tokens, names that begin with p9": f"{tokens}&user=p9",
        "tokens, a cloud account that is rare": f"{tokens}&account=p000007@",
        "question before all are removed": f"/admin/tokens/remove-all?provider={provider_id}",
        "audit log": "/admin/audit",
    }
    for name, path in pages.items():
        say(bench, size, name, [lambda path=path: admin.get(path)] * ROUNDS)
    removals = bench.vault.removals
    say(bench, size, "all are removed (until nobody finds one)", [lambda: removals.remove_all(BY, provider_id, ORIGIN)])
    # Nothing is touched while somebody may still be writing under what has ended
    bench.clock.advance(120)
    say(bench, size, "clean-up of 100", [lambda: bench.vault.clean_up.run(pages=1)])


def grants(provider_id: str, size: int, start: int = 0) -> list[Grant]:
    """Of the people from number `start` up to `size`."""
    return [
        replace(
            GRANT,
            user_id=f"S-1-5-21-1-2-3-{number}",
            user_name=f"CONTOSO\\p{number:06}",
            provider_id=provider_id,
            account=replace(GRANT.account, subject=f"{number}", label=f"p{number:06}@contoso.example"),
        )
        for number in range(start, size)
    ]


def say(bench: Bench, size: int, name: str, acts: list[Callable[[], Any]]) -> None:
    times: list[float] = []
    operations: list[str] = []
    for act in acts:
        bench.recorder.take()
        times.append(cpu(act))
        operations, _ = bench.recorder.take()
    shown = ", ".join(f"{operations.count(one)} {one}" for one in dict.fromkeys(operations))
    print(f"{size:>8,}  {name:<40}{len(operations):>6}{statistics.median(times):>9.1f}  {shown}", flush=True)


if __name__ == "__main__":
    main()
