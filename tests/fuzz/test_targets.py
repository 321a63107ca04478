"""A short walk of every fuzz target; `make fuzz` goes on for longer, and with coverage to guide it."""

import pytest

from fuzz.targets import TARGETS
from fuzz.walk import corpus, walk

STEPS = 150
WANTED = {
    "callback_query", "form", "user_name", "provider_json", "discovery", "id_token", "client_assertion", "ciphertext",
    "settings",
}  # fmt: skip
"""Who reads what an attacker can write; the others came later."""


def test_every_reader_of_text_from_outside_is_fuzzed() -> None:
    assert set(TARGETS) >= WANTED
    assert all(function.__doc__ for function in TARGETS.values())


@pytest.mark.parametrize("name", sorted(TARGETS))
@pytest.mark.filterwarnings("ignore:Key size should be")
def test_it_keeps_its_contract(name: str) -> None:
    assert corpus(name)
    for data in walk(name, STEPS):
        TARGETS[name](data)


def test_a_walk_is_the_same_each_time_and_another_for_another_seed() -> None:
    assert list(walk("form", 50)) == list(walk("form", 50))
    assert list(walk("form", 50)) != list(walk("form", 50, seed=2))


def test_a_target_that_breaks_its_contract_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("chalicelib.web.forms._collect", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        TARGETS["form"](b"csrf=x")
