"""How single clouds speak: each `Quirk` of the catalogue has its code here (docs/adr/0015-quirks-by-name.md)."""

import json
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from chalicelib.domain.provider_type import ErrorKind, ProviderType, Quirk

if TYPE_CHECKING:
    # Verifying signatures leads here, and a release talks to no cloud
    from requests import Response

_FORM_TYPE = "application/x-www-form-urlencoded"
_TENANT = r"(\{tenantid\}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12})"
_TENANT_PLACEHOLDER = "{tenantid}"
_FLAG = re.compile(r"\[([a-z_]+)\]")

STANDARD = ProviderType("", "")
"""A server without any quirk."""


def read(response: "Response", provider_type: ProviderType) -> Any:
    """The answer's content, errors in the member `error`; None for what is neither JSON nor expected."""
    answer = _content(response, provider_type)
    if Quirk.OK_FLAG in provider_type.quirks and isinstance(answer, dict) and answer.get("ok") is not True:
        return {"error": answer.get("error", "unknown_error")}
    if Quirk.USER_TOKEN_NESTED in provider_type.quirks and isinstance(answer, dict):
        return _of_the_person(answer)
    return answer


def error_word(answer: dict[str, Any], provider_type: ProviderType) -> tuple[object, ErrorKind | None]:
    """The error's word and what the cloud means by it, if it is not the standards' meaning."""
    for path in provider_type.error_fields:
        word = value_at(answer, path)
        if isinstance(word, str | int) and (known := str(word).lower()) in provider_type.error_words:
            return known, provider_type.error_words[known]
    return answer.get("error"), None


def scope_parameters(scopes: Iterable[str], provider_type: ProviderType) -> dict[str, str]:
    """The authorization request's scopes; nothing where the cloud decides by the client's settings."""
    joined = provider_type.scope_delimiter.join(scopes)
    name = "user_scope" if Quirk.USER_SCOPE in provider_type.quirks else "scope"
    return {name: joined} if joined else {}


def token_request(url: str, form: dict[str, str], provider_type: ProviderType) -> tuple[str, dict[str, Any]]:
    """Where a request of the token endpoint at `url` goes, and what it carries, as `requests` takes it."""
    if Quirk.REFRESH_PATH in provider_type.quirks and form["grant_type"] == "refresh_token":
        url = url.removesuffix("token") + "refresh"
    return url, {"json" if Quirk.JSON_TOKEN_REQUESTS in provider_type.quirks else "data": form}


def api_request(access_token: str, provider_type: ProviderType) -> tuple[str, dict[str, Any]]:
    """Method of the call that names the account, and what it carries, as `requests` takes it."""
    bearer = {"Authorization": f"Bearer {access_token}"}
    headers = {"X-Auth-Token": access_token} if Quirk.X_AUTH_TOKEN in provider_type.quirks else bearer
    if provider_type.account_query:
        return "POST", {"headers": headers, "json": {"query": provider_type.account_query}}
    return "POST" if Quirk.ACCOUNT_BY_POST in provider_type.quirks else "GET", {"headers": headers}


def is_issuer(found: object, asked: str) -> bool:
    """Whether a discovery document may name the issuer `found` where it was looked for below `asked`."""
    return found == asked or (isinstance(found, str) and _is_of_a_tenant(found, asked))


_GOOGLE = "https://accounts.google.com"


def issuer_of(issuer: str, claims: dict[str, Any]) -> str:
    """The issuer that an id_token must have: one for each tenant, where the server is for many.

    Google's may lack the scheme (https://developers.google.com/identity/openid-connect/openid-connect, claim `iss`).
    """
    if issuer == _GOOGLE and claims.get("iss") == _GOOGLE.removeprefix("https://"):
        return str(claims["iss"])
    tenant = claims.get("tid")
    if _TENANT_PLACEHOLDER not in issuer or not isinstance(tenant, str) or not re.fullmatch(_TENANT, tenant):
        return issuer
    return issuer.replace(_TENANT_PLACEHOLDER, tenant)


def value_at(document: Any, path: str) -> Any:
    """What is at `a.b.0.[flag].c`: members, positions, the first element whose `flag` is true or else the first."""
    if isinstance(document, dict) and path in document:
        return document[path]
    for step in path.split("."):
        document = _step(document, step)
    return document


def _content(response: "Response", provider_type: ProviderType) -> Any:
    try:
        return json.loads(response.content)
    except (ValueError, RecursionError):
        pass
    is_form = response.headers.get("Content-Type", "").partition(";")[0].strip().casefold() == _FORM_TYPE
    if Quirk.FORM_ENCODED_ANSWERS in provider_type.quirks and is_form:
        return dict(parse_qsl(response.text))
    return None


def _of_the_person(answer: dict[str, Any]) -> dict[str, Any]:
    nested = answer.get("authed_user")
    return nested if isinstance(nested, dict) and nested.get("access_token") else answer


def _is_of_a_tenant(found: str, asked: str) -> bool:
    """Entra's discovery: `organizations`, `common`, a domain and the like stand for tenants that have ids."""
    place = re.fullmatch(r"(https://[^/]+)/([^/]+)/v2\.0", asked)
    if place is None or re.fullmatch(_TENANT, place[2]):
        return False
    return re.fullmatch(re.escape(place[1]) + "/" + _TENANT + r"/v2\.0", found) is not None


def _step(document: Any, step: str) -> Any:
    if isinstance(document, dict):
        return document.get(step)
    if not isinstance(document, list) or not document:
        return None
    flag = _FLAG.fullmatch(step)
    if flag:
        chosen = [one for one in document if isinstance(one, dict) and one.get(flag[1]) in (True, "true")]
        return (chosen or document)[0]
    return document[int(step)] if step.isdigit() and int(step) < len(document) else None
