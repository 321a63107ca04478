"""All that a release needs to know, in one consistent BatchGetItem."""

from dataclasses import replace

from chalicelib.domain.aliases import is_user_id
from chalicelib.domain.client_application import Subject
from chalicelib.domain.grant import ReleaseHolding
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

    def load(self, application_id: str, provider_id: str, name: str) -> ReleaseHolding:
        if is_user_id(name):
            return self._load(application_id, provider_id, name)
        guess = self._likely_owner.get(name, _NOBODY)
        held = self._load(application_id, provider_id, guess, name)
        if held.subject is not None and held.subject.user_id == guess:
            return held
        if held.subject is None:
            # What was guessed at is not of this name, or not its alone
            holding = replace(held.holding, grant=None) if held.holding else None
            return replace(held, holding=holding, stops=held.stops - {StopKind.PERSON, StopKind.OWN})
        self._remember(name, held.subject.user_id)
        return self._load(application_id, provider_id, held.subject.user_id, name)

    def _load(self, application_id: str, provider_id: str, user_id: str, alias: str = "") -> ReleaseHolding:
        """One read. With `alias` the person is whom that names, which need not be `user_id`."""
        stops = {
            StopKind.EVERYTHING: stop_key(StopKind.EVERYTHING),
            StopKind.PROVIDER: stop_key(StopKind.PROVIDER, provider_id),
            StopKind.PERSON: stop_key(StopKind.PERSON, user_id),
            StopKind.OWN: block_key(user_id, application_id),
        }
        more = [application_key(application_id), record_key(user_id), *stops.values()]
        more += [alias_key(alias)] if alias else []
        holding, (application, record, *found) = self._grants.load_with(user_id, provider_id, more)
        owners = owners_from_item(found[len(stops)]) if alias else (user_id,)
        return ReleaseHolding(
            application=application_from_item(application) if application else None,
            owners=owners,
            subject=_subject(owners[0], record) if len(owners) == 1 else None,
            holding=holding,
            stops=frozenset(kind for kind, item in zip(stops, found, strict=False) if item is not None),
        )

    def _remember(self, name: str, user_id: str) -> None:
        if len(self._likely_owner) >= _REMEMBERED:
            self._likely_owner.clear()
        self._likely_owner[name] = user_id


def _subject(user_id: str, record: Item | None) -> Subject:
    """Whose directory account is gone gets nothing (R6); groups are those of the last look there."""
    if record is None or record["user_id"] != user_id:
        return Subject(user_id)
    known = record_from_item(record)
    return Subject(user_id, known.user.groups, is_blocked=known.departure is not None)
