"""What canaille 0.3.6 gets wrong on the way of an authorization, put right before its application is made.

Each fix replaces one function of canaille's modules; the pages and the protocol stay its own. The browser tests of
the embedded cloud tell whether a newer canaille still needs, or still allows, each of them.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from canaille.oidc import provider, utils
from canaille.oidc.endpoints import oauth
from flask import request
from werkzeug.datastructures import CombinedMultiDict, MultiDict
from werkzeug.security import gen_salt

_TOKEN_LENGTH = 48


def apply() -> None:
    """Replace what is wrong. Once a process, before `create_app`."""
    provider.generate_access_token = _opaque_access_token
    oauth.save_authorization_request_datetime = _save_time
    oauth.get_authorization_request_datetime = _time
    oauth.check_prompt_value = _seeing(("none", "create", "login", "select_account"), oauth.check_prompt_value)
    oauth.authorize_login = _seeing(("none", "create", "login", "select_account"), oauth.authorize_login)
    oauth.is_consent_needed = _seeing(("none", "consent"), oauth.is_consent_needed)
    # The consent page would show the bare word
    utils.SCOPE_DETAILS["offline_access"] = ("clock outline", "Your data while you are away.")


def _opaque_access_token(**_: object) -> str:
    """Random: canaille's own are JWTs without `jti`, so two made in one second are equal and the second is an error."""
    return str(gen_salt(_TOKEN_LENGTH))


def _request_key() -> str:
    """The same for all steps of one authorization request.

    Canaille takes the address, which changes when the consent form is sent; with `prompt=select_account` the request
    then counts as a new one, and the person is asked for the account for ever.
    """
    return repr([request.values.get(name) for name in ("client_id", "state", "nonce")])


_cached_save, _cached_time = oauth.save_authorization_request_datetime, oauth.get_authorization_request_datetime


def _save_time(_url: str, now: datetime) -> None:
    _cached_save(_request_key(), now)


def _time(_url: str) -> datetime | None:
    found: datetime | None = _cached_time(_request_key())
    return found


def _seeing(prompts: tuple[str, ...], function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, shown only the first of `prompts` that the request asks for.

    `prompt` is a list separated by spaces (OpenID Connect Core 3.1.2.1); canaille compares it as one word and so
    refuses `select_account consent`.
    """

    def wrapper(*arguments: Any) -> Any:
        whole = request.values
        asked = whole.get("prompt", "").split()
        if len(asked) < 2:
            return function(*arguments)
        shown = next((prompt for prompt in prompts if prompt in asked), "")
        request.values = CombinedMultiDict([MultiDict({"prompt": shown}), whole])
        try:
            return function(*arguments)
        finally:
            request.values = whole

    return wrapper
