"""Answers that the gateway gives by itself: our page for people, our JSON for programs, and our headers.

It tells the two apart by `Accept`. `$context.requestId` is filled in by the gateway for each request.
"""

import json
import re
from typing import Any

from chalicelib.domain.errors import NotFound, TooLarge, UnsupportedContentType, VaultError
from chalicelib.web import headers
from chalicelib.web.pages import ErrorView
from chalicelib.web.render import Renderer

from .functions import STAGE

_ADDRESS = "--public-url--"
_REFERENCE = "$context.requestId"
_SCRIPT = re.compile(r"\s*<script[^>]*></script>")
_BUSY = "There are too many requests at the moment. Please try again in a minute."
_SLOW = "Token Vault does not answer at the moment. Please try again in a minute."
_UNSIGNED = "This address is for programs that sign their requests as an IAM role, and this request is not."
_NOT_ALLOWED = "The role that signed this request may not call this address. It needs execute-api:Invoke on it."
_NOT_ITS_OWN = "The signature is not of this request. The region, the clock or the secret key may be wrong."
_EXPIRED = "The credentials that signed this request have expired."
_REFUSED = "This request was refused."
SIGNED = "POST/oauth2/*/iam"
"""Method and paths that callers sign for, as policies name them."""

REFUSALS: dict[str, tuple[int, str, str, str]] = {
    # An address without a route, which the gateway takes for a missing signature
    "MISSING_AUTHENTICATION_TOKEN": (404, NotFound.code, NotFound.message, "invalid_request"),
    "RESOURCE_NOT_FOUND": (404, NotFound.code, NotFound.message, "invalid_request"),
    "ACCESS_DENIED": (403, "access_denied", _NOT_ALLOWED, "invalid_client"),
    "UNAUTHORIZED": (401, "unauthorized", _UNSIGNED, "invalid_client"),
    "INVALID_SIGNATURE": (403, "invalid_signature", _NOT_ITS_OWN, "invalid_client"),
    "EXPIRED_TOKEN": (403, "expired_token", _EXPIRED, "invalid_client"),
    "WAF_FILTERED": (403, "filtered", _REFUSED, "invalid_request"),
    "REQUEST_TOO_LARGE": (413, TooLarge.code, TooLarge.message, "invalid_request"),
    "UNSUPPORTED_MEDIA_TYPE": (415, UnsupportedContentType.code, UnsupportedContentType.message, "invalid_request"),
    "THROTTLED": (429, "throttled", _BUSY, "temporarily_unavailable"),
    "QUOTA_EXCEEDED": (429, "throttled", _BUSY, "temporarily_unavailable"),
    "INTEGRATION_FAILURE": (503, "unavailable", _SLOW, "temporarily_unavailable"),
    "INTEGRATION_TIMEOUT": (504, "timeout", _SLOW, "temporarily_unavailable"),
}
"""Status, code, sentence and OAuth error of each kind of refusal. What is not here keeps the gateway's status."""
_OTHERS = {
    "DEFAULT_4XX": (400, "refused", _REFUSED, "invalid_request"),
    "DEFAULT_5XX": (500, VaultError.code, VaultError.message, "server_error"),
}


def responses() -> dict[str, Any]:
    """The value of `x-amazon-apigateway-gateway-responses`."""
    known = {kind: _response(*refusal) | {"statusCode": str(refusal[0])} for kind, refusal in REFUSALS.items()}
    return known | {kind: _response(*refusal) for kind, refusal in _OTHERS.items()}


def caller_policy() -> dict[str, Any]:
    """The value of `x-amazon-apigateway-policy`: roles of other accounts may sign, where the parameter names any.

    A role of another account needs this and a policy of its own; one of this account its own alone. With a policy the
    gateway refuses what none of its statements allows, so all other addresses are in it.
    """
    signed = f"execute-api:/{STAGE}/{SIGNED}"
    everybody = {"Effect": "Allow", "Principal": "*", "Action": "execute-api:Invoke", "NotResource": signed}
    accounts = {"AWS": {"Ref": "CallerAccounts"}}
    own = {"AWS": {"Ref": "AWS::AccountId"}}
    callers = [
        {"Effect": "Allow", "Principal": who, "Action": "execute-api:Invoke", "Resource": signed}
        for who in (own, accounts)
    ]
    policy = {"Version": "2012-10-17", "Statement": [everybody, *callers]}
    return {"Fn::If": ["HasCallerAccounts", policy, {"Ref": "AWS::NoValue"}]}


def _response(status: int, code: str, sentence: str, oauth_error: str) -> dict[str, Any]:
    return {
        "responseParameters": {f"gatewayresponse.header.{name}": _value(text) for name, text in _headers().items()},
        "responseTemplates": {
            "text/html": {"Fn::Sub": _page(status, code, sentence)},
            "application/json": _json(code, sentence, oauth_error),
        },
    }


def _headers() -> dict[str, str]:
    """Ours, with the policy in other words: the gateway takes quotes for the ends of a value.

    An empty list of sources is `'none'` (CSP3 2.3.1), and our own address in full is `'self'`.
    """
    sent = headers.security_headers()
    policy = sent["Content-Security-Policy"].replace(" 'none'", "").replace("'self'", "${PublicUrl}/")
    return sent | {"Content-Security-Policy": policy}


def _value(text: str) -> Any:
    return {"Fn::Sub": f"'{text}'"} if "${" in text else f"'{text}'"


def _page(status: int, code: str, sentence: str) -> str:
    """For Fn::Sub. Without the script, which needs a nonce of its own each time."""
    view = ErrorView(status=status, message=sentence, code=code, request_id=_REFERENCE)
    page = Renderer(_ADDRESS).page("error.html", error=view, viewer=None, nonce="")
    return _SCRIPT.sub("", page).replace("${", "${!").replace(_ADDRESS, "${PublicUrl}")


def _json(code: str, sentence: str, oauth_error: str) -> str:
    said = {"error": oauth_error, "error_description": sentence, "reason": code, "request_id": _REFERENCE}
    return json.dumps(said)
