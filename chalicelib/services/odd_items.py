"""Stored items that cannot be read, in the hands of administrators: listed and removed (docs/adr/0168)."""

from collections.abc import Mapping
from dataclasses import replace

from chalicelib.domain.audit import Actor, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.authorization_server import AuthorizationServer
from chalicelib.domain.errors import NotFound
from chalicelib.domain.odd_item import OddKind
from chalicelib.domain.provider import Provider
from chalicelib.domain.removal import RemovalOrder
from chalicelib.ports import AuditLog, OddItems, OddProviders

from .generations import GenerationService

_TAGS = {OddKind.PROVIDER: AuditTag.PROVIDER_DELETED, OddKind.CLIENT: AuditTag.CLIENT_DELETED}


class OddItemService:
    """Every act here is an administrator's; the routes check that."""

    def __init__(
        self,
        *,
        providers: OddProviders,
        others: Mapping[OddKind, OddItems],
        generations: GenerationService,
        audit_log: AuditLog,
    ) -> None:
        self._providers = providers
        self._others = others
        self._generations = generations
        self._audit_log = audit_log

    def of(self, kind: OddKind) -> list[str]:
        """The ids of what cannot be read."""
        return (self._providers if kind is OddKind.PROVIDER else self._others[kind]).odd()

    def remove(self, kind: OddKind, item_id: str, actor: Actor, origin: Origin) -> None:
        """Gone with its line. Raises NotFound: there is none, Conflict: it can be read (by now)."""
        if kind is OddKind.PROVIDER:
            self._remove_provider(item_id, actor, origin)
            return
        with self._audit_log.recording(_event(kind, item_id, actor, origin)):
            self._others[kind].delete_odd(item_id)

    def _remove_provider(self, provider_id: str, actor: Actor, origin: Origin) -> None:
        """Written over as one that was deleted, above every generation that has a key: the clean-up does the rest.

        Deleted alone it would leave authorizations and the keys that open them.
        """
        if provider_id not in self._providers.odd():
            raise NotFound
        server = AuthorizationServer("", "")
        deleted = Provider(provider_id, "", provider_id, "", b"", server, (), enabled=False, is_deleted=True)
        deleted = self._generations.unused(deleted)
        ended = range(deleted.cleaned_generation + 1, deleted.generation)
        self._generations.new_key(deleted)
        orders = tuple(RemovalOrder(generation, "", False, actor) for generation in ended)
        with self._audit_log.recording(_event(OddKind.PROVIDER, provider_id, actor, origin)):
            self._providers.replace_odd(replace(deleted, removals=orders))


def _event(kind: OddKind, item_id: str, actor: Actor, origin: Origin) -> AuditEvent:
    tag, facts = _TAGS.get(kind, AuditTag.RECORD_REMOVED), {"cause": "unreadable"}
    if kind is OddKind.CLIENT:
        facts = {"client": item_id, **facts}
    elif kind is not OddKind.PROVIDER:
        facts = {"kind": kind.value, "record": item_id, **facts}
    provider_id = item_id if kind is OddKind.PROVIDER else ""
    return AuditEvent(
        tag, Outcome.SUCCESS, actor.id, origin, provider_id=provider_id, facts=facts, actor_name=actor.name
    )
