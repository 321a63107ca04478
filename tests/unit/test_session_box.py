"""What is kept with a session opens for its own browser and nobody else."""

from collections.abc import Callable

import pytest

from chalicelib.adapters.session_box import SessionBox
from chalicelib.domain.errors import IntegrityViolation
from chalicelib.domain.secret import Secret

COOKIE, TEXT = Secret("c" * 43), "eyJhbGciOi.eyJzdWIiOi.c2lnbmF0dXJl"


def test_what_was_sealed_opens_with_the_same_cookie() -> None:
    sealed = SessionBox().seal(COOKIE, TEXT)
    assert SessionBox().open(COOKIE, sealed) == TEXT
    assert TEXT not in sealed
    assert sealed != SessionBox().seal(COOKIE, TEXT)


@pytest.mark.parametrize(
    "change",
    [
        lambda sealed: sealed[:-2],
        lambda sealed: "a" + sealed,
        lambda _: TEXT,
        lambda _: "",
        lambda _: "....",
        lambda _: "é",
    ],
    ids=["cut", "longer", "plain", "empty", "dots", "not ascii"],
)
def test_what_was_changed_does_not_open(change: Callable[[str], str]) -> None:
    with pytest.raises(IntegrityViolation):
        SessionBox().open(COOKIE, change(SessionBox().seal(COOKIE, TEXT)))


def test_another_cookie_opens_nothing() -> None:
    with pytest.raises(IntegrityViolation) as raised:
        SessionBox().open(Secret("d" * 43), SessionBox().seal(COOKIE, TEXT))
    assert TEXT not in f"{raised.value!r} {raised.value.detail}"
