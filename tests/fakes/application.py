"""A client application as its author would write it, with its own keys and JWTs and no code of the vault's."""

import secrets
from collections.abc import Callable
from typing import Any

from joserfc import jwt
from joserfc.jwk import ECKey, Key

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
ASSERTION = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
JWT = "urn:ietf:params:oauth:token-type:jwt"


class Application:
    """Signs for `client_id` and makes requests for the vault at `issuer`."""

    def __init__(self, client_id: str, issuer: str, now: Callable[[], float], key: Key | None = None) -> None:
        self.client_id = client_id
        self.issuer = issuer
        self.now = now
        self.key = key or ECKey.generate_key("P-256", {"kid": "k1"})

    def jwks(self) -> dict[str, Any]:
        return {"keys": [self.key.as_dict(private=False)]}

    def signed(self, claims: dict[str, Any], **header: Any) -> str:
        """A JWT that lives half a minute; `...` takes a claim away."""
        now = int(self.now())
        every = {"iss": self.client_id, "aud": self.issuer, "iat": now, "exp": now + 30} | claims
        kept = {name: value for name, value in every.items() if value is not ...}
        algorithm = "RS256" if self.key.key_type == "RSA" else "ES256"
        return jwt.encode({"alg": algorithm, "kid": self.key.kid, **header}, kept, self.key)

    def assertion(self, **claims: Any) -> str:
        return self.signed({"sub": self.client_id, "jti": secrets.token_urlsafe(16)} | claims)

    def subject(self, name: str, **claims: Any) -> str:
        return self.signed({"sub": name, "reason": "nightly filing"} | claims)

    def form(self, name: str, provider_id: str, **more: str) -> dict[str, str]:
        """The parameters of one request."""
        return {
            "grant_type": EXCHANGE,
            "client_assertion_type": ASSERTION,
            "client_assertion": self.assertion(),
            "subject_token_type": JWT,
            "subject_token": self.subject(name),
            "audience": provider_id,
        } | more
