"""What a test of a provider found, step by step."""

from collections.abc import Mapping
from enum import StrEnum


class CloudStep(StrEnum):
    """The steps of a test, in their order."""

    ADDRESSES = "addresses"
    DISCOVERY = "discovery"
    PKCE = "pkce"
    SCOPES = "scopes"
    AUTHORIZATION = "authorization"
    CLOCK = "clock"
    CLIENT = "client"
    REVOCATION = "revocation"


CLOUD_ADVICE: Mapping[str, str] = {
    "address_refused": "The vault talks to https and public addresses only. Check the fields of this provider.",
    "name_not_resolved": "DNS does not know this host. Check the fields, and the DNS of the vault's network.",
    "unreachable": "Nothing answered in time. Check the address, and the way from the vault's network to the cloud.",
    "discovery_wrong": "The discovery document is not one, or names another issuer. Check it, letter for letter.",
    "discovery_changed": "The cloud has moved since this was registered. Edit the provider and save it to follow.",
    "no_s256": "The cloud does not offer PKCE with S256. Ask whoever runs it; without it a stolen code is worth more.",
    "scopes_not_offered": "The cloud does not list these scopes, and may refuse to ask people for them.",
    "authorization_refused": "The log-in page refuses the request. Register the redirect URI at the cloud, letter for "
    "letter, and check the client ID.",
    "clock_off": "The clocks of the vault and of the cloud differ. Tokens need the right time.",
    "client_refused": "The cloud refuses the client. Check client ID and secret, and whether the secret has ended.",
    "client_or_token": "The cloud refuses a made-up token by a word that may be about the client. Check at the cloud "
    "that the client may refresh tokens and has these scopes; a test consent shows the rest.",
    "not_a_token_endpoint": "What answers there is no token endpoint. Check the fields of this provider.",
    "took_anything": "The cloud gave a token for a made-up one. It cannot be trusted.",
    "revocation_refused": "The cloud does not revoke as expected. Tokens may live on there.",
}
"""What each code means to an administrator."""
