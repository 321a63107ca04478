"""Asks the vault's token endpoint (RFC 8693) and keeps what it got for as long as it is good."""

import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import requests

from . import errors
from .credentials import Credentials
from .errors import ProviderUnavailable, VaultError, VaultUnreachable
from .token import AccessToken

_EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
_METADATA = "/.well-known/oauth-authorization-server"
_LARGEST_ANSWER = 1_000_000
_Key = tuple[str, str, str, frozenset[str]]


class VaultClient:
    """A vault at `url`, asked by one application. Threads may share it.

    A token is kept in this process until it has less than the asked life left, so that a loop over a mailbox asks the
    vault once; with `keep=False` the vault is asked each time, and a stop there counts on the next call.
    `wait_seconds`: so long `get_token` may wait, in all, where the vault says that it works again soon.
    `timeout`: seconds for connecting and for the answer. `session` is for proxies and certificates of your own.
    """

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        keep: bool = True,
        wait_seconds: float = 0,
        timeout: tuple[float, float] = (5, 35),
        session: requests.Session | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self._credentials = credentials
        self._keep = keep
        self._wait_seconds = wait_seconds
        self._timeout = timeout
        self._session = session or requests.Session()
        self._issuer = ""
        self._kept: dict[_Key, AccessToken] = {}
        self._busy: dict[_Key, threading.Lock] = {}
        self._lock = threading.Lock()

    def get_token(
        self,
        provider: str,
        user: str,
        *,
        reason: str,
        scopes: Iterable[str] = (),
        minimum_seconds: int = 60,
        account: str = "",
        rejected: AccessToken | None = None,
    ) -> AccessToken:
        """The access token of `user` (`DOMAIN\\\\user`, e-mail address or directory id) at `provider` (its id).

        `reason` says why, for the vault's ledger, where the person reads it. `scopes` must be among those granted.
        `minimum_seconds`: life it must have left. `account`: which cloud account, where there are several.
        `rejected`: a token that the cloud has just refused; the vault refreshes it once if it is still the current one.

        Raises VaultError; its classes are what to do.
        """
        key = (provider, user, account, frozenset(scopes))
        with self._alone(key):
            kept = self._kept.get(key)
            if kept and kept.seconds_left > minimum_seconds and (rejected is None or kept.value != rejected.value):
                return kept
            wanted = {"minimum_seconds": str(minimum_seconds), "account": account, "scope": " ".join(sorted(key[3]))}
            wanted["rejected_token_hash"] = rejected.fingerprint if rejected else ""
            token = self._patiently(provider, user, reason, wanted)
            if self._keep:
                self._kept[key] = token
            return token

    def who_am_i(self) -> dict[str, Any]:
        """What the vault knows of this application: its keys and rules. Raises VaultError."""
        issuer = self._issuer = self._issuer or self._discover()
        return self._send("POST", self._credentials.who_path, self._credentials.parameters(issuer))

    def forget(self) -> None:
        """Keep no token any longer."""
        self._kept.clear()

    @contextmanager
    def _alone(self, key: _Key) -> Iterator[None]:
        """One thread asks for a token, the others wait for what it got."""
        with self._lock:
            mine = self._busy.setdefault(key, threading.Lock())
        with mine:
            yield

    def _patiently(self, provider: str, user: str, reason: str, wanted: Mapping[str, str]) -> AccessToken:
        end = time.monotonic() + self._wait_seconds
        while True:
            try:
                return self._exchange(provider, user, reason, wanted)
            except (ProviderUnavailable, VaultUnreachable) as error:
                pause = max(error.retry_after or 0, 1)
                if time.monotonic() + pause > end:
                    raise
                time.sleep(pause)

    def _exchange(self, provider: str, user: str, reason: str, wanted: Mapping[str, str]) -> AccessToken:
        issuer = self._issuer = self._issuer or self._discover()
        form = {
            "grant_type": _EXCHANGE,
            "audience": provider,
            **self._credentials.parameters(issuer),
            **self._credentials.subject(user, reason, issuer),
            **{name: value for name, value in wanted.items() if value},
        }
        answer = self._send("POST", self._credentials.path, form)
        try:
            return AccessToken.from_answer(answer)
        except (LookupError, TypeError, ValueError):
            raise VaultUnreachable(f"{self.url} answered with something that is no token.") from None

    def _discover(self) -> str:
        """What the vault calls itself (RFC 8414), which is what assertions are made for."""
        issuer = self._send("GET", _METADATA).get("issuer")
        if not isinstance(issuer, str) or issuer.rstrip("/") != self.url:
            raise VaultUnreachable(f"{self.url} says that its address is {issuer!r}: use the address that it says.")
        return issuer

    def _send(self, method: str, path: str, form: Mapping[str, str] | None = None) -> dict[str, Any]:
        request = self._session.prepare_request(requests.Request(method, self.url + path, data=form))
        self._credentials.sign(request)
        try:
            # A redirect would carry what proves the application to another address
            answer = self._session.send(request, timeout=self._timeout, allow_redirects=False)
        except requests.RequestException as error:
            raise VaultUnreachable(f"{self.url} does not answer ({type(error).__name__}).") from None
        body = _json_object(answer)
        if answer.status_code == requests.codes.ok and body is not None:
            return body
        if body is not None and "error" in body:
            raise errors.of_answer(body)
        raise VaultUnreachable(f"{self.url} answered {answer.status_code} and not as a vault does.")


def _json_object(answer: requests.Response) -> dict[str, Any] | None:
    if len(answer.content) > _LARGEST_ANSWER:
        return None
    try:
        body = answer.json()
    except ValueError:
        return None
    return body if isinstance(body, dict) else None


__all__ = ["VaultClient", "VaultError"]
