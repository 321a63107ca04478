"""The vault's three cookies: session, log-in form, flow."""

from collections.abc import Sequence
from dataclasses import dataclass

from chalicelib.domain.errors import InvalidRequest

_MAX_LENGTH = 128


@dataclass(frozen=True, slots=True)
class CookieNames:
    """`__Host-` keeps other hosts and paths from setting ours (R1). Plain http on localhost has no such prefix."""

    session: str
    login: str
    flow: str

    @classmethod
    def for_scheme(cls, *, secure: bool) -> "CookieNames":
        prefix = "__Host-" if secure else "vault-"
        return cls(session=f"{prefix}session", login=f"{prefix}login", flow=f"{prefix}flow")


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie to set; an empty value deletes it. Lives as long as the browser's session (no Max-Age)."""

    name: str
    value: str

    def header(self, *, secure: bool) -> str:
        """The `Set-Cookie` value (RFC 6265). Lax, not Strict: the cloud's redirect to our callback must bring it."""
        attributes = ["Path=/", "HttpOnly", "SameSite=Lax"]
        if secure:
            attributes.append("Secure")
        if not self.value:
            attributes.append("Max-Age=0")
        return "; ".join([f"{self.name}={self.value}", *attributes])


def read(headers: Sequence[str], names: CookieNames) -> dict[str, str]:
    """Our cookies from all `Cookie` headers. Raises InvalidRequest when one of them comes twice (R18)."""
    ours = {names.session, names.login, names.flow}
    found: dict[str, str] = {}
    for pair in ";".join(headers).split(";"):
        name, _, value = pair.strip().partition("=")
        if name not in ours:
            continue
        if name in found:
            raise InvalidRequest
        found[name] = value
    return {name: value for name, value in found.items() if len(value) <= _MAX_LENGTH}
