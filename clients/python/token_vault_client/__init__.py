"""Fetch people's access tokens from a Token Vault.

>>> from token_vault_client import SigningKey, VaultClient
>>> vault = VaultClient("https://vault.example", SigningKey.from_file("scanner", "scanner.pem"))
>>> token = vault.get_token("northwind", "CONTOSO\\\\alice", reason="Filing scan 4711")
>>> token.header
{'Authorization': 'Bearer ...'}
"""

from .bearer import VaultAuth
from .client import VaultClient
from .credentials import IamRole, SigningKey
from .errors import (
    AmbiguousPerson,
    Blocked,
    CannotProveItself,
    InvalidRequest,
    LifeTooShort,
    MissingScopes,
    NeedsReauthorization,
    NotAllowed,
    NotConnected,
    ProviderUnavailable,
    VaultError,
    VaultUnreachable,
)
from .token import AccessToken, Account

__all__ = [
    "VaultClient",
    "SigningKey",
    "IamRole",
    "AccessToken",
    "Account",
    "VaultAuth",
    "VaultError",
    "VaultUnreachable",
    "CannotProveItself",
    "InvalidRequest",
    "AmbiguousPerson",
    "NotAllowed",
    "Blocked",
    "NotConnected",
    "NeedsReauthorization",
    "MissingScopes",
    "LifeTooShort",
    "ProviderUnavailable",
]
