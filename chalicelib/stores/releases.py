"""All that a release needs to know, in one consistent BatchGetItem."""

from collections.abc import Hashable
from dataclasses import replace
from typing import Any

from chalicelib.domain.accounts import chosen
from chalicelib.domain.aliases import bearing
from chalicelib.domain.client_application import Subject
from chalicelib.domain.errors import ItemUnreadable
from chalicelib.domain.grant import FIRST_SLOT, Grant, Holding, ReleaseHolding
from chalicelib.domain.ids import is_person_id
from chalicelib.domain.stop import StopKind

from .client_applications import application_from_item, application_key
from .grants import DynamoGrantStore
from .items import Item
from .stops import block_key, stop_key
from .user_aliases import alias_key, claims_from_item
from .users import record_from_item, record_key

_NOBODY = "-"
"""No user id: its grant key has no item."""
_REMEMBERED = 10_000
_GUESSES = 2
"""Reads for one name. One that moves to somebody else between them is found by the next call."""


class DynamoReleaseStore:
    """Implements `ports.ReleaseStore`."""

    def __init__(self, grants: DynamoGrantStore) -> None:
        self._grants = grants
        # Only a guess that saves a call: the alias is read along, and a wrong guess costs one more read
        self._likely_owner: dict[str, str] = {}
        self._likely_slot: dict[tuple[str, str, str], str] = {}

    def load(self, application_id: str, provider_id: str, name: str, account: str = "") -> ReleaseHolding:
        if is_person_id(name):
            return self._load(application_id, provider_id, name, account)
        for _ in range(_GUESSES):
            guess = self._likely_owner.get(name, _NOBODY)
            held = self._load(application_id, provider_id, guess, account, name)
            if held.subject is not None:
                return held
            if len(held.owners) != 1 or held.owners == (guess,):
                break
            _remember(self._likely_owner, name, held.owners[0])
        # What was read is about somebody who does not bear this name, or not alone
        holding = replace(held.holding, grant=None) if held.holding else None
        owners = held.owners if len(held.owners) > 1 else ()
        return replace(held, owners=owners, holding=holding, stops=held.stops - {StopKind.PERSON, StopKind.OWN})

    def _load(
        self, application_id: str, provider_id: str, user_id: str, account: str, alias: str = ""
    ) -> ReleaseHolding:
        """With `alias` there is no subject unless that names `user_id`."""
        likely = self._likely_slot.get((user_id, provider_id, account), FIRST_SLOT)
        held = self._read(application_id, provider_id, user_id, likely, alias)
        if held.subject is None or held.holding is None:
            return held
        slot = self._slot(held.holding, user_id, likely, account)
        if slot is None:
            return replace(held, holding=replace(held.holding, grant=None))
        if slot == likely:
            return held
        _remember(self._likely_slot, (user_id, provider_id, account), slot)
        return self._read(application_id, provider_id, user_id, slot, alias)

    def _slot(self, holding: Holding, user_id: str, likely: str, account: str) -> str | None:
        """Where the account is that is meant, None where none is; another read only for who has several, or asks for
        one in vain.
        """
        grant, provider = holding.grant, holding.provider
        is_default = likely == (holding.preferred or FIRST_SLOT)
        if self._is_named(grant, account, (user_id, provider.id, account)) if account else is_default:
            return likely
        found = chosen(self._grants.at(user_id, provider.id, provider.generation), holding.preferred, account)
        if account and found:
            _remember(self._likely_slot, (user_id, provider.id, account), found.slot)
        return found.slot if found else None

    def _is_named(self, grant: Grant | None, account: str, asked: tuple[str, str, str]) -> bool:
        """Whether it is the account that is asked for. By a label only if all accounts were looked at for it before:
        the subject of another one would be meant first.
        """
        if grant is None or grant.token_set is None:
            return False
        return grant.account.subject == account or (asked in self._likely_slot and grant.is_account(account))

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
        owners = _claimants(found[len(stops)]) if alias else (user_id,)
        return ReleaseHolding(
            application=application_from_item(application) if application else None,
            owners=owners,
            subject=_subject(user_id, record, alias) if owners == (user_id,) else None,
            holding=holding,
            stops=frozenset(kind for kind, item in zip(stops, found, strict=False) if item is not None),
        )


def _remember(likely: dict[Any, str], key: Hashable, value: str) -> None:
    if len(likely) >= _REMEMBERED:
        likely.clear()
    likely[key] = value


def _claimants(item: Item | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(claim.user_id for claim in claims_from_item(item)))


def _subject(user_id: str, record: Item | None, alias: str) -> Subject | None:
    """Groups are those of the last look into the directory; whose account there is gone gets nothing (R6).

    None where the record does not bear the alias: somebody was called so once (R91).
    """
    try:
        known = record_from_item(record) if record is not None else None
    except ItemUnreadable:
        return Subject(user_id, is_blocked=True)
    if known is not None and known.user.id != user_id:
        known = None
    if alias and (known is None or not bearing(known, alias)):
        return None
    if known is None:
        return Subject(user_id)
    return Subject(user_id, known.user.groups, is_blocked=known.departure is not None)
