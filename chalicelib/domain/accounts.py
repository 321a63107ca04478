"""Several cloud accounts of one person at one provider: which of them is meant.

Each has a grant of its own, in a slot of its own: the first consent's is empty, later ones are words that sort by the
time they were made. The default is the account the person chose, else the one that came first; a program that wants
another one names it (docs/adr/0070-accounts-have-slots.md).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .grant import Grant

MAX_ACCOUNTS = 10
"""Of one person at one provider."""


@dataclass(frozen=True, slots=True)
class UserGrants:
    """Grants of one person; `preferred` has the slot of their default account, by provider and generation."""

    grants: tuple[Grant, ...]
    preferred: Mapping[tuple[str, int], str]

    def __iter__(self) -> Iterator[Grant]:
        return iter(self.grants)

    def at(self, provider_id: str, generation: int) -> list[Grant]:
        """Those at one provider, the default first and the others in the order they were made."""
        where = (provider_id, generation)
        found = sorted((g for g in self.grants if (g.provider_id, g.generation) == where), key=lambda grant: grant.slot)
        default = chosen(found, self.preferred.get(where))
        return sorted(found, key=lambda grant: grant is not default)

    def holds(self, subject: str | None) -> bool:
        """Whether there are tokens of the account with this subject; None: of any."""
        live = {grant.account.subject for grant in self.grants if grant.token_set is not None}
        return bool(live) if subject is None else subject in live


def new_slot(now: int, random_part: str) -> str:
    """A slot that sorts after all that were made before."""
    return f"{now:010x}{random_part}"


def chosen(grants: Iterable[Grant], preferred: str | None, asked: str = "") -> Grant | None:
    """Which of one person's grants at one provider is meant; None where there is none that fits.

    `asked` names an account by its subject or its label; a label that several accounts have names none. Without it
    the default is meant, also where that one no longer works: another account is never taken in its stead as long as
    anything is left of it.
    """
    in_order = sorted(grants, key=lambda grant: grant.slot)
    if asked:
        # The subject first: at some clouds one account's label can be the subject of another
        matching = [grant for grant in in_order if grant.account.subject == asked]
        matching = matching or [grant for grant in in_order if grant.is_account(asked)]
        matching = [grant for grant in matching if grant.token_set is not None] or matching
        is_one = len({grant.account.subject for grant in matching}) == 1
        return matching[0] if is_one else None
    default = next((grant for grant in in_order if grant.slot == preferred), None)
    return default or next(iter(in_order), None)


def askable(grants: Sequence[Grant]) -> list[Grant]:
    """Those of one person's grants at one provider, the default first, that a program can mean by some word or none."""
    words = ("", *(word for grant in grants for word in (grant.account.subject, grant.account.label)))
    preferred = grants[0].slot if grants else None
    found = (chosen(grants, preferred, word) for word in words)
    return list({grant.slot: grant for grant in found if grant is not None}.values())
