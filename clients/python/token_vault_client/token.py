"""What the vault releases."""

import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

_OURS = frozenset(
    (
        *("access_token", "issued_token_type", "token_type", "expires_in", "expires_at"),
        *("scope", "missing_scopes", "account", "release_id"),
    )
)


@dataclass(frozen=True)
class Account:
    """The account at the cloud that the token is of: its lasting identifier, and what people call it."""

    subject: str
    label: str


@dataclass(frozen=True)
class AccessToken:
    """One access token of one person at one provider (RFC 8693 2.2.1). Its text shows no secret.

    `expires_at`: epoch seconds by the vault's clock. `missing_scopes`: what the provider is registered with and the
    person did not grant. `release_id`: the line in the vault's ledger. `extra`: what the cloud's API needs beside the
    token, such as `instance_url`.
    """

    value: str = field(repr=False)
    token_type: str
    expires_at: int
    scopes: tuple[str, ...]
    missing_scopes: tuple[str, ...]
    account: Account
    release_id: str
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)
    good_until: float = field(default=0.0, repr=False, compare=False)
    """When it expires by this computer's monotonic clock, which nobody sets."""

    @classmethod
    def from_answer(cls, answer: Mapping[str, Any]) -> "AccessToken":
        """Raises LookupError, TypeError or ValueError for what is no answer of a vault."""
        return cls(
            value=answer["access_token"],
            token_type=answer["token_type"],
            expires_at=int(answer["expires_at"]),
            scopes=tuple(answer["scope"].split()),
            missing_scopes=tuple(answer["missing_scopes"]),
            account=Account(answer["account"]["subject"], answer["account"]["label"]),
            release_id=answer["release_id"],
            extra={name: value for name, value in answer.items() if name not in _OURS},
            good_until=time.monotonic() + int(answer["expires_in"]),
        )

    @property
    def seconds_left(self) -> float:
        return self.good_until - time.monotonic()

    @property
    def header(self) -> dict[str, str]:
        """For a request to the cloud's API (RFC 6750 2.1)."""
        return {"Authorization": f"Bearer {self.value}"}

    @property
    def fingerprint(self) -> str:
        """SHA-256 in hexadecimal: names the token to the vault without showing it."""
        return sha256(self.value.encode()).hexdigest()

    def xoauth2(self, user: str) -> str:
        """The initial response for IMAP, POP and SMTP (SASL XOAUTH2), base64. `user`: the mailbox's address."""
        return b64encode(f"user={user}\1auth=Bearer {self.value}\1\1".encode()).decode()
