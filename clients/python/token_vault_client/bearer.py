"""For `requests`: each call to a cloud carries a fresh token, and one that is refused is renewed once."""

from typing import Any

import requests

from .client import VaultClient
from .token import AccessToken


class VaultAuth(requests.auth.AuthBase):
    """`requests.get(url, auth=VaultAuth(vault, "northwind", "CONTOSO\\\\alice", reason="Filing"))`.

    Further arguments are those of `VaultClient.get_token`. A 401 is answered by one new try with a renewed token; a
    body that was a stream cannot be sent again, so that its 401 is given back as it is.
    """

    def __init__(self, vault: VaultClient, provider: str, user: str, **wanted: Any) -> None:
        self._vault = vault
        self._provider = provider
        self._user = user
        self._wanted = wanted

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        token = self._token()
        request.headers.update(token.header)

        def try_again(answer: requests.Response, **arguments: Any) -> requests.Response:
            return self._renewed(answer, token, arguments)

        request.hooks["response"].append(try_again)
        return request

    def _token(self, rejected: AccessToken | None = None) -> AccessToken:
        return self._vault.get_token(self._provider, self._user, rejected=rejected, **self._wanted)

    def _renewed(self, answer: requests.Response, token: AccessToken, arguments: dict[str, Any]) -> requests.Response:
        # After a redirect to elsewhere `requests` has taken the token away, and so it stays
        sent = answer.request.headers.get("Authorization")
        is_repeatable = answer.request.body is None or isinstance(answer.request.body, (bytes, str))
        if (
            answer.status_code != requests.codes.unauthorized
            or sent != token.header["Authorization"]
            or not is_repeatable
        ):
            return answer
        answer.content  # noqa: B018 - read to its end, so that the connection can be used again
        answer.close()
        again = answer.request.copy()
        again.headers.update(self._token(rejected=token).header)
        second: requests.Response = answer.connection.send(again, **arguments)
        second.history.append(answer)
        second.request = again
        return second
