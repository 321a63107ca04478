"""IAM, as far as the vault's own list of permissions goes: who calls what, and whether that is allowed.

Which function of the deployment a call belongs to shows in the call stack: its entry is on it.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import CodeType
from typing import Any

import pytest

from chalicelib import command_line
from chalicelib.adapters.aws import AwsClients
from chalicelib.services.audit_seals import SealService
from chalicelib.services.clean_up import CleanUpService
from chalicelib.services.events import EventService
from chalicelib.services.keep_alive import KeepAliveService
from chalicelib.services.leavers import LeaverService
from chalicelib.services.removals import RemovalService
from chalicelib.services.restoration import RestorationService
from chalicelib.services.revocations import RevocationService
from chalicelib.stores import tables
from chalicelib.web.endpoint import Endpoints
from deploy.template.permissions import COMMANDS, DESCRIBE_TABLE, FUNCTIONS, OPERATORS, Permissions

ENTRIES: dict[CodeType, str] = {
    Endpoints.answer.__code__: "api_handler",
    RevocationService.retry_due.__code__: "retry_revocations",
    KeepAliveService.run.__code__: "keep_alive",
    LeaverService.sweep.__code__: "look_after_leavers",
    CleanUpService.run.__code__: "clean_up",
    RemovalService.carry_on.__code__: "clean_up",
    RemovalService.finish_open.__code__: "clean_up",
    RestorationService.prepare.__code__: "clean_up",
    SealService.seal_due.__code__: "seal_audit",
    EventService.deliver_due.__code__: "deliver_events",
    command_line.main.__code__: OPERATORS,
}
_TABLES = {"vault": "vault", "vault-keys": "keys", "vault-sessions": "sessions"}
_INDEXES = {tables.LISTING.name: "listing", tables.SESSIONS_OF_USER.name: "sessions_of_user"}
_SENT = {("events", "PutEvents"), ("sesv2", "GetAccount"), ("sesv2", "SendEmail")}
ROLES = FUNCTIONS | {OPERATORS: COMMANDS}
_DESCRIBING = ("DescribeKey", *DESCRIBE_TABLE)
_KEYS = {"GenerateMac": "audit_key", "VerifyMac": "audit_key"}

Use = tuple[str, str]
"""A thing, named as the fields of `Permissions`, and an action."""


class Recorder:
    """Every use by function, as it happened. With `enforced`, one that is not allowed fails the test at once."""

    def __init__(self, *, enforced: bool) -> None:
        self.uses: dict[str, set[Use]] = {name: set() for name in ROLES}
        self._enforced = enforced

    def note(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        """Called by botocore before each call."""
        function = _function()
        if function is None:
            return
        for use in _uses(model.service_model.service_name, model.name, params):
            self.uses[function].add(use)
            if self._enforced and use not in allowed(ROLES[function]):
                # Not an Exception: no error handling of the product may take it for AWS being out of order
                pytest.fail(f"{function} may not {use[1]} on {use[0]} (deploy/template/permissions.py)")


@contextmanager
def recorded(clients: AwsClients, *, enforced: bool = True) -> Iterator[Recorder]:
    recorder = Recorder(enforced=enforced)
    systems = [client.meta.events for client in (clients.dynamodb, clients.kms, clients.events, clients.mail)]
    for events in systems:
        events.register("provide-client-params", recorder.note)
    try:
        yield recorder
    finally:
        for events in systems:
            events.unregister("provide-client-params", recorder.note)


def allowed(may: Permissions) -> set[Use]:
    """Everything but secrets, which no test reads through these clients."""
    named = ("vault", "keys", "sessions", "token_key", "audit_key")
    uses = {(name, action) for name in named for action in getattr(may, name)}
    uses |= {("ends", "PutItem")} if may.ends else set()
    uses |= _SENT if may.events else set()
    uses |= {("describe", action) for action in _DESCRIBING} if may.describe else set()
    return uses | {(name, "Query") for name in _INDEXES.values() if getattr(may, name)}


def _function() -> str | None:
    """The outermost entry on the stack: one that calls another does so with its own role."""
    found, frame = None, sys._getframe(2)
    while frame is not None:
        found = ENTRIES.get(frame.f_code, found)
        frame = frame.f_back  # type: ignore[assignment]
    return found


def _uses(service: str, action: str, params: dict[str, Any]) -> list[Use]:
    if action in _DESCRIBING:
        return [("describe", action)]
    if action == "ReEncrypt":
        # One call, and two rights: of each key's policy its own (AWS KMS, "Service Authorization Reference")
        return [("token_key", "ReEncryptFrom"), ("token_key", "ReEncryptTo")]
    if service == "kms":
        return [(_KEYS.get(action, "token_key"), action)]
    if service in ("events", "sesv2"):
        return [(service, action)]
    if "IndexName" in params:
        return [(_INDEXES[params["IndexName"]], action)]
    writes = [(action, params)] if "TransactItems" not in params else _writes(params["TransactItems"])
    return [(_thing(name, of), each) for each, of in writes for name in of.get("RequestItems", [of.get("TableName")])]


def _thing(table: str, params: dict[str, Any]) -> str:
    """The table, or the marks of ended grants in it, which some may write and nothing else there."""
    is_mark = params.get("Item", {}).get(tables.KEY, {}).get("S", "").startswith(tables.ENDED)
    return "ends" if is_mark else _TABLES[table]


def _writes(transaction: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """A transaction is no right of its own ("Using IAM with DynamoDB transactions", developer guide)."""
    return [(f"{kind}Item", write) for one in transaction for kind, write in one.items()]
