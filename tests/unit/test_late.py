"""Parts that are made with their first use."""

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


def test_what_cannot_be_made_says_why_and_does_not_look_for_ever() -> None:
    late = Late(lambda: "text".no_such_thing)  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="no_such_thing"):
        late.upper()
