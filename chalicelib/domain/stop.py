"""Stops: what keeps tokens from being released until it is taken back (docs/adr/0030-what-a-stop-stops.md)."""

from dataclasses import dataclass
from enum import StrEnum

from .audit import Actor
from .errors import InvalidForm
from .text import is_clean, tidy

MAX_REASON = 200
ALL = "-"
"""The target of a stop that has none: it is about everything."""


class StopKind(StrEnum):
    """What is stopped. A word, once used, keeps its meaning for ever: it stands in the ledger."""

    EVERYTHING = "everything"
    APPLICATION = "application"
    PROVIDER = "provider"
    PERSON = "person"
    OWN = "own"
    """One application for one person, by that person."""
    DIRECTORY = "directory"
    """A person, by what the directory says: the account is closed, or may not use the vault any more."""


@dataclass(frozen=True, slots=True)
class Stop:
    """One stop by an administrator. `target` is the id of what is stopped, `target_name` what it was called then."""

    kind: StopKind
    target: str
    reason: str
    at: int
    by: Actor
    target_name: str = ""


@dataclass(frozen=True, slots=True)
class Block:
    """An application that a person does not let fetch anything for them."""

    user_id: str
    application_id: str
    at: int


def checked_reason(text: str) -> str:
    """Why something is stopped, for everybody who meets the stop later. Raises InvalidForm."""
    reason = tidy(text)
    if not 0 < len(reason) <= MAX_REASON or not is_clean(reason):
        raise InvalidForm({"reason": f"Please give a reason of at most {MAX_REASON} characters."})
    return reason
