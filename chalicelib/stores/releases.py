"""All that a release needs to know, in one consistent BatchGetItem."""

from dataclasses import replace

from chalicelib.domain.aliases import is_user_id
from chalicelib.domain.client_application import Subject
from chalicelib.domain.grant import Holding, ReleaseHolding

from .client_applications import application_from_item, application_key
from .grants import DynamoGrantStore
from .items import Item
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

    def load(self, application_id: str, provider_id: str, name: str) -> ReleaseHolding:
        if is_user_id(name):
            more = [application_key(application_id), record_key(name)]
            holding, (application, record) = self._grants.load_with(name, provider_id, more)
            return _release_holding(application, (name,), record, holding)
        guess = self._likely_owner.get(name, _NOBODY)
        held = self._load(application_id, provider_id, name, guess)
        if held.subject is not None and held.subject.user_id == guess:
            return held
        if held.subject is None:
            # The grant that was guessed at is not the one of this name, or not its alone
            return replace(held, holding=replace(held.holding, grant=None) if held.holding else None)
        self._remember(name, held.subject.user_id)
        return self._load(application_id, provider_id, name, held.subject.user_id)

    def _load(self, application_id: str, provider_id: str, alias: str, user_id: str) -> ReleaseHolding:
        more = [application_key(application_id), alias_key(alias), record_key(user_id)]
        holding, (application, claims, record) = self._grants.load_with(user_id, provider_id, more)
        return _release_holding(application, owners_from_item(claims), record, holding)

    def _remember(self, name: str, user_id: str) -> None:
        if len(self._likely_owner) >= _REMEMBERED:
            self._likely_owner.clear()
        self._likely_owner[name] = user_id


def _release_holding(
    application: Item | None, owners: tuple[str, ...], record: Item | None, holding: Holding | None
) -> ReleaseHolding:
    subject = _subject(owners[0], record) if len(owners) == 1 else None
    return ReleaseHolding(application_from_item(application) if application else None, owners, subject, holding)


def _subject(user_id: str, record: Item | None) -> Subject:
    """Whose directory account is gone gets nothing (R6); groups are those of the last look there."""
    if record is None or record["user_id"] != user_id:
        return Subject(user_id)
    known = record_from_item(record)
    return Subject(user_id, known.user.groups, is_blocked=known.departure is not None)
