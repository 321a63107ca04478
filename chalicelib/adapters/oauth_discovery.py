"""Reading an OpenID Connect discovery document (OpenID Connect Discovery 1.0 section 3, RFC 8414 2)."""

from typing import Any

from chalicelib.domain.authorization_server import AuthorizationServer, ClientAuthentication
from chalicelib.domain.errors import CloudAnswerInvalid, CloudMisconfigured
from chalicelib.domain.text import clean

from .dialects import is_issuer
from .id_token import ALGORITHMS

_PATH = "/.well-known/openid-configuration"


def document_url(issuer: str) -> str:
    """Where the document of `issuer` is."""
    return issuer.removesuffix("/") + _PATH


def authorization_server(issuer: str, document: dict[str, Any]) -> AuthorizationServer:
    """What the document of `issuer` says. Its URLs are unchecked.

    Raises CloudAnswerInvalid for a document of another issuer or without what every server has,
    CloudMisconfigured for a server that knows no client authentication of ours.
    """
    if not is_issuer(document.get("issuer"), issuer):
        raise CloudAnswerInvalid("other_issuer", detail=f"discovery: {_other_issuer(document.get('issuer'), issuer)}")
    return AuthorizationServer(
        issuer=document["issuer"],
        authorization_endpoint=_required_url(document, "authorization_endpoint"),
        token_endpoint=_required_url(document, "token_endpoint"),
        jwks_uri=_required_url(document, "jwks_uri"),
        userinfo_endpoint=_url(document, "userinfo_endpoint"),
        revocation_endpoint=_url(document, "revocation_endpoint"),
        iss_parameter_promised=document.get("authorization_response_iss_parameter_supported") is True,
        client_authentication=_client_authentication(document),
        id_token_algorithms=_algorithms(document),
        end_session_endpoint=_url(document, "end_session_endpoint"),
    )


def _other_issuer(found: object, asked: str) -> str:
    """What to do about it: the exact words to enter, where the two differ in no more than spelling."""
    if not isinstance(found, str):
        return "no issuer"
    is_spelling = found.rstrip("/").casefold() == asked.rstrip("/").casefold()
    # In front, so that it is not cut
    return clean(f"enter the issuer exactly as {found}" if is_spelling else f"another issuer, {found}")


def _url(document: dict[str, Any], name: str) -> str | None:
    value = document.get(name)
    if value is not None and not isinstance(value, str):
        raise CloudAnswerInvalid("discovery_unusable", detail=f"discovery: {name} is not a string")
    return value


def _required_url(document: dict[str, Any], name: str) -> str:
    value = _url(document, name)
    if not value:
        raise CloudAnswerInvalid("discovery_unusable", detail=f"discovery: no {name}")
    return value


def _values(document: dict[str, Any], name: str, default: str) -> list[Any]:
    values = document.get(name, [default])
    if not isinstance(values, list):
        raise CloudAnswerInvalid("discovery_unusable", detail=f"discovery: {name} is not a list")
    return values


def _client_authentication(document: dict[str, Any]) -> ClientAuthentication:
    """Basic where there is a choice: RFC 6749 2.3.1 makes it the one that servers must know."""
    offered = _values(document, "token_endpoint_auth_methods_supported", ClientAuthentication.BASIC.value)
    for method in (ClientAuthentication.BASIC, ClientAuthentication.POST):
        if method.value in offered:
            return method
    raise CloudMisconfigured("no_common_client_authentication")


def _algorithms(document: dict[str, Any]) -> tuple[str, ...]:
    offered = _values(document, "id_token_signing_alg_values_supported", "RS256")
    usable = tuple(name for name in ALGORITHMS if name in offered)
    if not usable:
        names = ", ".join(map(str, offered))
        why = f"no signature algorithm that we accept (RS256, for example), but {names or 'none'}"
        raise CloudAnswerInvalid("no_signature_algorithm", detail=clean(f"discovery: {why}"))
    return usable
