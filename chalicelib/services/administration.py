"""What administrators see of everybody's tokens: pages of them, found by person, cloud account, state or age."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from chalicelib.domain.errors import InvalidRequest, NotFound
from chalicelib.domain.grant import Grant, Holding
from chalicelib.domain.grant_search import GrantSearch
from chalicelib.domain.ids import GrantId, is_person_id, is_provider_id
from chalicelib.domain.provider import Provider
from chalicelib.ports import GrantPage, GrantStore, ProviderStore

from .people import PeopleService, Person

PAGE_SIZE = 25
COUNT_LIMIT = 1000
"""Counting stops here: a page must be as fast with a million tokens as with ten."""
COUNTED_PROVIDERS = 25
"""So are the providers that one page counts at, one call each."""
EXPORT_LIMIT = 5000
"""So many lines fit into one answer of a Lambda (6 MB)."""
_EXPORT_PAGE = 500


@dataclass(frozen=True, slots=True)
class Tokens:
    """Some of a provider's grants."""

    provider: Provider
    page: GrantPage


@dataclass(frozen=True, slots=True)
class Part:
    """Some of many providers, so that a page costs as much with hundreds of them as with some.

    `next_id` is the provider that the next part begins with; empty: that was all.
    """

    providers: tuple[Provider, ...]
    next_id: str = ""
    is_first: bool = True

    @classmethod
    def of(cls, providers: Sequence[Provider], first_id: str, size: int) -> "Part":
        """From the provider `first_id` on; from the beginning where there is none of that id."""
        begin = next((number for number, one in enumerate(providers) if one.id == first_id), 0)
        left = providers[begin:]
        return cls(tuple(left[:size]), left[size].id if len(left) > size else "", begin == 0)


@dataclass(frozen=True, slots=True)
class Count:
    """How many; `more` when counting stopped before the end."""

    number: int
    more: bool = False

    @classmethod
    def of(cls, number: int) -> "Count":
        return cls(min(number, COUNT_LIMIT), more=number > COUNT_LIMIT)


class AdministrationService:
    """Reads only; what ends tokens is in `removals`. The routes have checked that an administrator asks."""

    def __init__(self, *, providers: ProviderStore, grants: GrantStore, people: PeopleService) -> None:
        self._providers = providers
        self._grants = grants
        self._people = people

    def providers(self) -> list[Provider]:
        """Every provider, enabled or not, by name."""
        return [provider for provider in self._providers.all() if not provider.is_deleted]

    def provider(self, provider_id: str) -> Provider:
        """Raises NotFound, also for text that no provider can have as its id."""
        provider = self._providers.get(provider_id) if is_provider_id(provider_id) else None
        if provider is None or provider.is_deleted:
            raise NotFound
        return provider

    def person(self, typed: str) -> Person | None:
        r"""Whom a complete name means: an id, an e-mail address or `DOMAIN\user`. None for the beginning of the latter.

        Raises NotFound where nobody has such an id or address, InvalidRequest where several people are called so.
        """
        if is_person_id(typed) or "@" in typed:
            return self._people.find(typed)
        with suppress(NotFound):
            return self._people.find(typed) if "\\" in typed else None
        return None

    def tokens(self, provider: Provider, search: GrantSearch, cursor: str | None) -> Tokens:
        """One page of a provider's live grants, by user name."""
        return Tokens(provider, self._found(provider, search, PAGE_SIZE, cursor))

    def tokens_of_each(self, providers: Sequence[Provider], search: GrantSearch, cursor: str | None) -> list[Tokens]:
        """The same for several providers. What one person has at all of them is read at once."""
        if not search.user_id:
            return [self.tokens(provider, search, cursor) for provider in providers]
        grants = self._grants.of_user(search.user_id)
        return [Tokens(provider, GrantPage(_matching(grants, provider, search), None)) for provider in providers]

    def export(self, providers: Sequence[Provider], search: GrantSearch) -> list[tuple[Provider, Grant]]:
        """All grants that match, by provider and user name. Raises InvalidRequest for more than `EXPORT_LIMIT`."""
        found: list[tuple[Provider, Grant]] = []
        if search.user_id:
            grants = self._grants.of_user(search.user_id)
            return [(one, grant.as_seen(one)) for one in providers for grant in _matching(grants, one, search)]
        for provider in providers:
            cursor: str | None = None
            while True:
                page = self._found(provider, search, _EXPORT_PAGE, cursor)
                found += [(provider, grant.as_seen(provider)) for grant in page.grants]
                if len(found) > EXPORT_LIMIT:
                    raise InvalidRequest(
                        f"More than {EXPORT_LIMIT:,} tokens match, too many for one file. Please narrow the search, or "
                        "use the command list-tokens, which knows no limit."
                    )
                cursor = page.next_cursor
                if cursor is None:
                    break
        return found

    def count(self, provider: Provider) -> Count:
        """How many tokens "Remove all tokens" would remove."""
        return Count.of(self._grants.count(provider.id, provider.generation, at_most=COUNT_LIMIT + 1))

    def count_all(self) -> Count:
        """How many tokens there are at all providers together; with very many providers, at the first of them."""
        number, providers = 0, self.providers()
        for provider in providers[:COUNTED_PROVIDERS]:
            number += self._grants.count(provider.id, provider.generation, at_most=COUNT_LIMIT + 1 - number)
            if number > COUNT_LIMIT:
                return Count.of(number)
        # What is stored at a provider that cannot be read is not known
        return Count(number, more=len(providers) > COUNTED_PROVIDERS or bool(self._providers.odd()))

    def remaining(self, ended: Mapping[str, int]) -> dict[str, Count]:
        """By provider, how many items of an ended generation are still to be deleted. Where the clean-up is through
        nothing is counted, and of those where it is not only the first are.
        """
        cleaned = {provider.id: provider.cleaned_generation for provider in self._providers.all()}
        left = {name: number for name, number in ended.items() if cleaned.get(name, 0) < number}
        counted = dict(islice(left.items(), COUNTED_PROVIDERS))
        numbers = {
            name: Count.of(self._grants.count(name, number, at_most=COUNT_LIMIT + 1))
            for name, number in counted.items()
        }
        return {name: numbers.get(name, Count(0, more=name in left)) for name in ended}

    def find(self, grant_ids: Sequence[str]) -> list[Grant]:
        """The live grants among `grant_ids`, in that order; raises InvalidRequest for what is no grant id."""
        held = (self.holding(grant_id) for grant_id in dict.fromkeys(grant_ids))
        return [one.grant for one in held if one is not None and one.grant is not None and not one.is_put_back]

    def holding(self, grant_id: str) -> Holding | None:
        """A live grant, or one that was put back, with its provider and key. Raises InvalidRequest for no grant id."""
        wanted = GrantId.parse(grant_id)
        try:
            holding = self._grants.load(wanted.user_id, wanted.provider_id, wanted.slot)
        except NotFound:
            return None
        is_live = holding.grant is not None and holding.grant.token_set is not None
        return holding if is_live or holding.is_put_back else None

    def of_person(self, person: Person) -> list[Grant]:
        """The live grants of one person at all providers; all that are stored at one that cannot be read."""
        generations = {provider.id: provider.generation for provider in self.providers()}
        grants = [grant for grant in self._grants.of_user(person.id) if grant.token_set is not None]
        odd = {*self._providers.odd()} if any(grant.provider_id not in generations for grant in grants) else set()
        return [one for one in grants if generations.get(one.provider_id) == one.generation or one.provider_id in odd]

    def _found(self, provider: Provider, search: GrantSearch, limit: int, cursor: str | None) -> GrantPage:
        if search.user_id:
            return GrantPage(_matching(self._grants.of_user(search.user_id), provider, search), None)
        matches = (lambda grant: search.matches(grant.as_seen(provider))) if search.is_narrow else None
        return self._grants.page(
            provider.id,
            provider.generation,
            user_prefix=search.user_prefix,
            limit=limit,
            cursor=cursor,
            matches=matches,
        )


def _matching(grants: Iterable[Grant], provider: Provider, search: GrantSearch) -> list[Grant]:
    """Those of one person's live grants that are at this provider and match."""
    here = (g for g in grants if g.provider_id == provider.id and g.is_of(provider) and g.token_set is not None)
    return [grant for grant in here if search.matches(grant.as_seen(provider))]
