"""Client applications, an item each; the index lists them by name."""

from dataclasses import asdict, replace

from chalicelib.domain.client_application import (
    AccessRule,
    ApplicationKey,
    ClientApplication,
    SubjectMode,
    TrustedIssuer,
    Whose,
)
from chalicelib.domain.directory import stored_group_key
from chalicelib.domain.errors import Conflict, NotFound

from .items import Item
from .table import Condition, ConditionFailed, Table
from .tables import KEY, LISTING, SORT

_LISTING = "CLIENTS"


class DynamoClientApplicationStore:
    """Implements `ports.ClientApplicationStore`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def all(self) -> list[ClientApplication]:
        listed = self._table.query_all(Condition.equals(**{LISTING.key: _LISTING}), index=LISTING)
        keys = [{KEY: item[KEY], SORT: item[SORT]} for item in listed]
        return sorted(
            (application_from_item(item) for item in self._table.get_all(keys)), key=lambda a: a.name.casefold()
        )

    def get(self, application_id: str) -> ClientApplication:
        item = self._table.get(application_key(application_id))
        if item is None:
            raise NotFound
        return application_from_item(item)

    def add(self, application: ClientApplication) -> None:
        self._put(application, Condition.absent(KEY))

    def update(self, application: ClientApplication) -> ClientApplication:
        updated = replace(application, version=application.version + 1)
        self._put(updated, Condition.equals(version=application.version))
        return updated

    def delete(self, application: ClientApplication) -> None:
        try:
            self._table.delete(application_key(application.id), Condition.equals(version=application.version))
        except ConditionFailed as failure:
            # Nothing there is what was wanted: the client repeats a delete whose reply was lost
            if failure.item is not None:
                raise Conflict from None

    def _put(self, application: ClientApplication, condition: Condition) -> None:
        try:
            self._table.put(_to_item(application), condition)
        except ConditionFailed:
            raise Conflict from None


def application_key(application_id: str) -> Item:
    return {KEY: f"CLIENT#{application_id}", SORT: "CLIENT"}


def application_from_item(item: Item) -> ClientApplication:
    issuer = item.get("trusted_issuer")
    return ClientApplication(
        id=item["id"],
        name=item["name"],
        subject_mode=SubjectMode(item["subject_mode"]),
        created_at=item["created_at"],
        keys=tuple(ApplicationKey(**key) for key in item["keys"]),
        role_arn=item.get("role_arn"),
        trusted_issuer=TrustedIssuer(**issuer) if issuer else None,
        rules=tuple(_rule(rule) for rule in item["rules"]),
        calls_per_minute=item.get("calls_per_minute"),
        people_per_hour=item.get("people_per_hour"),
        enabled=item["enabled"],
        stopped_reason=item["stopped_reason"],
        stopped_at=item.get("stopped_at"),
        stopped_by=item.get("stopped_by", ""),
        version=item["version"],
    )


def _rule(item: Item) -> AccessRule:
    whose = item["whose"]
    return AccessRule(
        provider_id=item["provider_id"],
        scopes=tuple(item["scopes"]),
        whose=Whose(whose["everybody"], frozenset(map(stored_group_key, whose["groups"])), frozenset(whose["users"])),
        sources=tuple(item["sources"]),
    )


def _to_item(application: ClientApplication) -> Item:
    listed = {LISTING.key: _LISTING, LISTING.sort: f"{application.name.casefold()}#{application.id}"}
    return application_key(application.id) | listed | asdict(application)
