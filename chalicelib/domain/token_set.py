"""What a cloud's token endpoint gave."""

import json
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Self

from .secret import Secret

LONGEST_SUBJECT = 255
"""OpenID Connect Core 2."""


@dataclass(frozen=True, slots=True)
class CloudAccount:
    """The account at the cloud that consented. `subject` never changes, `label` is for people."""

    subject: str
    label: str

    @classmethod
    def named(cls, subject: str, label: str) -> Self:
        """As a cloud names it, in a form that can be stored and compared whatever the cloud sent.

        A subject is only ever compared. So one that is too long, or has what no text may have (controls, halves of
        surrogate pairs), is kept by its SHA-256 instead of keeping the person out.
        """
        if not (len(subject) <= LONGEST_SUBJECT and subject.isprintable()):
            subject = f"sha256:{sha256(subject.encode(errors='surrogatepass')).hexdigest()}"
        return cls(subject, label or subject)


@dataclass(frozen=True, slots=True)
class TokenSet:
    """Tokens and what they are good for. `expires_at` is of the access token, epoch seconds by our clock."""

    access_token: Secret
    refresh_token: Secret | None
    expires_at: int
    scopes: tuple[str, ...]
    token_type: str = "Bearer"  # noqa: S105 - a scheme (RFC 6750), not a password
    extra: dict[str, str] = field(default_factory=dict)
    """Fields that calls to the cloud's API need, for example `instance_url`."""

    def to_bytes(self) -> bytes:
        """The plain serialization, to be encrypted at once."""
        refresh_token = self.refresh_token.reveal() if self.refresh_token else None
        return json.dumps(
            {
                "access_token": self.access_token.reveal(),
                "refresh_token": refresh_token,
                "expires_at": self.expires_at,
                "scopes": self.scopes,
                "token_type": self.token_type,
                "extra": self.extra,
            }
        ).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """The inverse of `to_bytes`."""
        values = json.loads(data)
        refresh_token = values["refresh_token"]
        return cls(
            access_token=Secret(values["access_token"]),
            refresh_token=Secret(refresh_token) if refresh_token else None,
            expires_at=values["expires_at"],
            scopes=tuple(values["scopes"]),
            token_type=values["token_type"],
            extra=values["extra"],
        )

    def revocable(self) -> Secret:
        """The token whose revocation ends the whole authorization (RFC 7009 2.1)."""
        return self.refresh_token or self.access_token
