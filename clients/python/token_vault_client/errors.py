"""Why there is no token. Each class is one thing to do; `reason` is the vault's own word and keeps its meaning."""

from collections.abc import Mapping
from typing import Any


class VaultError(Exception):
    """The vault refused, or could not be asked. Its text is a sentence without secrets.

    `reason`: see the vault's "Refusals". `request_id`: to name when asking its administrators, or empty.
    `retry_after`: seconds after which the same request may succeed, or None when it will not by itself.
    """

    def __init__(
        self, sentence: str, *, reason: str = "", request_id: str = "", retry_after: int | None = None
    ) -> None:
        self.reason = reason
        self.request_id = request_id
        self.retry_after = retry_after
        super().__init__(f"{sentence} (request {request_id})" if request_id else sentence)


class VaultUnreachable(VaultError):
    """No answer, or one that no vault gives. Ask again later."""


class CannotProveItself(VaultError):
    """The vault does not accept who this application says it is: check its id, key, and this computer's clock."""


class InvalidRequest(VaultError):
    """The vault does not understand the request, or does not know the person's name in it."""


class AmbiguousPerson(VaultError):
    """Several people are called so: name the person by the directory's id."""


class NotAllowed(VaultError):
    """No rule lets this application fetch that: ask an administrator. It is the same for people who do not exist."""


class Blocked(VaultError):
    """The application, the person or the provider is stopped."""


class _PersonMustAct(VaultError):
    """`connect_url`: a plain link to send to the person; it grants nothing by itself."""

    def __init__(self, sentence: str, *, connect_url: str = "", **known: Any) -> None:
        self.connect_url = connect_url
        super().__init__(sentence, **known)


class NotConnected(_PersonMustAct):
    """The person has not authorized this provider: send them to `connect_url`."""


class NeedsReauthorization(_PersonMustAct):
    """The cloud no longer honours the authorization: send the person to `connect_url`."""


class MissingScopes(_PersonMustAct):
    """The person did not grant `scopes`: send them to `connect_url`."""

    def __init__(self, sentence: str, *, scopes: tuple[str, ...] = (), **known: Any) -> None:
        self.scopes = scopes
        super().__init__(sentence, **known)


class LifeTooShort(VaultError):
    """The cloud's tokens do not live for as many `minimum_seconds`."""


class ProviderUnavailable(VaultError):
    """The cloud, or what the vault needs, does not answer now: again after `retry_after` seconds."""


_CLASSES: Mapping[str, type[VaultError]] = {
    "invalid_request": InvalidRequest,
    "unsupported_grant_type": InvalidRequest,
    "invalid_client": CannotProveItself,
    "replayed": CannotProveItself,
    "invalid_subject": InvalidRequest,
    "ambiguous_subject": AmbiguousPerson,
    "app_not_allowed": NotAllowed,
    "blocked": Blocked,
    "not_connected": NotConnected,
    "needs_reauthorization": NeedsReauthorization,
    "missing_scopes": MissingScopes,
    "life_too_short": LifeTooShort,
    "provider_unavailable": ProviderUnavailable,
    "provider_misconfigured": ProviderUnavailable,
    "vault_unavailable": ProviderUnavailable,
}
REASONS = frozenset(_CLASSES)


def of_answer(answer: Mapping[str, Any]) -> VaultError:
    """The refusal as an error. A reason from a newer vault becomes a plain VaultError."""
    reason = str(answer.get("reason", ""))
    kind = _CLASSES.get(reason, VaultError)
    known: dict[str, Any] = {"reason": reason, "request_id": str(answer.get("request_id", ""))}
    if isinstance(answer.get("retry_after"), int):
        known["retry_after"] = answer["retry_after"]
    if issubclass(kind, _PersonMustAct):
        known["connect_url"] = str(answer.get("connect_url", ""))
    if kind is MissingScopes:
        known["scopes"] = tuple(answer.get("missing_scopes", ()))
    return kind(str(answer.get("error_description") or answer.get("error") or "The vault refused."), **known)
