"""Grants: one item for each user, provider and generation.

The generation is part of the key. So a removal of all tokens, which raises the provider's generation,
needs no write on any grant: the old items are simply never asked for again. It also lets the clean-up
overwrite them in unconditional batches, since nothing that lives can have their keys.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from chalicelib.domain.accounts import UserGrants
from chalicelib.domain.errors import Conflict, InvalidRequest, KeyUnavailable, NotFound
from chalicelib.domain.grant import FIRST_SLOT, Grant, GrantReason, GrantState, Holding
from chalicelib.domain.provider import Provider, ProviderKey
from chalicelib.domain.secret import fingerprint
from chalicelib.domain.token_set import CloudAccount
from chalicelib.domain.use import LastUse
from chalicelib.ports import GrantPage

from .items import Item, load, read_or, readable, version_of
from .provider_health import health_from_item, health_key
from .providers import (
    everything_from_item,
    everything_key,
    is_provider_id,
    key_from_item,
    provider_from_item,
    provider_key,
    wrapped_key_key,
)
from .table import Condition, ConditionFailed, Table
from .tables import ENDED, EXPIRES, KEY, LISTING, SORT

_GRANT = "GRANT#"
_PREFERRED = "preferred"
_FIRST_GENERATION = 1
_GENERATION_GUESSES = 2
_FILTERED_QUERIES = 20
_SEARCH_QUERIES, _SEARCHED = 5, 500
"""So many grants are looked at for one page of a search, found or not, and so many at once."""


class DynamoGrantStore:
    """Implements `ports.GrantStore`."""

    def __init__(self, vault: Table, keys: Table, spills: Table) -> None:
        self._vault = vault
        self._keys = keys
        self._spills = spills
        # Only a guess that saves a call: what is read decides, a wrong guess costs one more read
        self._likely_generation: dict[str, int] = {}

    def load(self, user_id: str, provider_id: str, slot: str = FIRST_SLOT) -> Holding:
        holding, _ = self.load_with(user_id, provider_id, slot, [])
        if holding is None:
            raise NotFound
        return holding

    def load_with(
        self, user_id: str, provider_id: str, slot: str, more: Sequence[Item]
    ) -> tuple[Holding | None, list[Item | None]]:
        """The holding, None without such a provider; in the same read, the items of the vault's table under `more`."""
        if not is_provider_id(provider_id):
            return None, [None for _ in more]
        for _ in range(_GENERATION_GUESSES):
            # Read once: another thread may learn a newer one in the middle of this
            generation = self._likely_generation.get(provider_id, _FIRST_GENERATION)
            found = self._read(user_id, provider_id, generation, slot, more)
            others = [found.get(_position(key)) for key in more]
            item = found.get(_position(provider_key(provider_id)))
            if item is None:
                return None, others
            provider = provider_from_item(item, everything_from_item(found.get(_position(everything_key()))))
            if provider.generation == generation:
                return _holding(provider, user_id, slot, found), others
            self._likely_generation[provider_id] = provider.generation
        raise Conflict

    def _read(
        self, user_id: str, provider_id: str, generation: int, slot: str, more: Sequence[Item]
    ) -> dict[tuple[str, ...], Item]:
        """One consistent read of everything, by key."""
        grant = _key(user_id, provider_id, generation, slot)
        preference = _preference_key(user_id, provider_id)
        wanted = [provider_key(provider_id), everything_key(), health_key(provider_id), grant, preference, *more]
        kept = [wrapped_key_key(provider_id, generation), _ended_key(user_id, provider_id, generation, slot)]
        return {_position(item): item for item in self._vault.get_with(wanted, self._keys, kept)}

    def of_user(self, user_id: str) -> UserGrants:
        return self._of_user(user_id, _GRANT)

    def at(self, user_id: str, provider_id: str, generation: int) -> UserGrants:
        found = self._of_user(user_id, f"{_GRANT}{provider_id}#")
        return replace(found, grants=tuple(grant for grant in found if grant.generation == generation))

    def _of_user(self, user_id: str, prefix: str) -> UserGrants:
        condition = Condition(
            f"#{KEY} = :pk AND begins_with( #{SORT} , :prefix )", {"pk": _partition(user_id), "prefix": prefix}
        )
        items = list(self._vault.query_all(condition))
        return UserGrants(
            tuple(_from_item(item) for item in items if not _is_preference(item)),
            dict(readable("default account", filter(_is_preference, items), _preferred_at)),
        )

    def prefer(self, user_id: str, provider_id: str, generation: int, slot: str | None) -> None:
        key = _preference_key(user_id, provider_id)
        if slot is None:
            self._vault.delete(key)
        else:
            self._vault.put(key | {"provider_id": provider_id, "generation": generation, _PREFERRED: slot})

    def save(
        self,
        grant: Grant,
        *,
        replaces: int | None,
        fence: int | None = None,
        expires_at: int | None = None,
        ended: int | None = None,
    ) -> None:
        fenced = {} if fence is None else {"fence": fence}
        condition = Condition.absent(KEY) if replaces is None else Condition.version(replaces, **fenced)
        try:
            also = [] if ended is None else [self._keys.writing(*_mark(grant, ended))]
            self._vault.put(_to_item(grant) | {EXPIRES: expires_at}, condition, *also)
        except ConditionFailed:
            raise Conflict from None

    def note_use(self, use: LastUse) -> None:
        condition = Condition(
            f"attribute_exists(#{KEY}) AND #state <> :removed AND #authorized_at <= :at"
            " AND (attribute_not_exists(#last_used_at) OR #last_used_at < :last_used_at)",
            {"removed": GrantState.REMOVED.value, "at": use.at},
        )
        key = _key(use.user_id, use.provider_id, use.generation, use.slot)
        # Gone, made anew since, or used later
        with suppress(ConditionFailed):
            self._vault.update(key, "SET #last_used_at = :last_used_at", {"last_used_at": use.hour}, condition)

    def spill(self, outcome: Grant, expires_at: int) -> None:
        self._spills.put(_to_item(outcome) | _spill_key(outcome) | {EXPIRES: expires_at})

    def spilled(self, leased: Grant) -> Grant | None:
        item = self._spills.get(_spill_key(leased))
        outcome = _from_item(item | _key_of(leased)) if item else None
        fits = outcome is not None and (outcome.version, outcome.fence) == (leased.version + 1, leased.fence)
        return outcome if fits else None

    def delete(self, grant: Grant, *, ended: int) -> None:
        mark, rising = _mark(grant, ended)
        try:
            self._vault.delete(_key_of(grant), Condition.version(grant.version), self._keys.writing(mark, rising))
        except ConditionFailed as failure:
            # Nothing there is what was wanted: the client repeats a delete whose reply was lost
            if failure.item is not None:
                raise Conflict from None
            with suppress(ConditionFailed):
                self._keys.put(mark, rising)

    def page(
        self,
        provider_id: str,
        generation: int,
        *,
        user_prefix: str,
        limit: int,
        cursor: str | None,
        matches: Callable[[Grant], bool] | None = None,
    ) -> GrantPage:
        listing = _listing(provider_id, generation)
        after = _from_cursor(cursor, listing) if cursor else None
        if matches is not None:
            return self._search(_listed(listing, user_prefix), _in_domain(user_prefix), matches, limit, after)
        # DynamoDB filters after its limit: a page may come out short, but should not come out empty
        for _ in range(_FILTERED_QUERIES):
            page = self._vault.query(
                _listed(listing, user_prefix),
                index=LISTING,
                filter_by=_in_domain(user_prefix),
                limit=limit,
                after=after,
            )
            after = page.last_key
            if page.items or after is None:
                break
        return GrantPage(
            [_from_item(item) for item in page.items], _to_cursor(page.last_key) if page.last_key else None
        )

    def _search(
        self,
        listed: Condition,
        filter_by: Condition | None,
        matches: Callable[[Grant], bool],
        limit: int,
        after: Item | None,
    ) -> GrantPage:
        """A bounded piece of the listing: a rare word must not read a million grants for one page."""
        found: list[Item] = []
        for _ in range(_SEARCH_QUERIES):
            page = self._vault.query(listed, index=LISTING, filter_by=filter_by, limit=_SEARCHED, after=after)
            found += [item for item in page.items if matches(_from_item(item))]
            after = page.last_key
            if len(found) > limit:
                found, after = found[:limit], found[limit - 1]
            if after is None or len(found) == limit:
                break
        return GrantPage([_from_item(item) for item in found], _to_cursor(after) if after else None)

    def sealed(self, grants: Sequence[Grant]) -> list[Grant]:
        return [_from_item(item) for item in self._vault.get_all([_key_of(grant) for grant in grants])]

    def of_these(self, provider_id: str, generation: int, whose: Iterable[tuple[str, str]]) -> list[Grant]:
        keys = [_key(user_id, provider_id, generation, slot) for user_id, slot in dict.fromkeys(whose)]
        return [_from_item(item) for item in self._vault.get_all(keys)]

    def count(self, provider_id: str, generation: int, *, at_most: int) -> int:
        return self._vault.count(_listed(_listing(provider_id, generation), ""), index=LISTING, at_most=at_most)

    def bury(self, grants: list[Grant], expires_at: int) -> None:
        self._vault.put_all([_to_item(grant) | {EXPIRES: expires_at} for grant in grants])


def _position(item: Item) -> tuple[str, ...]:
    """The key, in a form that can be looked up."""
    return (item[KEY], item[SORT]) if SORT in item else (item[KEY],)


def _holding(provider: Provider, user_id: str, slot: str, found: dict[tuple[str, ...], Item]) -> Holding:
    key = _key_of_holding(provider, found)
    item = found.get(_position(_key(user_id, provider.id, provider.generation, slot)))
    health = health_from_item(provider.id, found.get(_position(health_key(provider.id))))
    preference = found.get(_position(_preference_key(user_id, provider.id)))
    # One that cannot be read is none: what then is the default, `domain.accounts` says
    defaults = dict(readable("default account", [preference] if preference else [], _preferred_at))
    preferred = defaults.get((provider.id, provider.generation))
    mark = found.get(_position(_ended_key(user_id, provider.id, provider.generation, slot)))
    ended = read_or("end of a grant", mark, _ended, lambda _: None) if mark else 0
    if item is None:
        return Holding(provider, key, None, health, preferred, ended or 0)
    stored = _from_item(item).at(provider)
    if ended is None:
        # Whether it has ended is not known: it opens no more than one that cannot be read itself
        odd = _odd(item) if stored.token_set is not None else stored
        return Holding(provider, key, odd, health, preferred)
    grant = stored.under(ended)
    return Holding(provider, key, grant, health, preferred, ended, is_put_back=grant is not stored)


def _key_of_holding(provider: Provider, found: dict[tuple[str, ...], Item]) -> ProviderKey:
    if provider.is_ending:
        # There is none yet, and nothing that it could open: who wants to store something makes it first
        return ProviderKey(provider.id, provider.generation, b"")
    wrapped = found.get(_position(wrapped_key_key(provider.id, provider.generation)))
    if wrapped is None:
        raise KeyUnavailable(detail="the wrapped key is missing")
    return key_from_item(wrapped)


def _partition(user_id: str) -> str:
    return f"USER#{user_id}"


def _key(user_id: str, provider_id: str, generation: int, slot: str) -> Item:
    return {KEY: _partition(user_id), SORT: f"{_GRANT}{provider_id}#{_place(generation, slot)}"}


def _place(generation: int, slot: str) -> str:
    return f"{generation}#{slot}" if slot else str(generation)


def _owner(item: Item) -> tuple[str, str, int, str]:
    """User, provider, generation and slot, as the key says: what an item says itself moves along with a copy (R50)."""
    user_id = str(item[KEY]).partition("#")[2]
    _, provider_id, generation, *slot = [*str(item[SORT]).split("#"), "", ""]
    # There is no generation 0: what stands under such a key belongs to nothing
    return user_id, provider_id, int(generation) if generation.isdecimal() else 0, "".join(slot)


def _key_of(grant: Grant) -> Item:
    return _key(grant.user_id, grant.provider_id, grant.generation, grant.slot)


def _ended_key(user_id: str, provider_id: str, generation: int, slot: str) -> Item:
    """In the table that is never restored, beside the key that opens the grant. Hashed: it outlives the person."""
    return {KEY: ENDED + fingerprint(f"{user_id}#{provider_id}#{_place(generation, slot)}")}


def _mark(grant: Grant, ended: int) -> tuple[Item, Condition]:
    key = _ended_key(grant.user_id, grant.provider_id, grant.generation, grant.slot)
    # Never lowered, whoever comes late; one that is no number is written over
    rising = Condition(
        f"attribute_not_exists(#{KEY}) OR NOT attribute_type( #version , :number ) OR #version <= :version",
        {"version": ended, "number": "N"},
    )
    return key | {"version": ended}, rising


def _ended(item: Item) -> int | None:
    return load(_Ended, item).version


@dataclass(frozen=True, slots=True)
class _Ended:
    version: int


def _preference_key(user_id: str, provider_id: str) -> Item:
    """Beside the grants, so that whoever lists those has it as well."""
    return {KEY: _partition(user_id), SORT: f"{_GRANT}{provider_id}#{_PREFERRED}"}


def _is_preference(item: Item) -> bool:
    return str(item[SORT]).endswith(f"#{_PREFERRED}")


def _preferred_at(item: Item) -> tuple[tuple[str, int], str]:
    """A default account: provider and generation, and the slot."""
    found = load(_Preference, item)
    return (found.provider_id, found.generation), found.preferred


@dataclass(frozen=True, slots=True)
class _Preference:
    provider_id: str
    generation: int
    preferred: str


def _spill_key(grant: Grant) -> Item:
    return {KEY: f"SPILL#{grant.user_id}#{grant.provider_id}#{_place(grant.generation, grant.slot)}"}


def _listing(provider_id: str, generation: int) -> str:
    return f"PROVIDER#{provider_id}#{generation}"


def _listed_as(user_name: str) -> str:
    """User name first, then domain: the order people look for, and both forms can be searched by prefix."""
    domain, _, name = user_name.casefold().rpartition("\\")
    return f"{name}\\{domain}"


def _listed(listing: str, user_prefix: str) -> Condition:
    name = user_prefix.casefold().rpartition("\\")[2]
    expression = f"#{LISTING.key} = :listing"
    if not name:
        return Condition(expression, {"listing": listing})
    return Condition(f"{expression} AND begins_with( #{LISTING.sort} , :name )", {"listing": listing, "name": name})


def _in_domain(user_prefix: str) -> Condition | None:
    domain = user_prefix.casefold().rpartition("\\")[0]
    return Condition.equals(domain=domain) if domain else None


def _to_item(grant: Grant) -> Item:
    # A removed grant is told to its user, not listed to administrators
    listed: Item = {}
    if grant.state is not GrantState.REMOVED:
        listed = {
            LISTING.key: _listing(grant.provider_id, grant.generation),
            LISTING.sort: _listed_as(grant.user_name),
        }
    return (
        _key_of(grant)
        | listed
        | {
            "user_id": grant.user_id,
            "user_name": grant.user_name,
            "domain": grant.user_name.casefold().rpartition("\\")[0],
            "provider_id": grant.provider_id,
            "generation": grant.generation,
            "version": grant.version,
            "state": grant.state.value,
            "reason": grant.reason.value,
            "state_at": grant.state_at,
            "account": {"subject": grant.account.subject, "label": grant.account.label},
            "scopes": grant.scopes,
            # Not `expires_at`: that is the table's time to live, and a grant outlives its access token
            "expires": grant.expires_at,
            "authorized_at": grant.authorized_at,
            "refreshed_at": grant.refreshed_at,
            "last_used_at": grant.last_used_at,
            "token_set": grant.token_set,
            "fence": grant.fence,
            "lease": asdict(grant.lease) if grant.lease else None,
            "failures": grant.failures,
            "next_attempt_at": grant.next_attempt_at,
            "refusals": grant.refusals,
            "refused_since": grant.refused_since,
            "unknown_since": grant.unknown_since,
            "is_renewable": grant.is_renewable,
            "server": grant.server or None,
        }
    )


_LATER = ("fence", "failures", "next_attempt_at", "is_renewable", "refusals", "refused_since", "server")
"""What the first version of the vault did not write, and what none does where it is empty."""


def _from_item(item: Item) -> Grant:
    return read_or("grant", item, _parsed, _odd)


def _parsed(item: Item) -> Grant:
    user_id, provider_id, generation, slot = _owner(item)
    own = {"user_id": user_id, "provider_id": provider_id, "generation": generation, "slot": slot, "server_now": ""}
    return load(Grant, {**item, **own, "expires_at": item["expires"]}, later=_LATER)


def _odd(item: Item) -> Grant:
    """What is left to be shown, removed and authorized again: its tokens open no more than any that were edited."""
    user_id, provider_id, generation, slot = _owner(item)
    name = item.get("user_name")
    return Grant(
        user_id=user_id,
        user_name=name if isinstance(name, str) else user_id,
        provider_id=provider_id,
        generation=generation,
        version=version_of(item),
        state=GrantState.NEEDS_REAUTHORIZATION,
        reason=GrantReason.UNREADABLE,
        account=CloudAccount("", "cannot be read"),
        scopes=(),
        expires_at=0,
        authorized_at=0,
        token_set=b"",
        slot=slot,
    )


def _to_cursor(last_key: Item) -> str:
    text = "\n".join((last_key[LISTING.sort], last_key[KEY], last_key[SORT]))
    return urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _from_cursor(cursor: str, listing: str) -> Item:
    try:
        text = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        listed_as, key, sort = text.split("\n")
    except ValueError:
        raise InvalidRequest("This page of the list no longer exists. Please start from its beginning.") from None
    return {LISTING.key: listing, LISTING.sort: listed_as, KEY: key, SORT: sort}
