"""The token endpoint of applications, and the document that describes it (RFC 8693, RFC 8414)."""

import json
import re
from pathlib import Path

from chalice.app import Blueprint

from chalicelib.domain.access import Access
from chalicelib.domain.client_application import ClientApplication
from chalicelib.domain.errors import InvalidRequest
from chalicelib.domain.secret import Secret
from chalicelib.domain.token_exchange import Caller, Need, Release, TokenRefused, TokenRequest
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

SIGNATURES = ("RS256", "PS256", "ES256", "ES384", "ES512", "Ed25519")
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
            provider_id = asked.provider_id
            release = exchange.exchange(asked, request.origin)
        except InvalidRequest:
            refusal = exchange.refuse(request.origin)
            return oauth.refusal(refusal, request.origin.request_id, "")
        except TokenRefused as refusal:
            return oauth.refusal(refusal, request.origin.request_id, urls.connect(provider_id))
        return Json(_body(release), headers={"Pragma": "no-cache"})

    refuse = exchange.refuse

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
        if request.form.text("client_assertion_type") != ASSERTION_TYPE:
            return oauth.refusal(refuse(request.origin), request.origin.request_id, "")
        return introduce(request, Secret(request.form.text("client_assertion")))

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
                "token_endpoint_auth_signing_alg_values_supported": list(SIGNATURES),
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
    """The request, as far as its form goes. Raises InvalidRequest. `caller_arn` None: proof is an assertion."""
    subject_type = form.text("subject_token_type")
    by_role = caller_arn is not None
    _require(form.text("grant_type") == GRANT_TYPE)
    _require(form.text("requested_token_type") in ("", ACCESS_TOKEN_TYPE))
    _require(not any(form.text(name) for name in ("actor_token", "actor_token_type", "client_secret")))
    _require(subject_type in JWT_TYPES or (by_role and subject_type == NAME_TYPE))
    _require(by_role or form.text("client_assertion_type") == ASSERTION_TYPE)
    _require(bool(form.text("subject_token")))
    assertion = None if by_role else Secret(form.one("client_assertion"))
    caller = Caller(form.text("client_id"), assertion, caller_arn or "")
    return TokenRequest(
        caller=caller,
        provider_id=_provider_id(form, urls),
        subject_token=Secret(form.text("subject_token")),
        subject_is_jwt=subject_type in JWT_TYPES,
        reason=form.text("reason"),
        scopes=tuple(_matching(_SCOPES, form.text("scope")).split()),
        account=_account(form.text("account")),
        need=_need(form),
    )


def _provider_id(form: Fields, urls: Urls) -> str:
    """`audience` is the provider's id, `resource` its address here; one of them names it, or both the same."""
    audience, resource = form.text("audience"), form.text("resource")
    place = urls.absolute("/providers/")
    _require(bool(audience or resource) and (not resource or resource.startswith(place)))
    named = {name for name in (audience, resource.removeprefix(place)) if name}
    _require(len(named) == 1)
    return named.pop()


def _need(form: Fields) -> Need:
    seconds = _matching(_SECONDS, form.text("minimum_seconds"))
    rejected = _matching(_HASH, form.text("rejected_token_hash"))
    return Need(int(seconds) if seconds else None, rejected)


def _account(text: str) -> str:
    _require(len(text) <= _MAX_ACCOUNT)
    return text


def _matching(pattern: re.Pattern[str], text: str) -> str:
    """`text` if it is empty or of the form it must have."""
    _require(not text or pattern.fullmatch(text) is not None)
    return text


def _require(holds: bool) -> None:
    if not holds:
        raise InvalidRequest


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
