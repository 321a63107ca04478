"""What one person may authorize, and how each authorization stands."""

from dataclasses import dataclass, replace

from chalicelib.domain.accounts import UserGrants
from chalicelib.domain.grant import Grant, GrantState
from chalicelib.domain.provider import Provider
from chalicelib.domain.provider_type import ProviderType
from chalicelib.domain.user import User
from chalicelib.ports import Catalogue, Clock, GrantStore, ProviderHealthStore, ProviderStore


@dataclass(frozen=True, slots=True)
class Offer:
    """A provider as one person sees it; `grants` is what they hold there or what is left of it, the default first."""

    provider: Provider
    type: ProviderType
    grants: tuple[Grant, ...]
    misconfigured: frozenset[str] = frozenset()
    """Slots whose token has to be renewed by a cloud that refuses the vault's own client."""

    @property
    def is_held(self) -> bool:
        return any(grant.state is not GrantState.REMOVED for grant in self.grants)


class ProviderService:
    """Lists providers for people."""

    def __init__(
        self,
        providers: ProviderStore,
        grants: GrantStore,
        health: ProviderHealthStore,
        catalogue: Catalogue,
        clock: Clock,
    ) -> None:
        self._providers = providers
        self._grants = grants
        self._health = health
        self._catalogue = catalogue
        self._clock = clock

    def offers(self, user: User) -> list[Offer]:
        """Every provider that is enabled and for them, and those of which they still hold something.

        By name, but first those of which there is something to tell.
        """
        grants, now = self._grants.of_user(user.id), self._clock.now()
        offers = [
            Offer(provider, self._catalogue.stored(provider.type_id), _held(provider, grants, now))
            for provider in self._providers.all()
            if provider.enabled and not provider.is_deleted
        ]
        offers = self._with_health(offers, now)
        theirs = [offer for offer in offers if offer.provider.is_for(user.groups) or offer.is_held]
        return sorted(theirs, key=lambda offer: not offer.grants)

    def _with_health(self, offers: list[Offer], now: int) -> list[Offer]:
        """Asked only of clouds whose answer is needed, so that most pages cost no call for it."""
        waiting = {
            offer.provider.id: frozenset(grant.slot for grant in offer.grants if grant.waits_for_its_cloud(now))
            for offer in offers
        }
        asked = [provider_id for provider_id, slots in waiting.items() if slots]
        health = self._health.of_each(asked) if asked else {}
        return [
            replace(offer, misconfigured=waiting[one.id])
            if one.id in health and health[one.id].is_misconfigured(one.version)
            else offer
            for offer, one in ((offer, offer.provider) for offer in offers)
        ]


def _held(provider: Provider, grants: UserGrants, now: int) -> tuple[Grant, ...]:
    """What there is to be told: the store deletes tombstones days after their time is over (R85)."""
    return tuple(grant for grant in _of_provider(provider, grants) if not grant.is_forgotten(now))


def _of_provider(provider: Provider, grants: UserGrants) -> tuple[Grant, ...]:
    """The grants of the provider's generation, else the newest of those an administrator removed."""
    held = grants.at(provider.id, provider.generation)
    if held:
        return tuple(grant.as_seen(provider) for grant in held)
    earlier = [grant for grant in grants if grant.provider_id == provider.id]
    if not earlier:
        return ()
    newest = max(earlier, key=lambda grant: grant.generation)
    return (newest if newest.state is GrantState.REMOVED else newest.ended_with(provider),)
