"""Removals: what an administrator asked for, and what became of it at each cloud."""

from collections.abc import Iterable
from dataclasses import astuple, dataclass, replace
from enum import StrEnum
from typing import Self

from .audit import Actor
from .authorization_server import AuthorizationServer

KEPT_SECONDS = 400 * 24 * 3600
"""How long a receipt can be read."""


NAMED_PEOPLE = 3
"""So many are named on the receipt of single tokens."""


class RemovalScope(StrEnum):
    """Whose authorizations were to end."""

    TOKENS = "tokens"
    PERSON = "person"
    PROVIDER = "provider"
    EVERYTHING = "everything"


@dataclass(frozen=True, slots=True)
class FormerClient:
    """The server and client that tokens were issued to, where the provider has another one by now.

    `client_secret` is as it was stored: encrypted under the key of the generation whose order this is part of.
    """

    server: AuthorizationServer
    client_id: str
    client_secret: bytes


@dataclass(frozen=True, slots=True)
class RemovalOrder:
    """What the clean-up does with the grants of an ended generation, stored in the write that ended it.

    `removal_id` is empty where nobody waits for a receipt; `revoke`: the clouds are asked to end them, too. With
    `former` the generation ended because the provider went to another server or client.
    """

    generation: int
    removal_id: str
    revoke: bool
    by: Actor
    former: FormerClient | None = None

    def with_wish(self, revoke: bool) -> Self:
        """With what somebody else wants of the same grants: the stronger wish wins."""
        return replace(self, revoke=self.revoke or revoke)


@dataclass(frozen=True, slots=True)
class EverythingOrder:
    """One "remove everything": in effect from the write that stored it, carried out provider by provider.

    `number` counts them up from 1; a provider notes the last one that it was raised for.
    """

    number: int
    removal_id: str
    revoke: bool
    by: Actor
    at: int


@dataclass(frozen=True, slots=True)
class Everything:
    """What every read of a provider sees of removals of everything: those not carried out everywhere, and the last."""

    orders: tuple[EverythingOrder, ...] = ()

    @property
    def last(self) -> int:
        """The number of the last one; 0 before the first."""
        return self.orders[-1].number if self.orders else 0

    def after(self, number: int) -> tuple[EverythingOrder, ...]:
        """Those that a provider has still to be raised for."""
        return tuple(order for order in self.orders if order.number > number)


@dataclass(frozen=True, slots=True)
class Removal:
    """One removal as it was asked for. `target` is the provider's or the person's id; `at` in epoch seconds.

    `ended` are the generations it ended at once, by provider: what is left of them is being deleted. `joined` are other
    removals, by provider, that ended the same tokens a moment before: theirs are the counts.
    """

    id: str
    scope: RemovalScope
    revoke: bool
    by: Actor
    at: int
    target: str = ""
    target_name: str = ""
    ended: tuple[tuple[str, int], ...] = ()
    joined: tuple[tuple[str, str], ...] = ()
    is_open: bool = False
    """Single tokens, or a person's, that were not all gone through yet; `tokens` are the ids of the former."""
    tokens: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    """What those are called whose single tokens were removed: the first ones, and one more where there are others."""

    def of(self, user_name: str) -> Self:
        """With one more token of somebody called so."""
        if user_name in self.people or len(self.people) > NAMED_PEOPLE:
            return self
        return replace(self, people=(*self.people, user_name))


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

    def __add__(self, other: "CloudReceipt") -> "CloudReceipt":
        counted = zip(astuple(self)[1:], astuple(other)[1:], strict=True)
        return CloudReceipt(self.provider_id, *(one + more for one, more in counted))

    @property
    def not_asked(self) -> int:
        """Removed before anybody wished that the cloud revokes them."""
        return max(0, self.removed - self.asked - self.not_offered - self.unreadable)

    @property
    def pending(self) -> int:
        """The cloud has not confirmed yet and is asked again."""
        return max(0, self.asked - self.confirmed - self.given_up)


@dataclass(frozen=True, slots=True)
class Receipt:
    """A removal, and what has come of it until now."""

    removal: Removal
    clouds: tuple[CloudReceipt, ...] = ()


def together(clouds: Iterable[CloudReceipt]) -> tuple[CloudReceipt, ...]:
    """One for each provider, with the sums of what was counted there."""
    sums: dict[str, CloudReceipt] = {}
    for cloud in clouds:
        before = sums.get(cloud.provider_id, CloudReceipt(cloud.provider_id))
        sums[cloud.provider_id] = before + cloud
    return tuple(sums.values())
