"""Removals: what an administrator asked for, and what became of it at each cloud."""

from dataclasses import dataclass
from enum import StrEnum

from .audit import Actor

KEPT_SECONDS = 400 * 24 * 3600
"""How long a receipt can be read."""


class RemovalScope(StrEnum):
    """Whose authorizations were to end."""

    TOKENS = "tokens"
    PERSON = "person"
    PROVIDER = "provider"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class RemovalOrder:
    """What the clean-up does with the grants of an ended generation, stored in the write that ended it.

    `removal_id` is empty where nobody waits for a receipt; `revoke`: the clouds are asked to end them, too.
    """

    generation: int
    removal_id: str
    revoke: bool
    by: Actor


@dataclass(frozen=True, slots=True)
class Removal:
    """One removal as it was asked for. `target` is the provider's or the person's id; `at` in epoch seconds.

    `ended` are the generations it ended at once, by provider: what is left of them is being deleted.
    """

    id: str
    scope: RemovalScope
    revoke: bool
    by: Actor
    at: int
    target: str = ""
    target_name: str = ""
    ended: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class CloudReceipt:
    """What one removal did at one provider: counted, never hoped for (R66, R88).

    Deletions are counted just before they are made, by a process that can go on where it died; what a cloud
    confirmed, after it did (docs/adr/0080-acts-are-announced.md).
    """

    provider_id: str
    removed: int = 0
    """Tokens that are deleted here."""
    asked: int = 0
    """Of these, how many the cloud is asked to revoke."""
    confirmed: int = 0
    given_up: int = 0
    """Not confirmed within a week."""
    not_offered: int = 0
    """The cloud has no way to revoke."""
    unreadable: int = 0
    """What was stored did not open, so that there was nothing to send."""

    @property
    def pending(self) -> int:
        """The cloud has not confirmed yet and is asked again."""
        return max(0, self.asked - self.confirmed - self.given_up)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A removal, and what has come of it until now."""

    removal: Removal
    clouds: tuple[CloudReceipt, ...] = ()
