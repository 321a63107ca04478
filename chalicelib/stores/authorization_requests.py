"""Pending trips to a cloud, each consumed by one conditional delete."""

from dataclasses import asdict

from chalicelib.domain.authorization_request import AuthorizationRequest, ConsentFailed, ConsentProblem
from chalicelib.domain.errors import ItemUnreadable

from .items import Item, load, read
from .table import Condition, ConditionFailed, Table
from .tables import EXPIRES, KEY


class DynamoAuthorizationRequestStore:
    """Implements `ports.AuthorizationRequestStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def add(self, request: AuthorizationRequest) -> None:
        self._table.put(_to_item(request), Condition.absent(KEY))

    def consume(
        self, state_hash: str, *, user_id: str, flow_hash: str, provider_id: str, now: int
    ) -> AuthorizationRequest:
        belongs = {"owner_id": user_id, "flow_hash": flow_hash, "provider_id": provider_id}
        fits = Condition.equals(**belongs)
        condition = Condition(f"{fits.expression} AND #{EXPIRES} > :now", {**belongs, "now": now})
        try:
            item = self._table.delete(_key(state_hash), condition)
        except ConditionFailed as failure:
            raise ConsentFailed(_problem(failure.item, belongs)) from None
        if item is None:
            raise ConsentFailed(ConsentProblem.USED)
        try:
            return read("authorization request", item, _parsed)
        except ItemUnreadable:
            # It is consumed all the same: the person sets out again
            raise ConsentFailed(ConsentProblem.EXPIRED) from None

    def discard(self, state_hash: str) -> None:
        self._table.delete(_key(state_hash))


def _problem(found: Item | None, belongs: Item) -> ConsentProblem:
    if found is None:
        return ConsentProblem.USED
    if any(found.get(name) != value for name, value in belongs.items()):
        return ConsentProblem.FOREIGN
    return ConsentProblem.EXPIRED


def _key(state_hash: str) -> Item:
    return {KEY: f"REQUEST#{state_hash}"}


def _to_item(request: AuthorizationRequest) -> Item:
    # `owner_id`, not `user_id`: that name is the key of the index of sessions
    item = {**asdict(request), "owner_id": request.user_id, EXPIRES: request.expires_at}
    del item["user_id"]
    return _key(request.state_hash) | item


def _parsed(item: Item) -> AuthorizationRequest:
    return load(AuthorizationRequest, {**item, "user_id": item["owner_id"]}, later=("slot",))
