"""By which names people are known: an item for each alias, with a claim of everybody who has been called so."""

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass

from chalicelib.domain.errors import Conflict
from chalicelib.domain.user import AliasClaim
from chalicelib.ports import Random

from .items import Item, load, readable
from .table import Condition, ConditionFailed, Table
from .tables import KEY, SORT

_BEFORE, _CLAIMS = "user_ids", "claims"
"""Sets: ids alone, as claims were written before they had marks; and ids with marks."""
_BAR = "|"
_ATTEMPTS = 3
_SETS = " AND ".join(f"(attribute_not_exists(#{name}) OR attribute_type(#{name}, :set))" for name in (_BEFORE, _CLAIMS))
_SOUND, _UNSOUND = Condition(_SETS, {"set": "SS"}), Condition(f"NOT ({_SETS})", {"set": "SS"})


class DynamoUserAliasStore:
    """Implements `ports.UserAliasStore`."""

    def __init__(self, table: Table, random: Random) -> None:
        self._table = table
        self._random = random

    def claim(self, user_id: str, aliases: Iterable[str], at: int) -> None:
        for alias in aliases:
            # A set is added to without any condition. The mark is new each time: who takes an older claim away at
            # the same moment does not take this one
            self._claim(alias, _text(AliasClaim(user_id, f"{at}~{self._random.token(6)}")))

    def _claim(self, alias: str, mark: str) -> None:
        """What cannot be added to is told, and written over: who it named is found anew by their own log-ins."""
        for _ in range(_ATTEMPTS):
            with suppress(ConditionFailed):
                self._add(alias, mark)
                return
        raise Conflict

    def _add(self, alias: str, mark: str) -> None:
        """Raises ConditionFailed where somebody else was faster."""
        try:
            self._table.update(alias_key(alias), f"ADD #{_CLAIMS} :claims", {"claims": {mark}}, _SOUND)
        except ConditionFailed as failure:
            claims_from_item(failure.item)
            self._table.put(alias_key(alias) | {_CLAIMS: {mark}}, _UNSOUND)

    def claims(self, alias: str) -> tuple[AliasClaim, ...]:
        return claims_from_item(self._table.get(alias_key(alias)))

    def release(self, alias: str, claims: Iterable[AliasClaim]) -> None:
        claims = tuple(claims)
        old, marked = {c.user_id for c in claims if not c.mark}, {_text(c) for c in claims if c.mark}
        sets = {name: values for name, values in ((_BEFORE, old), (_CLAIMS, marked)) if values}
        if not sets:
            return
        expression = "DELETE " + " , ".join(f"#{name} :{name}" for name in sets)
        self._table.update(alias_key(alias), expression, dict(sets))
        try:
            # Nobody's name is kept
            unclaimed = Condition(f"attribute_not_exists(#{_BEFORE}) AND attribute_not_exists(#{_CLAIMS})", {})
            self._table.delete(alias_key(alias), unclaimed)
        except ConditionFailed:
            return


def alias_key(alias: str) -> Item:
    return {KEY: f"ALIAS#{alias}", SORT: "ALIAS"}


def claims_from_item(item: Item | None) -> tuple[AliasClaim, ...]:
    """Nobody's where that cannot be read: a name that means somebody else would be worse than one that means nobody."""
    return next(readable("alias", [item] if item else [], _parsed), ())


def _parsed(item: Item) -> tuple[AliasClaim, ...]:
    found = load(_Claims, item, later=(_BEFORE, _CLAIMS))
    claims = [*map(AliasClaim, found.user_ids), *(_claim(text) for text in found.claims)]
    return tuple(sorted(claims, key=_text))


def _claim(text: str) -> AliasClaim:
    user_id, bar, mark = text.partition(_BAR)
    if not bar:
        raise ValueError("a claim without a mark")
    return AliasClaim(user_id, mark)


@dataclass(frozen=True, slots=True)
class _Claims:
    """As they are stored; a set without members is not."""

    user_ids: frozenset[str] = frozenset()
    claims: frozenset[str] = frozenset()


def _text(claim: AliasClaim) -> str:
    return f"{claim.user_id}{_BAR}{claim.mark}"
