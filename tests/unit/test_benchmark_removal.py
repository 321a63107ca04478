"""The benchmark of removals: its sizes, and what its table says."""

import json

import pytest

from benchmarks import removal
from benchmarks.dynalite import sizes
from benchmarks.harness import NotMeasured
from benchmarks.removal import CleanUp, Removal

WHOLE = CleanUp(calls=130, cpu=200, left=0)
EFFECT = ("GetItem", "PutItem", "Decrypt", "UpdateItem")
ONE = Removal(1_000, EFFECT, 7.5, WHOLE, CleanUp(calls=134, cpu=210, left=0))


def test_grants_adds_a_larger_size_and_nothing_smaller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GRANTS", raising=False)
    assert sizes((10, 1_000)) == (10, 1_000)
    monkeypatch.setenv("GRANTS", "100000")
    assert sizes((10, 1_000)) == (10, 1_000, 100_000)
    monkeypatch.setenv("GRANTS", "500")
    assert sizes((10, 1_000)) == (10, 1_000)


def test_grants_that_is_no_number_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GRANTS", "many")
    with pytest.raises(NotMeasured, match="GRANTS is no number: many"):
        sizes((10,))


def test_a_row_counts_a_token_and_what_dying_costs() -> None:
    row = removal.markdown([ONE]).splitlines()[2]
    assert row == "| 1,000 | 4 | 2 | 7.5 | 0.130 | 0.200 | +3.1% | 0 |"


def test_ciphertexts_that_are_left_anywhere_are_added_up() -> None:
    left = Removal(1_000, EFFECT, 7.5, CleanUp(130, 200, left=2), CleanUp(130, 200, left=3))
    assert removal.markdown([left]).splitlines()[2].endswith("| +0.0% | 5 |")


def test_without_dynalite_the_table_says_why() -> None:
    assert removal.markdown("there is no npm").splitlines()[2] == "| not measured: there is no npm |"
    assert removal.as_json("there is no npm") == {"not_measured": "there is no npm"}


def test_the_json_holds_every_call_of_the_effect() -> None:
    document = json.loads(json.dumps(removal.as_json([ONE])))
    assert document[0]["effect"] == list(EFFECT)
    assert document[0]["killed"]["calls"] == 134
