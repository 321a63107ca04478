"""What is fuzzed: one function for each reader of text from outside, which takes octets and keeps a contract.

The contract of each is in its docstring: the only exceptions that may come out, and what holds of every answer.
Whatever else happens is a finding.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import fields, replace
from functools import cache
from typing import Any
from urllib.parse import parse_qsl

from joserfc.jwk import ECKey, RSAKey
from requests import Response

from chalicelib.adapters import oauth_answers, oauth_discovery
from chalicelib.adapters.application_keys import PublicKeyReader
from chalicelib.adapters.catalogue import FileCatalogue
from chalicelib.adapters.endpoint_guard import EndpointGuard
from chalicelib.adapters.id_token import IdTokenVerifier
from chalicelib.adapters.jwt_verifier import JoseVerifier
from chalicelib.adapters.token_cipher import EnvelopeBox
from chalicelib.domain import assertions
from chalicelib.domain.aliases import normalized
from chalicelib.domain.client_application import ApplicationKey
from chalicelib.domain.errors import (
    CloudError,
    CloudMisconfigured,
    IntegrityViolation,
    InvalidRequest,
    LoginRefused,
    VaultError,
)
from chalicelib.domain.ids import is_person_id
from chalicelib.domain.secret import Secret
from chalicelib.domain.token_exchange import InvalidJwt, TokenRefused
from chalicelib.domain.user import LoginName
from chalicelib.import_commands import _read as read_grant
from chalicelib.settings import Settings, SettingsError, variable
from chalicelib.web import cookies, forms
from chalicelib.web.cookies import CookieNames
from tests.fakes.system import FakeClock
from tests.samples import NOW, REQUEST

Target = Callable[[bytes], None]
TARGETS: dict[str, Target] = {}
_ISSUER = "https://vault.example"
_CALLBACK = ("state", "code", "error", "iss")
_DIRECTORIES = '[{"domain": "CONTOSO", "servers": ["ldaps://dc.contoso.example"]}]'


def target(function: Target) -> Target:
    """Register a target under its name."""
    TARGETS[function.__name__] = function
    return function


def text_of(data: bytes) -> str:
    """Text as a program gets it; a first octet of 0xED asks for lone surrogates, which JSON lets through."""
    return data.decode("utf-8", "surrogateescape" if data[:1] == b"\xed" else "replace")


@target
def callback_query(data: bytes) -> None:
    """InvalidRequest (TooLarge is one); what is read is known, once, and without NUL."""
    pairs = parse_qsl(data.decode("latin-1"), keep_blank_values=True, max_num_fields=10_000)
    with suppress(InvalidRequest):
        read = forms.parse_query(pairs, _CALLBACK, ())
        assert set(read.values) <= set(_CALLBACK)
        assert all(len(values) == 1 and "\0" not in values[0] for values in read.values.values())
        assert sum(len(value) for values in read.values.values() for value in values) <= forms.MAX_URL


@target
def form(data: bytes) -> None:
    """InvalidRequest; a form of people has known fields only, one of programs ignores the others."""
    allowed = ("csrf", "user_name", "password")
    for read in (lambda: forms.parse_form(data, allowed, ("token",)), lambda: forms.parse_parameters(data, allowed)):
        with suppress(InvalidRequest):
            found = read()
            assert set(found.values) <= {*allowed, "token"}
            assert all(len(found.all(name)) <= 1 for name in allowed)


@target
def cookie_header(data: bytes) -> None:
    """InvalidRequest; only cookies of ours come out, none longer than a value of ours."""
    names = CookieNames.for_scheme(secure=True)
    with suppress(InvalidRequest):
        found = cookies.read([text_of(data)], names)
        assert set(found) <= {names.session, names.login, names.flow, names.browser}
        assert all(len(value) <= 128 for value in found.values())


@target
def user_name(data: bytes) -> None:
    """LoginRefused; what passes says itself again, and holds nothing that means something to a directory."""
    text = text_of(data)
    with suppress(LoginRefused):
        name = LoginName.parse(text)
        assert LoginName.parse(str(name)) == name
        assert not set(name.username) & set('\0/\\@=,*"<>|;:+[]?\n\r')
        assert name.username.isprintable()
    assert isinstance(normalized(text), str)
    assert not (is_person_id(text) and "\\" in text)


def response(data: bytes) -> Response:
    """The first octet chooses status and type, the rest is the body."""
    made = Response()
    choice = data[0] if data else 0
    made.status_code = (200, 200, 400, 401, 403)[choice % 5]
    made._content = data[1:]
    made.headers["Content-Type"] = ("application/json", "application/x-www-form-urlencoded", "", "\xff")[
        choice // 5 % 4
    ]
    return made


@cache
def provider_types() -> tuple[Any, ...]:
    """Every kind of cloud, since each has its own dialect."""
    return tuple(FileCatalogue().all())


@target
def provider_json(data: bytes) -> None:
    """CloudError; a token set has a printable token that lives, and an account has a name without controls."""
    for provider_type in provider_types():
        with suppress(CloudError):
            answer = oauth_answers.token_answer(response(data), Secret("secret"), provider_type=provider_type)
            tokens = oauth_answers.token_set(answer, provider_type, ("a",), NOW)
            assert tokens.access_token.reveal().isprintable()
            assert NOW < tokens.expires_at <= NOW + 2**31
            account = oauth_answers.account(answer, provider_type)
            assert account.subject
            assert all(character.isprintable() or character.isspace() for character in account.label)


@target
def discovery(data: bytes) -> None:
    """CloudError; the issuer is the one that was asked for, and each endpoint passed the guard."""
    guard = EndpointGuard(allow_private=False)
    with suppress(CloudError):
        document = oauth_answers.json_object(response(b"\0" + data))
        server = oauth_discovery.authorization_server("https://cloud.example", document)
        assert server.issuer == "https://cloud.example"
        assert server.id_token_algorithms
        for url in server.endpoints().values():
            guard.check(url)
            assert url.lower().startswith("https://")


@target
def endpoint(data: bytes) -> None:
    """CloudMisconfigured; what passes is printable ASCII, https, without user and fragment."""
    url = text_of(data)
    with suppress(CloudMisconfigured):
        EndpointGuard(allow_private=False).check(url)
        assert url.isascii()
        assert url.isprintable()
        assert url.lower().startswith("https:")
        assert not {"\\", "#", " "} & set(url)


@cache
def rsa_key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": "k1"})


@cache
def ec_key() -> ECKey:
    return ECKey.generate_key("P-256", {"kid": "k1"})


@target
def id_token(data: bytes) -> None:
    """CloudError; no octets that nobody signed are an id_token, and no key set breaks the reading."""
    clock = FakeClock()
    head, _, body = data.partition(b"\n")
    with suppress(ValueError, RecursionError):
        keys = json.loads(body)
        if isinstance(keys, dict):
            with suppress(CloudError):
                IdTokenVerifier(clock).verify(text_of(head), REQUEST, lambda _: keys)
    try:
        IdTokenVerifier(clock).verify(text_of(head), REQUEST, lambda _: {"keys": [rsa_key().as_dict(private=False)]})
    except CloudError:
        return
    raise AssertionError("an id_token that nobody signed")


@target
def client_assertion(data: bytes) -> None:
    """InvalidJwt for the signature, TokenRefused for claims; nothing unsigned passes."""
    token, clock = Secret(text_of(data)), FakeClock()
    verifier = JoseVerifier(clock, lambda _: {})
    public = {
        name: str(value) for name, value in ec_key().as_dict(private=False).items() if name in ("kty", "crv", "x", "y")
    }
    claims = verifier.unverified(token)
    with suppress(TokenRefused):
        assertions.client_assertion_use(claims, "scanner", _ISSUER, NOW)
    with suppress(TokenRefused):
        assertions.self_asserted_subject(claims, "scanner", _ISSUER, NOW)
    try:
        verifier.verify(token, [ApplicationKey("k1", "ES256", public, NOW, None)])
    except InvalidJwt:
        return
    raise AssertionError("an assertion that nobody signed")


@target
def assertion_claims(data: bytes) -> None:
    """TokenRefused; what passes has our issuer as its audience, and at most a minute to live."""
    with suppress(ValueError, RecursionError):
        claims = json.loads(data)
        if isinstance(claims, dict):
            with suppress(TokenRefused):
                use = assertions.client_assertion_use(claims, "scanner", _ISSUER, NOW)
                assert claims["aud"] == _ISSUER
                assert use.issued_at < claims["exp"] <= use.issued_at + 60
            with suppress(TokenRefused):
                _, reason = assertions.self_asserted_subject(claims, "scanner", _ISSUER, NOW)
                assert reason.isprintable()


@target
def public_keys(data: bytes) -> None:
    """InvalidRequest; what is taken is public."""
    with suppress(InvalidRequest):
        for key in PublicKeyReader().from_text(text_of(data), NOW):
            assert "d" not in key.jwk
            assert key.algorithm.startswith(("RS", "PS", "ES", "Ed"))


@target
def ciphertext(data: bytes) -> None:
    """IntegrityViolation; nothing that was not sealed opens."""
    try:
        EnvelopeBox(b"k" * 32, "northwind/1").decrypt(data, {"purpose": "token-set"})
    except IntegrityViolation:
        return
    raise AssertionError("a message that nobody sealed")


@cache
def sealed() -> bytes:
    return EnvelopeBox(b"k" * 32, "northwind/1").encrypt(b"token", {"purpose": "token-set"})


@target
def changed_ciphertext(data: bytes) -> None:
    """IntegrityViolation for every message but the very one that was sealed: `data` says which octets to change."""
    message = bytearray(sealed())
    for position, change in zip(data[::2], data[1::2], strict=False):
        message[position * len(message) // 256] ^= change
    if bytes(message) != sealed():
        ciphertext(bytes(message))


@target
def settings(data: bytes) -> None:
    """SettingsError with a sentence; each line is the value of one setting, in their order."""
    lines = text_of(data).split("\n")
    enough = {
        "VAULT_PUBLIC_URL": _ISSUER,
        "VAULT_KMS_KEY": "arn",
        "VAULT_AUDIT_KEY": "arn",
        "VAULT_DIRECTORIES": _DIRECTORIES,
    }
    names = [variable(field) for field in fields(Settings)]
    given = {name: line for name, line in zip(names, lines, strict=False) if line}
    # A path could be any file of this machine
    given = {name: text for name, text in given.items() if name != "VAULT_DIRECTORIES" or text.lstrip().startswith("[")}
    with suppress(SettingsError):
        read = Settings.from_environment(enough | given)
        assert replace(read) == read
    Settings.faults(enough | given)


@target
def imported_grant(data: bytes) -> None:
    """ValueError with a sentence that repeats nothing of the line."""
    try:
        read_grant(text_of(data))
    except ValueError as error:
        assert type(error) is ValueError, "not one of our own sentences"
    except VaultError:
        pass
