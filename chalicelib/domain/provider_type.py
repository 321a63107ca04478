"""Kinds of cloud: what is the same for every registration of one, as the catalogue's data files say it."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import quote, urlencode, urlsplit

from .authorization_server import AuthorizationServer, ClientAuthentication
from .errors import InvalidForm

_VARIABLE = re.compile(r"\{([a-z_]+)\}")
_LABEL = r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?"
_HOST = re.compile(rf"(?=.{{1,253}}(?::|$)){_LABEL}(\.{_LABEL})+(:[0-9]{{1,5}})?")
_LONGEST_VALUE = 500
_LONGEST_BROUGHT = 200


class RevocationStyle(StrEnum):
    """How a cloud lets a client end an authorization."""

    RFC7009 = "rfc7009"
    """A form with the token, the client authenticated."""
    RFC7009_JSON = "rfc7009_json"
    """A JSON object with the token, the client authenticated."""
    RFC7009_WITHOUT_CLIENT = "rfc7009_without_client"
    """A form with the token alone: whoever has it may end it."""
    BEARER = "bearer"
    """A call that carries the access token in its header and ends that token."""
    REST_DELETE = "rest_delete"
    """DELETE with the client's id and secret in the header and the access token in a JSON body."""
    NONE = "none"


class AccountSource(StrEnum):
    """Where it is learnt which cloud account consented."""

    OPENID = "openid"
    """The verified id_token, and userinfo where that names nobody; userinfo alone without the scope `openid`."""
    USERINFO = "userinfo"
    """A call with the new access token."""
    ANSWER = "answer"
    """Fields of the token endpoint's answer."""


class Quirk(StrEnum):
    """What one cloud does unlike the standards, by name: the code for each is in one place of the adapter."""

    FORM_ENCODED_ANSWERS = "form_encoded_answers"
    """The token endpoint may answer form-encoded."""
    OK_FLAG = "ok_flag"
    """Every answer is 200; `ok` says whether it is a good one."""
    USER_TOKEN_NESTED = "user_token_nested"  # noqa: S105 - a word of the data files
    """The person's token is inside `authed_user`; what is beside it belongs to the application."""
    USER_SCOPE = "user_scope"
    """Scopes of the person's token are asked for as `user_scope`."""
    TENANT_ISSUER = "tenant_issuer"
    """Discovery for several tenants names the issuer `.../{tenantid}/v2.0`: the id_token's `tid` belongs there."""
    ACCOUNT_BY_POST = "account_by_post"
    """The account is asked for with POST and no body."""
    X_AUTH_TOKEN = "x_auth_token"  # noqa: S105 - a word of the data files
    """API calls carry the access token in the header X-Auth-Token."""
    JSON_TOKEN_REQUESTS = "json_token_requests"  # noqa: S105 - a word of the data files
    """The token endpoint is sent JSON."""
    REFRESH_PATH = "refresh_path"
    """A refresh goes to `refresh` beside the token endpoint, whose path ends in `token`."""


class ErrorKind(StrEnum):
    """What an error of a cloud's own means: to the person, to the vault's registration, or to nobody for long."""

    FINAL = "final"
    MISCONFIGURED = "misconfigured"
    TRANSIENT = "transient"


class FieldKind(StrEnum):
    TEXT = "text"
    HOST = "host"
    URL = "url"
    CHOICE = "choice"


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    label: str


@dataclass(frozen=True, slots=True)
class TypeField:
    """What an administrator says about one cloud of the type: the variable `{id}` of its endpoints."""

    id: str
    label: str
    kind: FieldKind = FieldKind.TEXT
    help: str = ""
    default: str = ""
    placeholder: str = ""
    choices: tuple[Choice, ...] = ()
    pattern: str = ""
    required: bool = True

    def checked(self, value: str) -> str:
        """The value as it is stored. Raises InvalidForm."""
        value = value.strip() or self.default
        if not value:
            self._require(not self.required, f"Please fill in “{self.label}”.")
            return ""
        self._require(len(value) <= _LONGEST_VALUE and value.isprintable(), f"“{self.label}” is too long.")
        if self.kind is FieldKind.CHOICE:
            self._require(value in {choice.value for choice in self.choices}, f"Please choose a “{self.label}”.")
        elif self.kind is FieldKind.HOST:
            value = value.casefold().rstrip(".")
            self._require(_HOST.fullmatch(value), f"“{self.label}” must be a host name, such as {self._example()}.")
        elif self.kind is FieldKind.URL:
            self._require(_is_url(value), f"“{self.label}” must be an address, such as {self._example()}.")
        if self.pattern:
            self._require(re.fullmatch(self.pattern, value), f"“{self.label}” must look like {self._example()}.")
        return value

    def _example(self) -> str:
        return self.placeholder or self.default or "cloud.example.com"

    def _require(self, holds: object, sentence: str) -> None:
        if not holds:
            raise InvalidForm({self.id: sentence})


@dataclass(frozen=True, slots=True)
class ScopePreset:
    """The least that one use needs."""

    id: str
    name: str
    description: str
    scopes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckItem:
    """Something to do, or to know, at the cloud. `is_tried` False: nobody has seen it on the live cloud yet."""

    text: str
    url: str = ""
    is_tried: bool = True


@dataclass(frozen=True, slots=True)
class CallbackField:
    """A parameter that the browser brings back beside the code. What does not fit the pattern is left out."""

    parameter: str
    pattern: str


@dataclass(frozen=True, slots=True)
class ProviderType:
    """A kind of cloud from the catalogue: what is the same for every registration of it."""

    id: str
    name: str
    description: str = ""
    fields: tuple[TypeField, ...] = ()
    is_discovered: bool = False
    """The endpoints come from the discovery document of `endpoints["issuer"]`."""
    endpoints: dict[str, str] = field(default_factory=dict)
    """Templates with `{variables}`, by the names of `AuthorizationServer`."""
    client_authentication: ClientAuthentication = ClientAuthentication.BASIC
    """Where discovery does not say it."""
    uses_pkce: bool = True
    scope_delimiter: str = " "
    answer_scope_delimiter: str = ""
    """Between scopes in answers, where it is another one."""
    answer_scope_names: dict[str, str] = field(default_factory=dict)
    """What the cloud calls a scope in answers, and the name by which it was asked for."""
    required_scopes: tuple[str, ...] = ()
    """Asked for whatever the administrator chooses: without them there is no account or no refresh token."""
    presets: tuple[ScopePreset, ...] = ()
    scope_words: dict[str, str] = field(default_factory=dict)
    """What a scope allows, in plain words."""
    authorize_parameters: dict[str, str] = field(default_factory=dict)
    reauthorize_parameters: dict[str, str] = field(default_factory=dict)
    """Sent instead of `authorize_parameters` when the person should choose the cloud account anew."""
    refresh_sends_scope: bool = True
    account_from: AccountSource = AccountSource.OPENID
    subject_fields: tuple[str, ...] = ("sub",)
    label_fields: tuple[str, ...] = ("email", "preferred_username", "name", "sub")
    """Paths to what names the cloud account, the first one present wins. `a+b`: both together."""
    extra_fields: dict[str, str] = field(default_factory=dict)
    """What calls to the cloud's API need beside the token: name and path in the token endpoint's answer."""
    account_extra_fields: dict[str, str] = field(default_factory=dict)
    """The same, from what names the account."""
    callback_fields: dict[str, CallbackField] = field(default_factory=dict)
    """The same, from the callback. The browser brings it, so that it is weaker than what the cloud says itself."""
    account_query: str = ""
    """GraphQL, posted to the userinfo endpoint, which answers with the account."""
    rotates_refresh_tokens: bool | None = None
    """Each refresh token works once; None: nobody knows, or the cloud's settings decide."""
    refresh_ahead_seconds: int = 300
    """So long before its end an access token is refreshed while it is still good, 300 at most; 0 where the cloud
    refuses a refresh before the access token has ended."""
    default_access_token_seconds: int = 3600
    """Assumed life of an access token when the answer has no `expires_in` (RFC 6749 5.1)."""
    refresh_token_idle_seconds: int | None = None
    """How long an unused refresh token lives; None: for ever, or nobody knows."""
    refresh_token_absolute_seconds: int | None = None
    """How long an authorization lives whatever is done."""
    revocation: RevocationStyle = RevocationStyle.NONE
    revoked_tokens: tuple[str, ...] = ("refresh_token",)
    """What is sent to an RFC 7009 endpoint, in this order; the access token where there is no refresh token."""
    ended_words: tuple[str, ...] = ()
    """Errors of the revocation endpoint that mean: it was over already."""
    revocation_side_effect: str = ""
    """What else ends, as a sentence for who is about to revoke."""
    error_words: dict[str, ErrorKind] = field(default_factory=dict)
    """Errors of its own, and standard ones that it means otherwise."""
    error_fields: tuple[str, ...] = ("error",)
    """Where the error's word is; the first one with a known word wins."""
    quirks: frozenset[Quirk] = frozenset()
    account_page: str | None = None
    """Where a person ends an authorization at the cloud by hand."""
    approval_endpoint: str = ""
    """Template of the page where an administrator of the person's company approves the vault for all of it."""
    approval_instead: dict[str, str] = field(default_factory=dict)
    """Values of fields in whose place another one stands in that template."""
    app_page: str = ""
    """Where an administrator registers the vault at the cloud."""
    documentation: str = ""
    checklist: tuple[CheckItem, ...] = ()
    sources: tuple[str, ...] = ()
    """Where these facts are from."""
    looked_at: str = ""
    """The day on which somebody last compared the facts with these sources (ISO 8601)."""
    unverified: tuple[str, ...] = ()
    """Facts above that no source states, in words."""

    def checked(self, values: Mapping[str, str]) -> dict[str, str]:
        """The administrator's values, cleaned, defaults filled in. Raises InvalidForm with all that is wrong."""
        checked: dict[str, str] = {}
        problems: dict[str, str] = {}
        for one in self.fields:
            try:
                checked[one.id] = one.checked(values.get(one.id, ""))
            except InvalidForm as error:
                problems |= error.problems
        if problems:
            raise InvalidForm(problems)
        return checked

    def matches(self, typed: str) -> bool:
        """Whether every word typed into a search is somewhere in the name, the description or a use."""
        known = " ".join((self.id, self.name, self.description, *(preset.name for preset in self.presets))).casefold()
        return all(word in known for word in typed.casefold().split())

    def issuer(self, values: Mapping[str, str]) -> str:
        """Whose discovery document says the rest, where `is_discovered`."""
        return self._filled(self.endpoints["issuer"], values)

    def server(self, values: Mapping[str, str]) -> AuthorizationServer:
        """The endpoints with the variables filled in, where they are not discovered."""
        filled = {name: self._filled(template, values) for name, template in self.endpoints.items()}
        filled = {name: url for name, url in filled.items() if url}
        return AuthorizationServer(**filled, client_authentication=self._authentication(values))  # type: ignore[arg-type]

    def approval_url(
        self, values: Mapping[str, str], *, client_id: str, scopes: Iterable[str], redirect_uri: str
    ) -> str:
        """Where an administrator of a company approves the vault; empty where the cloud has no page for it."""
        if not self.approval_endpoint:
            return ""
        meant = {name: self.approval_instead.get(value, value) for name, value in values.items()}
        return approval_url(
            self._filled(self.approval_endpoint, meant), client_id=client_id, scopes=scopes, redirect_uri=redirect_uri
        )

    def field_of(self, endpoint: str) -> str:
        """The id of the field that `endpoint` of a server was made from; empty where the type alone says it."""
        template = self.endpoints.get("issuer" if self.is_discovered else endpoint, "")
        own = {field.id for field in self.fields}
        return next((name for name in _VARIABLE.findall(template) if name in own), "")

    def scopes(self, chosen: Sequence[str]) -> tuple[str, ...]:
        """What is asked for when these were chosen: the required ones first, none twice."""
        return tuple(dict.fromkeys((*self.required_scopes, *chosen)))

    def brought(self, parameters: Mapping[str, str]) -> dict[str, str]:
        """What of a callback's parameters is kept, by the names of `callback_fields`."""
        found = {name: (one, parameters.get(one.parameter, "")) for name, one in self.callback_fields.items()}
        return {
            name: value
            for name, (one, value) in found.items()
            if len(value) <= _LONGEST_BROUGHT and re.fullmatch(one.pattern, value)
        }

    def can_revoke(self, server: AuthorizationServer) -> bool:
        """Whether an authorization can be ended at the cloud by the vault."""
        return self.revocation is not RevocationStyle.NONE and server.revocation_endpoint is not None

    def _authentication(self, values: Mapping[str, str]) -> ClientAuthentication:
        """A field of this name decides where the type leaves it open."""
        return ClientAuthentication(values.get("client_authentication") or self.client_authentication)

    @staticmethod
    def _filled(template: str, values: Mapping[str, str]) -> str:
        return _VARIABLE.sub(lambda found: values.get(found[1], found[0]), template)


APPROVAL_STATE = "approval"
"""What an administrator brings back from that page, with an error or without: no trip of the vault's has it."""


def approval_url(endpoint: str, *, client_id: str, scopes: Iterable[str], redirect_uri: str) -> str:
    """As Entra ID takes it (https://learn.microsoft.com/entra/identity-platform/v2-admin-consent)."""
    asked = {"client_id": client_id, "scope": " ".join(scopes), "redirect_uri": redirect_uri, "state": APPROVAL_STATE}
    return f"{endpoint}?{urlencode(asked, quote_via=quote)}"


def _is_url(value: str) -> bool:
    try:
        parts = urlsplit(value)
    except ValueError:
        return False
    is_plain = "@" not in parts.netloc and not parts.fragment and " " not in value
    return parts.scheme in ("https", "http") and bool(parts.hostname) and is_plain
