"""API Gateway as the template describes it: which function gets a request, in what shape, and who else may answer.

The shapes are those of REST APIs with proxy integration, in the variants that reach the vault.
"""

import json
import re
import secrets
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from .lambda_runtime import Function

STAGE = "api"
SOURCE = "203.0.113.7"


@dataclass(frozen=True, slots=True)
class Response:
    status_code: int
    headers: dict[str, Any]
    body: bytes


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request as it reached the gateway, its path without the prefix."""

    method: str
    path: str
    query: list[tuple[str, str]]
    headers: Mapping[str, str]
    body: bytes


class Gateway:
    """In front of `function`. `prefix` is what the address has before the vault's paths: `/api`, or nothing.

    `binary`: bodies arrive encoded, as with `*/*` among the binary media types. `single`: headers arrive in the
    old form alone, one value each.
    """

    def __init__(
        self,
        body: Mapping[str, Any],
        function: Function,
        *,
        host: str,
        prefix: str = "",
        binary: bool = False,
        single: bool = False,
    ) -> None:
        self._routes = body["paths"]
        self._refusals = body["x-amazon-apigateway-gateway-responses"]
        self._function, self._host, self._prefix = function, host, prefix
        self._binary, self._single = binary, single

    @property
    def http(self) -> "Gateway":
        """So that a browser takes it for Chalice's test client."""
        return self

    def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes) -> Response:
        parts = urlsplit(path)
        assert parts.path.startswith(self._prefix), path
        inner = parts.path.removeprefix(self._prefix) or "/"
        found = self._route(method, inner)
        if found is None:
            return self._refusal("MISSING_AUTHENTICATION_TOKEN", headers)
        resource, parameters = found
        if "security" in self._routes[resource][method.lower()]:
            return self._refusal("MISSING_AUTHENTICATION_TOKEN", headers)
        asked = _Asked(method, inner, parse_qsl(parts.query, keep_blank_values=True), headers, body)
        return _response(self._function.invoke(self._event(asked, resource, parameters)))

    def _route(self, method: str, path: str) -> tuple[str, dict[str, str]] | None:
        for resource, methods in self._routes.items():
            pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", resource.replace(".", r"\."))
            match = re.fullmatch(pattern, path)
            if match and method.lower() in methods:
                return resource, match.groupdict()
        return None

    def _event(self, asked: _Asked, resource: str, parameters: dict[str, str]) -> dict[str, Any]:
        sent = {"Host": self._host, "X-Forwarded-For": "198.51.100.1", **asked.headers}
        return {
            "resource": resource,
            "path": asked.path,
            "httpMethod": asked.method,
            "headers": sent,
            "multiValueHeaders": None if self._single else _several(list(sent.items())),
            "queryStringParameters": dict(asked.query) or None,
            "multiValueQueryStringParameters": _several(asked.query) or None,
            "pathParameters": {name: unquote(value) for name, value in parameters.items()} or None,
            "stageVariables": None,
            "requestContext": {
                "resourceId": "abc123",
                "resourcePath": resource,
                "httpMethod": asked.method,
                "path": self._prefix + asked.path,
                "accountId": "123456789012",
                "protocol": "HTTP/1.1",
                "stage": STAGE,
                "domainName": self._host,
                "requestId": secrets.token_hex(16),
                "identity": {"sourceIp": SOURCE, "userAgent": asked.headers.get("User-Agent"), "userArn": None},
                "apiId": "abcdef1234",
            },
            "body": self._body(asked.body),
            "isBase64Encoded": bool(asked.body) and self._binary,
        }

    def _body(self, body: bytes) -> str | None:
        if not body:
            return None
        return b64encode(body).decode() if self._binary else body.decode()

    def _refusal(self, kind: str, headers: Mapping[str, str]) -> Response:
        """The gateway's own answer, by `Accept`, HTML where anything will do."""
        refusal = self._refusals[kind]
        wanted = "application/json" if "json" in headers.get("Accept", "") else "text/html"
        body = refusal["responseTemplates"][wanted]
        text = (body["Fn::Sub"] if isinstance(body, dict) else body).replace(
            "$context.requestId", secrets.token_hex(16)
        )
        named = {name.rpartition(".")[2]: value for name, value in refusal["responseParameters"].items()}
        plain = {name: (value["Fn::Sub"] if isinstance(value, dict) else value)[1:-1] for name, value in named.items()}
        return Response(int(refusal["statusCode"]), {**plain, "Content-Type": wanted}, text.encode())


def _several(pairs: list[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    return found


def _response(answer: Mapping[str, Any]) -> Response:
    """As the gateway reads it: values of both forms, text or base64."""
    json.dumps(answer)
    headers = dict(answer.get("headers") or {})
    several = answer.get("multiValueHeaders") or {}
    assert not {name.lower() for name in headers} & {name.lower() for name in several}, "the gateway would send both"
    headers |= {
        name: values if len(values) > 1 or name == "Set-Cookie" else values[0] for name, values in several.items()
    }
    body = b64decode(answer["body"]) if answer.get("isBase64Encoded") else answer["body"].encode()
    return Response(answer["statusCode"], headers, body)
