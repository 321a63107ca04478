"""The clouds as the services see them, without any network."""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import count
from typing import Any
from urllib.parse import urlencode

from chalicelib.domain.authorization_request import AuthorizationRequest
from chalicelib.domain.authorization_server import AuthorizationServer
from chalicelib.domain.errors import CloudError, CloudRefused, CloudUnavailable
from chalicelib.domain.provider_type import ProviderType
from chalicelib.domain.secret import Secret, fingerprint
from chalicelib.domain.token_set import CloudAccount, TokenSet
from chalicelib.ports import Client, Clock


class FakeOAuthClient:
    """Implements `ports.OAuthClient`. A test plays the person with `consent` and trouble with `fail_next`."""

    def __init__(self, clock: Clock) -> None:
        self.servers: dict[str, AuthorizationServer] = {}
        """What `discover` finds, by issuer."""
        self.revoked: list[str] = []
        """Tokens in the order their revocation was confirmed."""
        self.exchanges = 0
        self.refreshes = 0
        self.lifetime = 3600
        self.current_refresh_token = ""
        """The only one that `refresh` takes; empty: the first one that comes."""
        self.next_answer: dict[str, Any] = {}
        """Fields to change in the next refresh's answer."""
        self.answer_lost = False
        """The next refresh happens, and its answer never arrives."""
        self.meanwhile: Callable[[], None] = lambda: None
        """Happens between the cloud's answer and whatever is done with it."""
        self.account_unknown: CloudError | None = None
        """What keeps the next exchange from learning whose tokens the cloud has given."""
        self._clock = clock
        self._failures: deque[CloudError] = deque()
        self._trips: dict[str, str] = {}
        self._codes: dict[str, tuple[str, TokenSet, CloudAccount]] = {}
        self._numbers = count(1)

    def fail_next(self, *errors: CloudError) -> None:
        """Each of the next calls that would reach a cloud raises one of these."""
        self._failures.extend(errors)

    def consent(self, url: str, account: CloudAccount, **token_set: Any) -> str:
        """The person allows everything at `url`. Gives the code; `token_set` changes fields of what it brings."""
        number = next(self._numbers)
        tokens = TokenSet(Secret(f"access-{number}"), Secret(f"refresh-{number}"), self._clock.now() + 3600, ())
        self._codes[f"code-{number}"] = (self._trips[url], replace(tokens, **token_set), account)
        return f"code-{number}"

    def authorization_url(
        self, request: AuthorizationRequest, provider_type: ProviderType, *, state: str, code_verifier: str, again: bool
    ) -> str:
        extra = provider_type.reauthorize_parameters if again else provider_type.authorize_parameters
        query = extra | {"state": state, "redirect_uri": request.redirect_uri, "client_id": request.client_id}
        url = f"{request.server.authorization_endpoint}?{urlencode(query)}"
        self._trips[url] = fingerprint(code_verifier)
        return url

    def exchange_code(
        self,
        client: Client,
        provider_type: ProviderType,
        request: AuthorizationRequest,
        *,
        code: str,
        code_verifier: Secret,
        brought: Mapping[str, str] | None = None,
    ) -> tuple[TokenSet, CloudAccount]:
        self.exchanges += 1
        self._fail()
        trip, tokens, account = self._codes.pop(code, ("", None, None))
        if tokens is None or account is None or trip != fingerprint(code_verifier.reveal()):
            raise CloudRefused("invalid_grant")
        if (error := self.account_unknown) is not None:
            self.account_unknown, error.received = None, tokens
            raise error
        return replace(
            tokens, scopes=tokens.scopes or request.scopes, extra={**(brought or {}), **tokens.extra}
        ), account

    def refresh(self, client: Client, provider_type: ProviderType, tokens: TokenSet) -> TokenSet:
        """Rotates: each refresh token works once, and an old one that comes back ends the family (RFC 9700 4.14.2)."""
        self.refreshes += 1
        self._fail()
        sent = tokens.refresh_token.reveal() if tokens.refresh_token else ""
        if self.current_refresh_token not in ("", sent):
            self.current_refresh_token = "ended"
            raise CloudRefused("invalid_grant")
        number = next(self._numbers)
        self.current_refresh_token = f"refresh-{number}"
        fresh = TokenSet(
            Secret(f"access-{number}"),
            Secret(self.current_refresh_token),
            self._clock.now() + self.lifetime,
            tokens.scopes,
        )
        fresh = replace(fresh, **self.next_answer)
        self.next_answer = {}
        if self.answer_lost:
            self.answer_lost = False
            raise CloudUnavailable(detail="ReadTimeout", answer_lost=True)
        self.meanwhile()
        return fresh

    def revoke(self, client: Client, provider_type: ProviderType, tokens: TokenSet) -> None:
        self._fail()
        self.revoked.append(tokens.revocable().reveal())

    def discover(self, issuer: str) -> AuthorizationServer:
        self._fail()
        if issuer not in self.servers:
            raise CloudUnavailable(detail="nobody there")
        return self.servers[issuer]

    def clock_ahead(self, issuer: str) -> int | None:
        self._fail()
        return 0

    def endpoint_faults(self, server: AuthorizationServer) -> dict[str, str]:
        bad = (name for name, url in server.endpoints().items() if not url.startswith(("https://", "http://")))
        return dict.fromkeys(bad, "This is no address of an endpoint.")

    def _fail(self) -> None:
        if self._failures:
            raise self._failures.popleft()
