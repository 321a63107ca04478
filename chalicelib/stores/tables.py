"""The three tables: names of keys and indexes, time to live, what must be protected. Stated once, here."""

from dataclasses import dataclass, field
from typing import Any

KEY = "pk"
SORT = "sk"
EXPIRES = "expires_at"
"""Time to live, epoch seconds. DynamoDB deletes days late: code never relies on it (R85)."""


@dataclass(frozen=True, slots=True)
class Index:
    """A global secondary index; `projected` attributes are readable from it, or all with None."""

    name: str
    key: str
    sort: str
    projected: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class TableDefinition:
    """A table's shape. `lasting` ones get point-in-time recovery and deletion protection when deployed."""

    key: str
    sort: str | None = None
    indexes: tuple[Index, ...] = ()
    time_to_live: str | None = None
    point_in_time_recovery: bool = False
    deletion_protection: bool = False
    number_keys: frozenset[str] = field(default_factory=frozenset)

    def create_arguments(self, name: str) -> dict[str, Any]:
        """Arguments of DynamoDB CreateTable."""
        pairs = [(self.key, self.sort), *((index.key, index.sort) for index in self.indexes)]
        attributes = sorted({attribute for pair in pairs for attribute in pair if attribute})
        arguments: dict[str, Any] = {
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [
                {"AttributeName": a, "AttributeType": "N" if a in self.number_keys else "S"} for a in attributes
            ],
            "KeySchema": _key_schema(self.key, self.sort),
        }
        if self.indexes:
            arguments["GlobalSecondaryIndexes"] = [_index_arguments(index) for index in self.indexes]
        return arguments


def _key_schema(key: str, sort: str | None) -> list[dict[str, str]]:
    schema = [{"AttributeName": key, "KeyType": "HASH"}]
    return [*schema, {"AttributeName": sort, "KeyType": "RANGE"}] if sort else schema


def _index_arguments(index: Index) -> dict[str, Any]:
    projection: dict[str, Any] = {"ProjectionType": "ALL"}
    if index.projected is not None:
        projection = {"ProjectionType": "INCLUDE", "NonKeyAttributes": list(index.projected)}
    return {"IndexName": index.name, "KeySchema": _key_schema(index.key, index.sort), "Projection": projection}


LISTING = Index(
    "listing",
    key="listing",
    sort="listed_as",
    projected=(
        "user_name", "domain", "provider_id", "generation", "version", "state", "reason", "state_at", "account",
        "scopes", "expires", "authorized_at", "refreshed_at", "last_used_at", "failures", "next_attempt_at",
        "unknown_since", "is_renewable",
    ),
)  # fmt: skip
"""Sparse: grants by provider and generation in the order of user names, pending revocations by provider
and deliveries by channel, both by due time, users by id, departed ones by the time they left, audit entries by user
and time.

What a list of grants shows is read from it; of everything else only the keys (`Table.listed`). DynamoDB takes 20
attributes at most, and an index cannot be changed while the table keeps its name.
"""

SESSIONS_OF_USER = Index("of_user", key="user_id", sort="created_at")

VAULT = TableDefinition(
    key=KEY,
    sort=SORT,
    indexes=(LISTING,),
    time_to_live=EXPIRES,
    point_in_time_recovery=True,
    deletion_protection=True,
)
"""What must last: users, providers, grants, pending revocations and deliveries, audit log."""

KEYS = TableDefinition(key=KEY, deletion_protection=True)
"""Wrapped provider keys, how far grants have ended, and what applications, providers, stops, blocks and appointments
were last. Not backed up: deleting a key makes what it protects unreadable in every backup, and what has ended stays so
in a table that is restored.
"""
ENDED = "ENDED#"
"""So the keys of the latter begin: the only items there that some functions may write."""
COPY, COPIES = "COPY#", "COPIES"
"""So the keys of copies begin, and that is the key of the note since when they are left."""

SESSIONS = TableDefinition(
    key=KEY, indexes=(SESSIONS_OF_USER,), time_to_live=EXPIRES, number_keys=frozenset({"created_at"})
)
"""Sessions, authorization requests, counted tries, known browsers: nothing in it is worth a restore."""
