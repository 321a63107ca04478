"""All that a release needs to know, in one consistent BatchGetItem."""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

from chalicelib.domain.accounts import chosen
from chalicelib.domain.aliases import is_user_id
from chalicelib.domain.client_application import Subject
from chalicelib.domain.errors import ItemUnreadable
from chalicelib.domain.grant import FIRST_SLOT, Holding, ReleaseHolding
from chalicelib.domain.stop import StopKind

from .client_applications import application_from_item, application_key
from .grants import DynamoGrantStore
from .items import Item
from .stops import block_key, stop_key
from .user_aliases import alias_key, owners_from_item
from .users import record_from_item, record_key

_NOBODY = "-"
"""No user id: its grant key has no item."""
_REMEMBERED = 10_000


class DynamoReleaseStore:
    """Implements `ports.ReleaseStore`."""

    def __init__(self, grants: DynamoGrantStore) -> None:
        self._grants = grants
        # Only a guess that saves a call: the alias is read along, and a wrong guess costs one more read
        self._likely_owner: dict[str, str] = {}
        self._likely_slot: dict[tuple[str, str, str], str] = {}

    def load(self, application_id: str, provider_id: str, name: str, account: str = "") -> ReleaseHolding:
        if is_user_id(name):
            return self._load(application_id, provider_id, name, account)
        guess = self._likely_owner.get(name, _NOBODY)
        held = self._load(application_id, provider_id, guess, account, name)
        if held.subject is not None and held.subject.user_id == guess:
            return held
        if held.subject is None:
            # What was guessed at is not of this name, or not its alone
            holding = replace(held.holding, grant=None) if held.holding else None
            return replace(held, holding=holding, stops=held.stops - {StopKind.PERSON, StopKind.OWN})
        _remember(self._likely_owner, name, held.subject.user_id)
        return self._load(application_id, provider_id, held.subject.user_id, account, name)

    def _load(
        self, application_id: str, provider_id: str, user_id: str, account: str, alias: str = ""
    ) -> ReleaseHolding:
        """With `alias` the person is whom that names, which need not be `user_id`."""
        likely = self._likely_slot.get((user_id, provider_id, account), FIRST_SLOT)
        held = self._read(application_id, provider_id, user_id, likely, alias)
        if held.subject is None or held.subject.user_id != user_id or held.holding is None:
            return held
        slot = self._slot(held.holding, user_id, likely, account)
        if slot == likely:
            return held
        _remember(self._likely_slot, (user_id, provider_id, account), slot)
        return self._read(application_id, provider_id, user_id, slot, alias)

    def _slot(self, holding: Holding, user_id: str, likely: str, account: str) -> str:
        """Where the account is that is meant; another read only for who has several, or asks for one in vain."""
        grant, provider = holding.grant, holding.provider
        is_meant = grant is not None and grant.is_account(account) if account else likely == (holding.preferred or "")
        if is_meant:
            return likely
        found = chosen(self._grants.at(user_id, provider.id, provider.generation), holding.preferred, account)
        return found.slot if found else FIRST_SLOT

    def _read(self, application_id: str, provider_id: str, user_id: str, slot: str, alias: str) -> ReleaseHolding:
        """One read of everything."""
        stops = {
            StopKind.EVERYTHING: stop_key(StopKind.EVERYTHING),
            StopKind.PROVIDER: stop_key(StopKind.PROVIDER, provider_id),
            StopKind.PERSON: stop_key(StopKind.PERSON, user_id),
            StopKind.OWN: block_key(user_id, application_id),
        }
        more = [application_key(application_id), record_key(user_id), *stops.values()]
        more += [alias_key(alias)] if alias else []
        holding, (application, record, *found) = self._grants.load_with(user_id, provider_id, slot, more)
        owners = owners_from_item(found[len(stops)]) if alias else (user_id,)
        return ReleaseHolding(
            application=application_from_item(application) if application else None,
            owners=owners,
            subject=_subject(owners[0], record) if len(owners) == 1 else None,
            holding=holding,
            stops=frozenset(kind for kind, item in zip(stops, found, strict=False) if item is not None),
        )


def _remember(likely: dict[Any, str], key: Hashable, value: str) -> None:
    if len(likely) >= _REMEMBERED:
        likely.clear()
    likely[key] = value


def _subject(user_id: str, record: Item | None) -> Subject:
    """Whose directory account is gone gets nothing (R6); groups are those of the last look there."""
    if record is None:
        return Subject(user_id)
    try:
        known = record_from_item(record)
    except ItemUnreadable:
        return Subject(user_id, is_blocked=True)
    if known.user.id != user_id:
        return Subject(user_id)
    return Subject(user_id, known.user.groups, is_blocked=known.departure is not None)
