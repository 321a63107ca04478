"""By which names people are known: an item for each alias, with a claim of everybody who has been called so."""

from collections.abc import Iterable

from chalicelib.domain.user import AliasClaim
from chalicelib.ports import Random

from .items import Item
from .table import Condition, ConditionFailed, Table
from .tables import KEY, SORT

_BEFORE, _CLAIMS = "user_ids", "claims"
"""Sets: ids alone, as claims were written before they had marks; and ids with marks."""
_BAR = "|"


class DynamoUserAliasStore:
    """Implements `ports.UserAliasStore`."""

    def __init__(self, table: Table, random: Random) -> None:
        self._table = table
        self._random = random

    def claim(self, user_id: str, aliases: Iterable[str]) -> None:
        for alias in aliases:
            # A set is added to without any condition. The mark is new each time: who takes an older claim away at
            # the same moment does not take this one
            mark = f"{user_id}{_BAR}{self._random.token(6)}"
            self._table.update(alias_key(alias), f"ADD #{_CLAIMS} :claims", {"claims": {mark}})

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
    if item is None:
        return ()
    marked = (text.partition(_BAR) for text in item.get(_CLAIMS, ()))
    claims = [*(AliasClaim(user_id) for user_id in item.get(_BEFORE, ())), *(AliasClaim(u, m) for u, _, m in marked)]
    return tuple(sorted(claims, key=_text))


def _text(claim: AliasClaim) -> str:
    return f"{claim.user_id}{_BAR}{claim.mark}"
