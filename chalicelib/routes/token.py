"""The token endpoint of applications, and the document that describes it (RFC 8693, RFC 8414)."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from chalice.app import Blueprint

from chalicelib.domain import assertions
from chalicelib.domain.access import Access
from chalicelib.domain.audit import Origin
from chalicelib.domain.client_application import ClientApplication
from chalicelib.domain.errors import VaultError
from chalicelib.domain.secret import Secret
from chalicelib.domain.token_exchange import (
    Caller,
    Detail,
    Mistake,
    Need,
    RefusalReason,
    Release,
    TokenRefused,
    TokenRequest,
)
from chalicelib.services.token_exchange import TokenExchangeService
from chalicelib.web import oauth
from chalicelib.web.answers import Answer, Json
from chalicelib.web.endpoint import Endpoints
from chalicelib.web.forms import Fields
from chalicelib.web.request import Request
from chalicelib.web.route import Route
from chalicelib.web.urls import Urls

GRANT_TYPE = "urn:ietf:params:oauth:grant-type:token-exchange"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - a type, not a token
JWT_TYPES = ("urn:ietf:params:oauth:token-type:jwt", "urn:ietf:params:oauth:token-type:id_token")
NAME_TYPE = "urn:token-vault:subject:name"
"""A person's plain name as the subject: for IAM callers, whose requests are signed as a whole."""

_COMMON = (
    "grant_type", "client_id", "subject_token", "subject_token_type", "requested_token_type", "resource", "audience",
    "scope", "minimum_seconds", "account", "rejected_token_hash", "actor_token", "actor_token_type",
)  # fmt: skip
_SIGNED = (*_COMMON, "client_assertion", "client_assertion_type", "client_secret")
_IAM = (*_COMMON, "reason")
_PROOF = ("client_id", "client_assertion", "client_assertion_type")

_OPENAPI = Path(__file__).parent.parent / "data" / "openapi.json"

_SECONDS = re.compile(r"[0-9]{1,5}")
_HASH = re.compile(r"[0-9a-f]{64}")
_SCOPES = re.compile(r"[!#-\[\]-~]+( [!#-\[\]-~]+)*")
_MAX_ACCOUNT = 320


def blueprint(endpoints: Endpoints, exchange: TokenExchangeService, urls: Urls) -> Blueprint:
    routes = Blueprint(__name__)

    def answer(request: Request, caller_arn: str | None) -> Answer:
        provider_id = ""
        try:
            asked = _read(request.form, urls, caller_arn)
        except TokenRefused as refusal:
            return oauth.refusal(exchange.note(request.origin, refusal), request.origin.request_id, "")
        try:
            provider_id = asked.provider_id
            release = exchange.exchange(asked, request.origin)
        except TokenRefused as refusal:
            return oauth.refusal(refusal, request.origin.request_id, urls.connect(provider_id))
        return Json(_body(release), headers={"Pragma": "no-cache"})

    def refuse(origin: Origin, error: VaultError) -> None:
        exchange.note(origin, TokenRefused(RefusalReason.INVALID_REQUEST, detail=error.detail or error.code))

    @endpoints.route(routes, Route("POST", "/oauth2/token", Access.APPLICATION, fields=_SIGNED, on_unreadable=refuse))
    def token(request: Request) -> Answer:
        return answer(request, None)

    @endpoints.route(
        routes, Route("POST", "/oauth2/token/iam", Access.APPLICATION, fields=_IAM, iam=True, on_unreadable=refuse)
    )
    def token_by_role(request: Request) -> Answer:
        return answer(request, request.caller_arn)

    def introduce(request: Request, assertion: Secret | None) -> Answer:
        caller = Caller(request.form.text("client_id"), assertion, request.caller_arn or "")
        try:
            return Json(_known(exchange.who_am_i(caller, request.origin)))
        except TokenRefused as refusal:
            return oauth.refusal(refusal, request.origin.request_id, "")

    @endpoints.route(routes, Route("POST", "/oauth2/whoami", Access.APPLICATION, fields=_PROOF, on_unreadable=refuse))
    def who_am_i(request: Request) -> Answer:
        try:
            return introduce(request, _assertion(request.form))
        except TokenRefused as refusal:
            return oauth.refusal(exchange.note(request.origin, refusal), request.origin.request_id, "")

    @endpoints.route(
        routes,
        Route("POST", "/oauth2/whoami/iam", Access.APPLICATION, fields=("client_id",), iam=True, on_unreadable=refuse),
    )
    def who_am_i_by_role(request: Request) -> Answer:
        return introduce(request, None)

    @endpoints.route(routes, Route("GET", "/.well-known/oauth-authorization-server", Access.PUBLIC))
    def metadata(_request: Request) -> Answer:
        return Json(
            {
                "issuer": urls.public_url,
                "token_endpoint": urls.absolute("/oauth2/token"),
                "token_endpoint_auth_methods_supported": ["private_key_jwt"],
                "token_endpoint_auth_signing_alg_values_supported": list(assertions.SIGNATURES),
                "grant_types_supported": [GRANT_TYPE],
                "response_types_supported": [],
                "service_documentation": urls.absolute("/openapi.json"),
            }
        )

    @endpoints.route(routes, Route("GET", "/openapi.json", Access.PUBLIC))
    def openapi(_request: Request) -> Answer:
        document = json.loads(_OPENAPI.read_text("utf-8"))
        return Json(document | {"servers": [{"url": urls.public_url}]})

    return routes


def _read(form: Fields, urls: Urls, caller_arn: str | None) -> TokenRequest:
    """The request, as far as its form goes. Raises TokenRefused. `caller_arn` None: proof is an assertion."""
    by_role = caller_arn is not None
    _check_types(form, (*JWT_TYPES, NAME_TYPE) if by_role else JWT_TYPES)
    assertion = None if by_role else _assertion(form)
    caller = Caller(form.text("client_id"), assertion, caller_arn or "")
    return TokenRequest(
        caller=caller,
        provider_id=_provider_id(form, urls),
        subject_token=Secret(form.text("subject_token")),
        subject_is_jwt=form.text("subject_token_type") in JWT_TYPES,
        reason=form.text("reason"),
        scopes=tuple(_matching(_SCOPES, form, Detail.SCOPE, "scopes with one blank between two").split()),
        account=_account(form),
        need=_need(form),
    )


def _check_types(form: Fields, subject_types: Sequence[str]) -> None:
    grant_type = form.text("grant_type")
    if grant_type not in ("", GRANT_TYPE):
        sentence = f"`grant_type` must be {GRANT_TYPE}."
        raise TokenRefused(RefusalReason.UNSUPPORTED_GRANT_TYPE, mistake=Mistake(Detail.GRANT_TYPE, sentence))
    _require(grant_type == GRANT_TYPE, Detail.GRANT_TYPE, f"must be {GRANT_TYPE}")
    for name in (Detail.ACTOR_TOKEN, Detail.ACTOR_TOKEN_TYPE, Detail.CLIENT_SECRET):
        _require(not form.text(name), name, "is not supported and must be left out")
    asked = form.text("requested_token_type")
    _require(
        asked in ("", ACCESS_TOKEN_TYPE), Detail.REQUESTED_TOKEN_TYPE, f"must be {ACCESS_TOKEN_TYPE}, or be left out"
    )
    subject_type = form.text("subject_token_type")
    _require(subject_type in subject_types, Detail.SUBJECT_TOKEN_TYPE, f"must be {' or '.join(subject_types)}")
    _require(bool(form.text("subject_token")), Detail.SUBJECT_TOKEN, "must name the person")


def _assertion(form: Fields) -> Secret:
    is_one = form.text("client_assertion_type") == ASSERTION_TYPE
    _require(is_one, Detail.CLIENT_ASSERTION_TYPE, f"must be {ASSERTION_TYPE}")
    assertion = form.text("client_assertion")
    _require(bool(assertion), Detail.CLIENT_ASSERTION, "must be a JWT that the application has signed")
    return Secret(assertion)


def _provider_id(form: Fields, urls: Urls) -> str:
    """`audience` is the provider's id, `resource` its address here; one of them names it, or both the same."""
    audience, resource = form.text("audience"), form.text("resource")
    place = urls.absolute("/providers/")
    is_ours = not resource or resource.startswith(place)
    _require(is_ours, Detail.RESOURCE, f"must be the provider's address here, {place}<id>")
    named = {name for name in (audience, resource.removeprefix(place)) if name}
    _require(bool(named), Detail.AUDIENCE, "must be the provider's id")
    _require(
        len(named) == 1, Detail.RESOURCE, "must mean the same provider as `audience`, or one of the two be left out"
    )
    return named.pop()


def _need(form: Fields) -> Need:
    seconds = _matching(_SECONDS, form, Detail.MINIMUM_SECONDS, "a whole number of at most five digits")
    rejected = _matching(_HASH, form, Detail.REJECTED_TOKEN_HASH, "the SHA-256 of a token, 64 hexadecimal digits")
    return Need(int(seconds) if seconds else None, rejected)


def _account(form: Fields) -> str:
    text = form.text("account")
    _require(len(text) <= _MAX_ACCOUNT, Detail.ACCOUNT, f"must have at most {_MAX_ACCOUNT} characters")
    return text


def _matching(pattern: re.Pattern[str], form: Fields, name: Detail, form_of_it: str) -> str:
    """The parameter if it is left out or of the form it must have."""
    text = form.text(name)
    _require(not text or pattern.fullmatch(text) is not None, name, f"must be {form_of_it}, or be left out")
    return text


def _require(holds: bool, parameter: Detail, what: str) -> None:
    """The sentence names our parameter and what it must be, never what was sent."""
    if not holds:
        mistake = Mistake(parameter, f"`{parameter}` {what}.")
        raise TokenRefused(RefusalReason.INVALID_REQUEST, mistake=mistake)


def _known(application: ClientApplication) -> dict[str, object]:
    """What an application may know of its own registration: whom a rule means only in numbers."""
    return {
        "client_id": application.id,
        "name": application.name,
        "enabled": application.enabled,
        "subject": application.subject_mode.value,
        "keys": [{"kid": key.id, "expires_at": key.expires_at} for key in application.keys],
        "may_fetch": [
            {
                "provider": rule.provider_id,
                "scopes": list(rule.scopes),
                "everybody": rule.whose.everybody,
                "groups": len(rule.whose.groups),
                "users": len(rule.whose.users),
                "sources": list(rule.sources),
            }
            for rule in application.rules
        ],
    }


def _body(release: Release) -> dict[str, object]:
    """RFC 8693 2.2.1, and what calls to the cloud's API need; the cloud's own fields cannot take the place of ours."""
    return release.extra | {
        "access_token": release.access_token.reveal(),
        "issued_token_type": ACCESS_TOKEN_TYPE,
        "token_type": release.token_type,
        "expires_in": release.expires_in,
        "expires_at": release.expires_at,
        "scope": " ".join(release.scopes),
        "missing_scopes": list(release.missing_scopes),
        "account": {"subject": release.account.subject, "label": release.account.label},
        "release_id": release.id,
    }
