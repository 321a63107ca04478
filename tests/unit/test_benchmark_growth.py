"""The benchmark of growth: what its table says, and that every number is in the JSON."""

import json

from benchmarks import growth
from benchmarks.growth import Grown
from benchmarks.harness import Measured

CALLS = ("GetItem", "Query", "Query")


def grown(*cpu: float) -> list[Grown]:
    sizes = (10, 1_000, 10_000, 100_000)
    return [Grown(size, {"tokens": Measured(one, 9, CALLS, 31)}) for size, one in zip(sizes, cpu, strict=False)]


def test_a_row_has_each_size_and_the_largest_beside_two() -> None:
    head, _, row = growth.markdown(grown(2.0, 4.0, 4.2)).splitlines()
    assert head.endswith("| 10 | 1,000 | 10,000 | largest / 10 | largest / 1,000 |")
    assert row == "| tokens | 3 calls, 2.0 ms | 3 calls, 4.0 ms | 3 calls, 4.2 ms | 2.10 | 1.05 |"


def test_a_larger_size_is_one_column_more() -> None:
    lines = growth.markdown(grown(2.0, 4.0, 4.2, 4.4)).splitlines()
    assert {line.count("|") for line in lines} == {8}
    assert lines[2].endswith("| 2.20 | 1.10 |")


def test_without_dynalite_the_table_says_why() -> None:
    assert growth.markdown("there is no npm").splitlines()[2] == "| not measured: there is no npm |"
    assert growth.as_json("there is no npm") == {"not_measured": "there is no npm"}


def test_the_json_holds_the_calls_of_each_size() -> None:
    document = json.loads(json.dumps(growth.as_json(grown(2.0, 4.0))))
    assert [one["grants"] for one in document] == [10, 1_000]
    assert document[0]["acts"]["tokens"]["calls"] == list(CALLS)
