"""What administrators do to everybody's tokens: see them, remove them, and the clean-up behind a removal."""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from chalicelib.domain.audit import BACKGROUND, AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.errors import Conflict, InvalidRequest, NotFound, VaultError
from chalicelib.domain.grant import TOMBSTONE_SECONDS, Grant
from chalicelib.domain.provider import Provider, ProviderKey
from chalicelib.domain.user import User
from chalicelib.ports import AuditLog, Clock, GrantPage, GrantStore, ProviderStore, RevocationStore, TokenCipher

_LOG = logging.getLogger(__name__)

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
PAGE_SIZE = 25
COUNT_LIMIT = 1000
"""Counting stops here: a page must be as fast with a million tokens as with ten."""
_CLEAN_UP_PAGE = 100
_LONGEST_PREFIX = 128
_SETTLE_SECONDS = 120
"""Longer than any request lives: after it nobody can still be writing under an old generation."""
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class Tokens:
    """Some of a provider's grants."""

    provider: Provider
    page: GrantPage


@dataclass(frozen=True, slots=True)
class Count:
    """How many; `more` when counting stopped before the end."""

    number: int
    more: bool = False


def _line(provider: Provider, error: VaultError) -> dict[str, str]:
    return {"provider_id": provider.id, "code": error.code, "detail": error.detail}


class AdministrationService:
    """Every act here is an administrator's; the routes have checked that."""

    def __init__(
        self,
        *,
        providers: ProviderStore,
        grants: GrantStore,
        revocations: RevocationStore,
        cipher: TokenCipher,
        audit_log: AuditLog,
        clock: Clock,
    ) -> None:
        self._providers = providers
        self._grants = grants
        self._revocations = revocations
        self._cipher = cipher
        self._audit_log = audit_log
        self._clock = clock

    def providers(self) -> list[Provider]:
        """Every provider, enabled or not, by name."""
        return [provider for provider in self._providers.all() if not provider.is_deleted]

    def provider(self, provider_id: str) -> Provider:
        """Raises NotFound, also for text that no provider can have as its id."""
        provider = self._providers.get(provider_id) if _ID.match(provider_id) else None
        if provider is None or provider.is_deleted:
            raise NotFound
        return provider

    def tokens(self, provider: Provider, user_prefix: str, cursor: str | None) -> Tokens:
        """One page of a provider's live grants, by user name. Raises InvalidRequest for an over-long prefix."""
        if len(user_prefix) > _LONGEST_PREFIX:
            raise InvalidRequest
        page = self._grants.page(
            provider.id, provider.generation, user_prefix=user_prefix, limit=PAGE_SIZE, cursor=cursor
        )
        return Tokens(provider, page)

    def count(self, provider: Provider) -> Count:
        """How many tokens "Remove all tokens" would remove."""
        number = self._grants.count(provider.id, provider.generation, at_most=COUNT_LIMIT + 1)
        return Count(min(number, COUNT_LIMIT), more=number > COUNT_LIMIT)

    def find(self, grant_ids: Sequence[str]) -> list[Grant]:
        """The live grants among `grant_ids`, in that order; raises InvalidRequest for what is no grant id."""
        found = (self._live(grant_id) for grant_id in dict.fromkeys(grant_ids))
        return [grant for grant in found if grant is not None]

    def remove(self, administrator: User, grant_ids: Sequence[str], origin: Origin) -> int:
        """Remove single grants. Returns how many; those that were gone already do not count."""
        return sum(self._remove(administrator, grant_id, origin) for grant_id in dict.fromkeys(grant_ids))

    def remove_all(self, administrator: User, provider_id: str, origin: Origin) -> Provider:
        """End all grants of a provider at once: a new key, then one write that raises the generation.

        From that write on no grant of before is found by anyone; the items go later, in `clean_up`.
        """
        provider = self.provider(provider_id)
        raised = self.raise_generation(provider)
        facts = {"generation": str(provider.generation)}
        self._record(AuditTag.PROVIDER_TOKENS_REMOVED, administrator, origin, provider_id, facts=facts)
        return raised

    def clean_up(self, *, pages: int = 50) -> int:
        """Replace the items of ended generations by tombstones, then delete their keys. Returns how many.

        Bounded by `pages`; what was replaced leaves the listing, so the next call goes on where this stopped.
        """
        buried = 0
        for provider in self._providers.all():
            if provider.cleaned_generation < provider.generation - 1:
                try:
                    buried += self._clean_up_provider(provider, pages)
                except VaultError as error:
                    # One provider's trouble must not keep the others' tokens from being deleted
                    _LOG.error("clean_up.failed", extra=_line(provider, error))
            elif provider.is_deleted:
                # Nothing was ever stored under the last generation: it began with the deletion
                self._providers.delete_key(provider.id, provider.generation)
                self._providers.delete(provider)
        return buried

    def _live(self, grant_id: str) -> Grant | None:
        provider_id, dot, user_id = grant_id.partition(".")
        if not (dot and _ID.match(provider_id) and _ID.match(user_id)):
            raise InvalidRequest
        try:
            grant = self._grants.load(user_id, provider_id).grant
        except NotFound:
            return None
        return grant if grant is not None and grant.token_set is not None else None

    def _remove(self, administrator: User, grant_id: str, origin: Origin) -> bool:
        for _ in range(_ATTEMPTS):
            grant = self._live(grant_id)
            if grant is None:
                return False
            now = self._clock.now()
            try:
                self._grants.save(grant.removed(now), replaces=grant.version, expires_at=now + TOMBSTONE_SECONDS)
            except Conflict:
                continue
            facts = {"account": grant.account.label}
            self._record(AuditTag.GRANT_REMOVED, administrator, origin, grant.provider_id, grant=grant, facts=facts)
            return True
        raise Conflict

    def raise_generation(self, provider: Provider) -> Provider:
        """End everything that was stored under the provider's generation. Raises Conflict."""
        for _ in range(_ATTEMPTS):
            try:
                return self._providers.update(self._raised(provider))
            except Conflict:
                # Edited or emptied by somebody else meanwhile; emptied is what was wanted
                again = self._providers.get(provider.id)
                if again.generation > provider.generation:
                    return again
                provider = again
        raise Conflict

    def _raised(self, provider: Provider) -> Provider:
        """The provider under the next generation, its secret moved to the new key."""
        key = self._next_key(provider)
        with self._cipher.unlock(self._providers.key(provider.id, provider.generation)) as box:
            secret = box.decrypt(provider.client_secret, provider.secret_context())
        raised = replace(provider, generation=key.generation, removed_at=self._clock.now())
        with self._cipher.unlock(key) as box:
            return replace(raised, client_secret=box.encrypt(secret, raised.secret_context()))

    def _next_key(self, provider: Provider) -> ProviderKey:
        key = self._cipher.new_key(provider.id, provider.generation + 1)
        try:
            self._providers.add_key(key)
        except Conflict:
            # An interrupted removal has left one: it is as good as new
            return self._providers.key(provider.id, provider.generation + 1)
        return key

    def _clean_up_provider(self, provider: Provider, pages: int) -> int:
        buried = 0
        for generation in range(provider.cleaned_generation + 1, provider.generation):
            buried += self._bury(provider, generation, pages)
            if not self._is_settled(provider, generation):
                # Closing a later one would count this one as cleaned, and its key would stay for ever
                break
            provider = self._close(provider, generation)
        return buried

    def _bury(self, provider: Provider, generation: int, pages: int) -> int:
        removed_at = provider.removed_at or 0
        buried, cursor = 0, None
        for _ in range(pages):
            page = self._grants.page(provider.id, generation, user_prefix="", limit=_CLEAN_UP_PAGE, cursor=cursor)
            self._grants.bury([grant.removed(removed_at) for grant in page.grants], removed_at + TOMBSTONE_SECONDS)
            buried += len(page.grants)
            # Not from the start again: the listing lags, and would give what was just buried once more
            cursor = page.next_cursor
            if cursor is None:
                break
        return buried

    def _is_settled(self, provider: Provider, generation: int) -> bool:
        """True when no item of the generation is left, none can still come, and no revocation needs its key."""
        settled_at = (provider.removed_at or 0) + _SETTLE_SECONDS
        return (
            self._clock.now() >= settled_at
            and self._grants.count(provider.id, generation, at_most=1) == 0
            and not self._revocations.any_of(provider.id, generation)
        )

    def _close(self, provider: Provider, generation: int) -> Provider:
        """Delete the key: from now on nothing of that generation can be read, in backups neither."""
        self._providers.delete_key(provider.id, generation)
        closed = self._providers.update(replace(provider, cleaned_generation=generation))
        facts = {"generation": str(generation)}
        self._record(AuditTag.PROVIDER_CLEANED, None, BACKGROUND, provider.id, facts=facts)
        return closed

    def _record(
        self,
        tag: AuditTag,
        administrator: User | None,
        origin: Origin,
        provider_id: str,
        *,
        grant: Grant | None = None,
        facts: dict[str, str],
    ) -> None:
        self._audit_log.record(
            AuditEvent(
                tag,
                Outcome.SUCCESS,
                administrator.id if administrator else "-",
                origin,
                grant.user_id if grant else "",
                provider_id,
                facts,
                actor_name=administrator.login_name if administrator else "",
                user_name=grant.user_name if grant else "",
            )
        )
