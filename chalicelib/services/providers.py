"""What one person may authorize, and how each authorization stands."""

from dataclasses import dataclass

from chalicelib.domain.grant import Grant, GrantState
from chalicelib.domain.provider import Provider
from chalicelib.domain.provider_type import ProviderType
from chalicelib.domain.user import User
from chalicelib.ports import Catalogue, GrantStore, ProviderStore


@dataclass(frozen=True, slots=True)
class Offer:
    """A provider as one person sees it; `grant` is what they hold there, or what is left of it."""

    provider: Provider
    type: ProviderType
    grant: Grant | None

    @property
    def is_held(self) -> bool:
        return self.grant is not None and self.grant.state is not GrantState.REMOVED


class ProviderService:
    """Lists providers for people."""

    def __init__(self, providers: ProviderStore, grants: GrantStore, catalogue: Catalogue) -> None:
        self._providers = providers
        self._grants = grants
        self._catalogue = catalogue

    def offers(self, user: User) -> list[Offer]:
        """Every provider that is enabled and for them, by name; and those of which they still hold something."""
        grants = self._grants.of_user(user.id)
        offers = [
            Offer(provider, self._catalogue.get(provider.type_id), _held(provider, grants))
            for provider in self._providers.all()
            if provider.enabled and not provider.is_deleted
        ]
        return [offer for offer in offers if offer.provider.is_for(user.groups) or offer.is_held]


def _held(provider: Provider, grants: list[Grant]) -> Grant | None:
    """The grant of the provider's generation, else the newest of those an administrator removed."""
    mine = [grant for grant in grants if grant.provider_id == provider.id]
    if not mine:
        return None
    newest = max(mine, key=lambda grant: grant.generation)
    if newest.state is GrantState.REMOVED:
        return newest
    if newest.is_of(provider):
        return newest.as_seen(provider)
    return newest.removed(provider.removed_at or newest.authorized_at)
