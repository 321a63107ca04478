"""Parts that are made with their first use."""

import threading
from types import SimpleNamespace

import pytest

from chalicelib.adapters.late import Late


def test_it_is_made_once_and_not_before_it_is_used() -> None:
    made: list[str] = []

    def make() -> str:
        made.append("once")
        return "text"

    late = Late(make)
    assert made == []
    assert (late.upper(), late.title()) == ("TEXT", "Text")
    assert made == ["once"]


def test_two_threads_that_need_it_at_once_get_the_same_one() -> None:
    both, made = threading.Barrier(2), []

    def make() -> object:
        # The other thread is on its way, too
        made.append(object())
        return SimpleNamespace(first=made[0], number=len(made))

    late, found = Late(make), []

    def use() -> None:
        both.wait(30)
        found.append(late.number)

    threads = [threading.Thread(target=use) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, len(made)) == ([1, 1], 1)


def test_what_cannot_be_made_says_why_and_does_not_look_for_ever() -> None:
    late = Late(lambda: "text".no_such_thing)  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="no_such_thing"):
        late.upper()
