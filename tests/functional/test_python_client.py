"""The package for programs' authors, against the vault itself: every request it makes is a whole one."""

import json
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from joserfc.jwk import import_key
from requests.adapters import BaseAdapter

import token_vault_client
from chalicelib.domain.audit import Origin
from chalicelib.domain.client_application import AccessRule, Whose
from chalicelib.domain.stop import StopKind
from chalicelib.domain.token_exchange import RefusalReason
from tests.fakes.misbehaviour import error, status
from tests.samples import ADMINISTRATOR, APPLICATION
from token_vault_client import (
    AccessToken,
    Blocked,
    CannotProveItself,
    IamRole,
    InvalidRequest,
    LifeTooShort,
    MissingScopes,
    NeedsReauthorization,
    NotAllowed,
    NotConnected,
    ProviderUnavailable,
    SigningKey,
    VaultAuth,
    VaultClient,
    VaultError,
    VaultUnreachable,
)
from token_vault_client.command_line import main as command_line
from token_vault_client.errors import REASONS

from .client import BASE
from .conftest import NORTHWIND, Running

ORIGIN = Origin("request-1", "127.0.0.1")
SCOPES = ("openid", "profile", "email", "offline_access")
EVERYBODY = AccessRule(NORTHWIND, SCOPES, Whose(everybody=True))
ALICE = "CONTOSO\\alice"
ROLE = "arn:aws:iam::123456789012:role/scanner"
SESSION_OF_ROLE = "arn:aws:sts::123456789012:assumed-role/scanner/i-0123"
REGION = "eu-central-1"
AWS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "session-token")


class Gateway(BaseAdapter):
    """API Gateway in front of the vault, for `requests`: IAM signatures are verified here, as there."""

    def __init__(self, running: Running) -> None:
        super().__init__()
        self._running = running
        self.requests: list[requests.PreparedRequest] = []
        self.instead: Callable[[requests.PreparedRequest], requests.Response | None] = lambda _: None

    def send(self, request: requests.PreparedRequest, **arguments: Any) -> requests.Response:
        self.requests.append(request)
        path = urlsplit(request.url).path
        identity: dict[str, str] = {"sourceIp": "127.0.0.1"}
        if path.endswith("/iam") and is_signed(request):
            identity["userArn"] = SESSION_OF_ROLE
        body = request.body.decode() if isinstance(request.body, bytes) else request.body
        event = {
            "httpMethod": request.method,
            "path": path,
            "resource": path,
            "headers": {name.lower(): value for name, value in request.headers.items()},
            "multiValueHeaders": {},
            "pathParameters": {},
            "queryStringParameters": None,
            "multiValueQueryStringParameters": None,
            "body": body,
            "isBase64Encoded": False,
            "stageVariables": None,
            "requestContext": {
                "resourcePath": path,
                "httpMethod": request.method,
                "requestId": "gateway-1",
                "identity": identity,
            },
        }
        answer = self.instead(request)
        return answer if answer is not None else self._answer(request, self._running.app(event, None))

    def close(self) -> None:
        pass

    def _answer(self, request: requests.PreparedRequest, answer: dict[str, Any]) -> requests.Response:
        return response(request, answer["statusCode"], answer["body"].encode())

    def counted(self, path: str = "/oauth2/token") -> int:
        return sum(urlsplit(request.url).path == path for request in self.requests)


def response(request: requests.PreparedRequest, code: int, body: bytes, **headers: str) -> requests.Response:
    made = requests.Response()
    made.status_code, made.raw, made.request, made.url = code, BytesIO(body), request, request.url
    made.headers.update(headers)
    return made


def is_signed(request: requests.PreparedRequest) -> bool:
    """Signed again with the same clock, it must say the same."""
    sent = request.headers.get("Authorization", "")
    names = sent.partition("SignedHeaders=")[2].partition(",")[0].split(";")
    ours = ("host", "x-amz-date", "x-amz-security-token")
    headers = {name: request.headers[name] for name in names if name not in ours}
    again = AWSRequest(request.method, request.url, data=request.body, headers=headers)
    moment = datetime.strptime(request.headers.get("X-Amz-Date", "20000101T000000Z") + "+0000", "%Y%m%dT%H%M%SZ%z")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda **_: moment)
        SigV4Auth(AWS.get_frozen_credentials(), "execute-api", REGION).add_auth(again)
    return bool(sent) and again.headers["Authorization"] == sent


def private_pem(key: Any) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


KEYS = {
    "P-256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "P-521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "RSA": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "Ed25519": ed25519.Ed25519PrivateKey.generate,
}


class Program:
    """Somebody's program with a key of its own; alice has authorized Northwind Cloud."""

    def __init__(self, running: Running, kind: str = "P-256") -> None:
        self.running = running
        self.gateway = Gateway(running)
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.mount(BASE, self.gateway)
        self.service = running.vault.client_applications
        self.pem = private_pem(KEYS[kind]())
        self.registered = self.service.register(replace(APPLICATION, rules=(EVERYBODY,)), ADMINISTRATOR, ORIGIN)
        public = import_key(self.pem.decode(), "RSA" if kind == "RSA" else "OKP" if kind == "Ed25519" else "EC")
        keys = json.dumps({"keys": [public.as_dict(private=False)]})
        self.registered = self.service.add_keys(self.registered, keys, ADMINISTRATOR, ORIGIN)
        self.browser = running.browser("alice")
        running.authorize(self.browser)

    def vault(self, **arguments: Any) -> VaultClient:
        key = SigningKey.from_pem("scanner", self.pem)
        return VaultClient(BASE, key, session=self.session, **arguments)

    def get(self, **wanted: Any) -> AccessToken:
        return self.vault().get_token(NORTHWIND, ALICE, **({"reason": "Filing"} | wanted))

    def rules(self, *rules: AccessRule) -> None:
        self.registered = self.service.set_rules(self.registered, rules, ADMINISTRATOR, ORIGIN)

    def stop(self) -> None:
        stops = self.running.vault.stops
        stops.stop(StopKind.APPLICATION, "scanner", "drill", ADMINISTRATOR, ORIGIN)


@pytest.fixture(autouse=True)
def same_clock(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("token_vault_client.credentials.time.time", running.clock.now)


@pytest.fixture
def program(running: Running) -> Program:
    return Program(running)


class TestGetToken:
    @pytest.mark.parametrize("kind", KEYS)
    def test_a_token_for_a_registered_key_of_any_kind(self, running: Running, kind: str) -> None:
        token = Program(running, kind).get()
        cloud = requests.get(f"{running.cloud.issuer}/userinfo", headers=token.header, timeout=5)
        assert cloud.json()["email"] == token.account.label
        assert (token.scopes, token.missing_scopes, token.expires_at) == (SCOPES, (), running.clock.now() + 3600)

    def test_nothing_shows_the_token(self, program: Program) -> None:
        token = program.get()
        assert token.value not in repr(token)
        assert token.value not in str(token)

    def test_the_key_of_a_certificate(self, program: Program, tmp_path: Path) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "scanner")])
        now = datetime.fromtimestamp(program.running.clock.now(), UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(name).issuer_name(name).public_key(key.public_key()).serial_number(1)
            .not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
            .sign(key, SHA256()).public_bytes(serialization.Encoding.PEM)
        )  # fmt: skip
        program.service.add_keys(program.registered, certificate.decode(), ADMINISTRATOR, ORIGIN)
        (tmp_path / "key.pem").write_bytes(private_pem(key))
        (tmp_path / "certificate.pem").write_bytes(certificate)
        mine = SigningKey.from_file("scanner", tmp_path / "key.pem", certificate=tmp_path / "certificate.pem")
        vault = VaultClient(BASE, mine, session=program.session)
        assert vault.get_token(NORTHWIND, ALICE, reason="Filing").scopes == SCOPES

    @pytest.mark.parametrize(
        "pem", [b"", b"nonsense", b"-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n"]
    )
    def test_what_is_no_private_key_is_said_at_once(self, pem: bytes) -> None:
        with pytest.raises(ValueError, match="no private key"):
            SigningKey.from_pem("scanner", pem)

    def test_a_public_key_is_no_private_one(self, program: Program) -> None:
        public = KEYS["P-256"]().public_key()
        pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(ValueError, match="no private key"):
            SigningKey.from_pem("scanner", pem)

    def test_as_an_iam_role_without_any_key(self, program: Program) -> None:
        role = replace(APPLICATION, id="archiver", name="Archiver", role_arn=ROLE, rules=(EVERYBODY,))
        program.service.register(role, ADMINISTRATOR, ORIGIN)
        vault = VaultClient(BASE, IamRole("archiver", REGION, AWS), session=program.session)
        assert vault.get_token(NORTHWIND, ALICE, reason="Filing").scopes == SCOPES
        assert vault.who_am_i()["client_id"] == "archiver"

    def test_for_imap(self, program: Program) -> None:
        token = replace(program.get(), value="vF9dft4qmTc2Nvb3RlckBhdHRhdmlzdGEuY29tCg==")
        # The example of https://developers.google.com/workspace/gmail/imap/xoauth2-protocol
        assert token.xoauth2("someuser@example.com") == (
            "dXNlcj1zb21ldXNlckBleGFtcGxlLmNvbQFhdXRoPUJlYXJlciB2RjlkZnQ0cW1UYzJOdmIzUmxja0JoZEhSaGRtbHpkR0V1WTI5dENnPT0BAQ=="
        )


class TestKeeping:
    def test_a_token_is_asked_for_once_while_it_is_good(self, program: Program) -> None:
        vault = program.vault()
        tokens = [vault.get_token(NORTHWIND, ALICE, reason="Filing") for _ in range(3)]
        assert len({token.value for token in tokens}) == 1
        assert program.gateway.counted() == 1

    def test_many_threads_ask_once(self, program: Program) -> None:
        vault = program.vault()
        found: list[str] = []
        threads = [
            threading.Thread(target=lambda: found.append(vault.get_token(NORTHWIND, ALICE, reason="Filing").value))
            for _ in range(8)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(found), len(set(found)), program.gateway.counted()) == (8, 1, 1)

    def test_not_when_it_has_too_little_life_left(self, program: Program) -> None:
        vault = program.vault()
        token = vault.get_token(NORTHWIND, ALICE, reason="Filing")
        object.__setattr__(token, "good_until", time.monotonic() + 59)
        vault.get_token(NORTHWIND, ALICE, reason="Filing")
        assert program.gateway.counted() == 2

    def test_not_for_another_person_account_or_scope(self, program: Program) -> None:
        vault = program.vault()
        vault.get_token(NORTHWIND, ALICE, reason="Filing")
        vault.get_token(NORTHWIND, ALICE, reason="Filing", scopes=["email"])
        with pytest.raises(NotConnected):
            vault.get_token(NORTHWIND, "CONTOSO\\bob", reason="Filing")
        with pytest.raises(NotConnected):
            vault.get_token(NORTHWIND, ALICE, reason="Filing", account="somebody@else.example")
        assert program.gateway.counted() == 4

    @pytest.mark.parametrize("keep", [True, False])
    def test_a_stop_counts_on_the_next_call_where_nothing_is_kept(self, program: Program, keep: bool) -> None:
        vault = program.vault(keep=keep)
        vault.get_token(NORTHWIND, ALICE, reason="Filing")
        program.stop()
        if keep:
            assert vault.get_token(NORTHWIND, ALICE, reason="Filing")
            vault.forget()
        with pytest.raises(Blocked):
            vault.get_token(NORTHWIND, ALICE, reason="Filing")


class TestRejectedTokens:
    def test_a_token_the_cloud_refused_is_renewed_once(self, program: Program) -> None:
        vault = program.vault()
        first = vault.get_token(NORTHWIND, ALICE, reason="Filing")
        second = vault.get_token(NORTHWIND, ALICE, reason="Filing", rejected=first)
        assert second.value != first.value
        assert vault.get_token(NORTHWIND, ALICE, reason="Filing", rejected=first).value == second.value
        assert program.running.cloud.requests["/token"] == 2
        assert first.value not in "".join(str(request.body) for request in program.gateway.requests)

    def test_requests_renews_by_itself_and_once(self, program: Program) -> None:
        api = Api(program.running.cloud.issuer)
        program.session.mount("https://api.example", api)
        auth = VaultAuth(program.vault(), NORTHWIND, ALICE, reason="Filing")
        assert program.session.get("https://api.example/me", auth=auth).status_code == 200
        api.refused.add(api.sent[-1])
        answer = program.session.post("https://api.example/files", data=b"scan", auth=auth)
        assert (answer.status_code, [a.status_code for a in answer.history]) == (200, [401])
        assert len(set(api.sent)) == 2
        api.refuse_all = True
        assert program.session.get("https://api.example/me", auth=auth).status_code == 401
        assert len(api.sent) == 5

    def test_a_body_that_was_streamed_is_not_sent_twice(self, program: Program) -> None:
        api = Api(program.running.cloud.issuer)
        api.refuse_all = True
        program.session.mount("https://api.example", api)
        auth = VaultAuth(program.vault(), NORTHWIND, ALICE, reason="Filing")
        assert program.session.put("https://api.example/f", data=iter([b"scan"]), auth=auth).status_code == 401
        assert len(api.sent) == 1


class Api(BaseAdapter):
    """An API of the cloud that refuses some tokens."""

    def __init__(self, issuer: str) -> None:
        super().__init__()
        self.sent: list[str] = []
        self.refused: set[str] = set()
        self.refuse_all = False

    def send(self, request: requests.PreparedRequest, **arguments: Any) -> requests.Response:
        self.sent.append(request.headers["Authorization"])
        refused = self.refuse_all or self.sent[-1] in self.refused
        made = response(request, 401 if refused else 200, b"{}")
        made.connection = self
        return made

    def close(self) -> None:
        pass


class TestRefusals:
    def test_every_reason_of_the_vault_has_a_class(self) -> None:
        assert {reason.value for reason in RefusalReason} == REASONS

    def test_who_must_authorize_gets_a_link(self, program: Program) -> None:
        program.running.browser("bob")
        with pytest.raises(NotConnected) as caught:
            program.vault().get_token(NORTHWIND, "CONTOSO\\bob", reason="Filing")
        assert caught.value.connect_url == f"{BASE}/providers#provider-{NORTHWIND}"
        assert caught.value.request_id
        assert caught.value.request_id in str(caught.value)

    def test_the_cloud_no_longer_honours_it(self, program: Program) -> None:
        program.running.cloud.misbehave("/token", error("invalid_grant"))
        program.running.clock.advance(3600)
        with pytest.raises(NeedsReauthorization):
            program.get()

    def test_scopes_that_are_missing(self, program: Program) -> None:
        with pytest.raises(MissingScopes) as caught:
            program.get(scopes=["email", "files.write"])
        assert caught.value.scopes == ("files.write",)

    def test_not_allowed(self, program: Program) -> None:
        program.rules()
        with pytest.raises(NotAllowed):
            program.get()

    def test_a_key_that_is_not_registered(self, program: Program) -> None:
        program.pem = private_pem(KEYS["P-256"]())
        with pytest.raises(CannotProveItself):
            program.get()

    def test_more_life_than_the_cloud_gives(self, program: Program) -> None:
        with pytest.raises(LifeTooShort):
            program.get(minimum_seconds=5000)

    def test_no_reason_given(self, program: Program) -> None:
        with pytest.raises(InvalidRequest):
            program.get(reason="")

    def test_a_cloud_that_is_down_is_waited_for_as_long_as_the_program_says(
        self, program: Program, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program.running.clock.advance(3600)
        program.running.cloud.misbehave("/token", *[status(503)] * 6)
        with pytest.raises(ProviderUnavailable) as caught:
            program.get()
        assert caught.value.retry_after
        pauses: list[float] = []

        def sleep(seconds: float) -> None:
            if seconds < 1:  # the scripted cloud sleeps too
                return
            pauses.append(seconds)
            program.running.cloud.misbehave("/token")
            program.running.clock.advance(int(seconds) + 60)

        monkeypatch.setattr("token_vault_client.client.time.sleep", sleep)
        vault = program.vault(wait_seconds=600)
        assert vault.get_token(NORTHWIND, ALICE, reason="Filing").scopes == SCOPES
        assert pauses == [caught.value.retry_after]


class TestBadAnswers:
    @pytest.mark.parametrize(
        ("code", "body"),
        [
            (200, b"<html>"),
            (200, b"[]"),
            (200, b"{}"),
            (502, b"Bad Gateway"),
            (302, b""),
            (200, b'"' + b"x" * 1_000_001),
        ],
    )
    def test_something_else_answers(self, program: Program, code: int, body: bytes) -> None:
        program.gateway.instead = lambda request: response(request, code, body, Location="https://evil.example/")
        with pytest.raises(VaultUnreachable):
            program.get()
        assert len(program.gateway.requests) == 1

    def test_nobody_answers(self, program: Program) -> None:
        def refuse(_: requests.PreparedRequest) -> None:
            raise requests.ConnectionError("https://user:secret@proxy")

        program.gateway.instead = refuse
        with pytest.raises(VaultUnreachable) as caught:
            program.get()
        assert "secret" not in str(caught.value)
        assert caught.value.__suppress_context__

    def test_a_vault_with_another_name_gets_no_assertion(self, program: Program) -> None:
        body = json.dumps({"issuer": "https://evil.example"}).encode()
        program.gateway.instead = lambda request: response(request, 200, body)
        with pytest.raises(VaultUnreachable, match=r"evil\.example"):
            program.get()
        assert [request.method for request in program.gateway.requests] == ["GET"]

    def test_a_reason_of_a_newer_vault(self, program: Program) -> None:
        program.get()
        body = json.dumps(
            {"error": "invalid_grant", "error_description": "Not on Sundays.", "reason": "sunday"}
        ).encode()
        program.gateway.instead = lambda request: response(request, 400, body) if request.method == "POST" else None
        with pytest.raises(VaultError, match="Not on Sundays") as caught:
            program.get()
        assert (type(caught.value), caught.value.reason) == (VaultError, "sunday")


class TestCommandLine:
    @pytest.fixture
    def run(
        self, program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> Iterator[Callable[..., tuple[int, str, str]]]:
        key = tmp_path / "key.pem"
        key.write_bytes(program.pem)
        monkeypatch.setattr("token_vault_client.client.requests.Session", lambda: program.session)
        environment = {"TOKEN_VAULT_URL": BASE, "TOKEN_VAULT_CLIENT_ID": "scanner", "TOKEN_VAULT_KEY": str(key)}

        def run(*arguments: str, **changed: str) -> tuple[int, str, str]:
            code = command_line(arguments, environment | changed)
            return (code, *capsys.readouterr())

        return run

    def test_get_prints_the_token_alone(self, program: Program, run) -> None:
        code, out, err = run("token", "get", NORTHWIND, ALICE, "--reason", "by hand")
        assert (code, err) == (0, "")
        userinfo = f"{program.running.cloud.issuer}/userinfo"
        assert requests.get(userinfo, headers={"Authorization": f"Bearer {out.strip()}"}, timeout=5).status_code == 200

    def test_get_in_json(self, run) -> None:
        code, out, _ = run("token", "get", NORTHWIND, ALICE, "--reason", "by hand", "--json", "--scope", "email")
        assert code == 0
        assert json.loads(out)["scopes"] == list(SCOPES)

    def test_who_am_i(self, program: Program, run) -> None:
        assert run("whoami")[:2] == (
            0,
            f"{program.registered.name} (scanner) at {BASE}\n  northwind: {', '.join(SCOPES)}; of everybody\n",
        )
        program.rules()
        assert "may fetch nothing yet" in run("whoami")[1]
        program.stop()
        assert "stopped" in run("whoami")[1]

    def test_exit_codes_say_what_to_do(self, program: Program, run) -> None:
        get = ("token", "get", NORTHWIND, ALICE, "--reason", "by hand")
        code, _, err = run("token", "get", NORTHWIND, "CONTOSO\\bob", "--reason", "by hand")
        assert code == 3
        assert f"{BASE}/providers" in err
        program.gateway.instead = lambda request: response(request, 502, b"")
        assert run(*get)[0] == 4
        program.gateway.instead = lambda _: None
        program.rules()
        code, out, _ = run(*get, "--json")
        assert (code, json.loads(out)["reason"]) == (1, "app_not_allowed")
        assert run(*get, TOKEN_VAULT_KEY="")[0] == 2
        assert run(*get, TOKEN_VAULT_KEY="/nowhere")[0] == 2
        assert run(*get, TOKEN_VAULT_URL="")[0] == 2

    def test_it_starts_and_helps(self) -> None:
        folder = Path(token_vault_client.__file__).parent.parent
        done = subprocess.run(
            [sys.executable, "-m", "token_vault_client.command_line", "token", "get", "--help"],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (done.returncode, "--reason" in done.stdout) == (0, True)
