"""The very bundle that is deployed, under AWS's runtime client, behind a gateway as the template describes it."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from jinja2 import ModuleLoader

from benchmarks.cold_start import SETTINGS, request
from chalicelib.bootstrap import Vault, create_vault
from chalicelib.domain.audit import Origin
from chalicelib.domain.client_application import AccessRule, Whose
from chalicelib.domain.secret import Secret
from chalicelib.settings import Settings
from deploy.package import BILL, BUNDLE, LICENCES, Package, make_bundle
from deploy.slim import AWS_SERVICES
from deploy.stage import Stage
from deploy.template.permissions import FUNCTIONS, logical
from dev.process import Child
from tests.fakes.application import Application
from tests.fakes.cloud import CLIENT_ID, CLIENT_SECRET, ScriptedCloud
from tests.functional.client import Answer, Browser, going_to
from tests.samples import ADMINISTRATOR, APPLICATION

from .account import Account, directories
from .gateway import SOURCE, Gateway
from .lambda_runtime import Function, FunctionFailed

pytestmark = pytest.mark.integration

MEGABYTE = 1024 * 1024
HOST = "abcdef1234.execute-api.localhost"
STAGE_URL = "http://localhost:8381/api"
DOMAIN_URL = "https://vault.contoso.example"
PROVIDER = "northwind"
ALICE = "CONTOSO\\alice"
REVOKE = "Revoke"
STARTED_WITH = {
    "app", "botocore", "certifi", "chalice", "chalicelib", "dateutil", "markupsafe", "six", "urllib3",
}  # fmt: skip
"""What every function imports at its start, beside the standard library."""
OAUTH = {"_cffi_backend", "authlib", "charset_normalizer", "cryptography", "idna", "joserfc", "requests"}
IMPORTED_BY: dict[str, set[str]] = {
    "": set(),
    "/": set(),
    "/login": {"jinja2"},
}
"""What more the first request for a path imports."""
SCOPES = ("openid", "profile", "email", "offline_access")
ORIGIN = Origin("-", "test")
AWS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class GatewayBrowser(Browser):
    """A browser whose address bar says `url`."""

    def __init__(self, gateway: Gateway, url: str) -> None:
        super().__init__(None)
        self._client, self._url = gateway, url  # type: ignore[assignment]
        self._base = urlsplit(url).path

    def log_in(self, user_name: str, password: str) -> Answer:
        return self.press(self.get(f"{self._base}/login"), "Log in", user_name=user_name, password=password)

    def _send(self, method: str, path: str, body: bytes, headers: dict[str, str], *, follow: bool) -> Answer:
        parts = urlsplit(self._url)
        if "Origin" in headers:
            headers = headers | {"Origin": f"{parts.scheme}://{parts.netloc}"}
        answer = super()._send(method, path, body, headers, follow=False)
        location = answer.header("Location")
        if follow and location:
            assert location.startswith(self._url), location
            return self.get(self._base + location.removeprefix(self._url))
        return answer


@dataclass
class Deployed:
    """Everything around the functions, and the functions by need."""

    task: Path
    template: dict[str, Any]
    account: Account
    cloud: ScriptedCloud
    vault: Vault
    environment: dict[str, str]
    folder: Path
    running: ExitStack

    def function(self, name: str, **changed: str) -> Function:
        """Start the function that Chalice knows as `name`."""
        handler = self.template["Resources"][logical(name)]["Properties"]["Handler"]
        environment = self.environment | AWS | self.account.environment(logical(name)) | changed
        environment = {key: value for key, value in environment.items() if value}
        function = Function(self.task, handler, environment, self.folder / f"{name}-{len(list(self.folder.iterdir()))}")
        return self.running.enter_context(function)

    def gateway(self, function: Function, **shape: Any) -> Gateway:
        body = self.template["Resources"]["RestAPI"]["Properties"]["Body"]
        return Gateway(body, function, host=HOST, **shape)


@pytest.fixture(scope="module")
def deployed(task: Path, template: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployed]:
    folder = tmp_path_factory.mktemp("deployed")
    with ExitStack() as running, pytest.MonkeyPatch.context() as patch:
        aws = Child("dev.aws", [], os.environ, folder / "aws.log")
        running.callback(aws.stop)
        directory = Child(
            "dev.directory", ["--folder", str(folder / "directory")], os.environ, folder / "directory.log"
        )
        running.callback(directory.stop)
        outside = AWS | {"AWS_ENDPOINT_URL": aws.ready()["endpoint"]}
        for name, value in outside.items():
            patch.setenv(name, value)
        redirect = f"{STAGE_URL}/oauth/callback/{PROVIDER}"
        cloud = running.enter_context(ScriptedCloud(redirect_uri=redirect))
        parameters = {"PublicUrl": STAGE_URL, "Directories": directories(directory.ready())}
        account = Account(template, parameters)
        environment = outside | {"VAULT_ALLOW_PRIVATE_CLOUDS": "true"}
        settings = Settings.from_environment(environment | account.environment("APIHandler"))
        vault = create_vault(settings, aws=account.aws)
        vault.registration.register(
            PROVIDER,
            "openid-connect",
            "Northwind Cloud",
            client_id=CLIENT_ID,
            client_secret=Secret(CLIENT_SECRET),
            server=cloud.server,
            scopes=SCOPES,
            actor="test",
            origin=ORIGIN,
        )
        (folder / "functions").mkdir()
        yield Deployed(task, template, account, cloud, vault, environment, folder / "functions", running)


@pytest.fixture(scope="module")
def api(deployed: Deployed) -> Function:
    return deployed.function("api_handler")


SHAPES = {
    "multi-value headers": {},
    "single headers": {"single": True},
    "base64 bodies": {"binary": True},
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_log_in_authorize_release_revoke(deployed: Deployed, api: Function, shape: dict[str, bool]) -> None:
    revoked_before = deployed.cloud.requests["/revoke"]
    gateway = deployed.gateway(api, prefix="/api", **shape)
    browser = GatewayBrowser(gateway, STAGE_URL)
    page = browser.log_in(ALICE, "alice-pass")
    assert page.status == 200
    assert "Northwind Cloud" in page.text

    going = browser.press(page, "Authorize")
    callback = deployed.cloud.consent(going_to(going), "alice")
    assert callback.startswith(f"{STAGE_URL}/oauth/callback/{PROVIDER}?")
    back = browser.get(callback.removeprefix("http://localhost:8381"))
    assert back.status == 200
    assert "alice@contoso.example" in back.text

    application = registered(deployed)
    form = urlencode(application.form(ALICE, PROVIDER)).encode()
    sent = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
    answer = gateway.request("POST", "/api/oauth2/token", sent, form)
    released = json.loads(answer.body)
    assert answer.status_code == 200, released
    assert released["access_token"]
    assert released["account"]["label"] == "alice@contoso.example"

    asked = browser.press(browser.get("/api/providers"), "Revoke authorization")
    assert browser.press(asked, REVOKE).status == 200
    assert deployed.cloud.requests["/revoke"] > revoked_before
    answer = gateway.request("POST", "/api/oauth2/token", sent, urlencode(application.form(ALICE, PROVIDER)).encode())
    assert json.loads(answer.body)["reason"] == "not_connected"


def registered(deployed: Deployed) -> Application:
    """A client application of its own, that may fetch everybody's tokens."""
    client_id = f"scanner-{secrets.token_hex(4)}"
    application = Application(client_id, STAGE_URL, time.time)
    rules = (AccessRule(PROVIDER, SCOPES, Whose(everybody=True)),)
    service = deployed.vault.client_applications
    known = service.register(replace(APPLICATION, id=client_id, name=client_id, rules=rules), ADMINISTRATOR, ORIGIN)
    service.add_keys(known, json.dumps(application.jwks()), ADMINISTRATOR, ORIGIN)
    return application


def test_a_domain_of_its_own_has_no_prefix_and_the_strictest_cookies(deployed: Deployed) -> None:
    own = {"VAULT_PUBLIC_URL": DOMAIN_URL, "VAULT_ALLOW_PRIVATE_CLOUDS": "false"}
    browser = GatewayBrowser(deployed.gateway(deployed.function("api_handler", **own)), DOMAIN_URL)
    page = browser.log_in("CONTOSO\\bob", "bob-pass")
    assert page.status == 200
    assert "Northwind Cloud" in page.text
    assert {name.partition("-")[0] for name in browser.cookies} == {"__Host"}
    assert browser.get("/sessions").status == 200


def test_who_called_is_the_peer_that_the_gateway_saw(deployed: Deployed, api: Function) -> None:
    GatewayBrowser(deployed.gateway(api, prefix="/api"), STAGE_URL).log_in("CONTOSO\\alice", "wrong")
    lines = [json.loads(line) for line in api.log.splitlines() if line.startswith("{")]
    assert {line["source"] for line in lines if line["event"] == "session.login"} == {SOURCE}


def test_an_address_without_a_route_gets_our_page_from_the_gateway(deployed: Deployed, api: Function) -> None:
    gateway = deployed.gateway(api, prefix="/api")
    page = gateway.request("GET", "/api/nowhere", {"Accept": "text/html"}, b"")
    assert page.status_code == 404
    assert "Page not found" in page.body.decode()
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    answer = gateway.request("DELETE", "/api/oauth2/token", {"Accept": "application/json"}, b"")
    assert (answer.status_code, json.loads(answer.body)["error"]) == (404, "invalid_request")


def test_an_unsigned_request_for_iam_callers_never_reaches_the_function(deployed: Deployed, api: Function) -> None:
    before = api.log
    answer = deployed.gateway(api, prefix="/api").request("POST", "/api/oauth2/token/iam", {}, b"")
    assert answer.status_code == 404
    assert api.log == before


def test_another_stage_of_the_same_gateway_is_answered_by_nobody(
    deployed: Deployed, api: Function, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.deploy.gateway.STAGE", "Stage")
    gateway = deployed.gateway(api, prefix="/api")
    assert gateway.request("GET", "/api/login", {}, b"").status_code == 404
    refused = gateway.request("POST", "/api/oauth2/token", {"Accept": "application/json"}, b"")
    assert (refused.status_code, json.loads(refused.body)["error"]) == (404, "invalid_request")


def test_static_files_are_in_the_bundle(deployed: Deployed, api: Function) -> None:
    answer = deployed.gateway(api, prefix="/api").request("GET", "/api/static/app.css", {}, b"")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "text/css; charset=utf-8")


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"api_handler"}))
def test_every_background_function_runs(deployed: Deployed, name: str) -> None:
    """EventBridge's event, and an account in which there is nothing to do but to find that out."""
    event = {
        "version": "0",
        "id": "89d1a02d-5ec7-412e-82f5-13505f849b41",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-11-23T12:00:00Z",
        "region": "eu-central-1",
        "resources": ["arn:aws:events:eu-central-1:123456789012:rule/every-minute"],
        "detail": {},
    }
    function = deployed.function(name)
    assert function.invoke(event) is None
    assert '"level": "ERROR"' not in function.log


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("VAULT_KMS_KEY", "", "VAULT_KMS_KEY is not set."),
        ("VAULT_PUBLIC_URL", "http://vault.contoso.example", "VAULT_PUBLIC_URL must be https://"),
        ("VAULT_DIRECTORIES", "stage/none.json", "VAULT_DIRECTORIES is neither JSON nor the path of such a file"),
    ],
)
def test_a_wrong_setting_stops_the_start_and_is_named(deployed: Deployed, name: str, value: str, sentence: str) -> None:
    with pytest.raises(FunctionFailed, match=sentence):
        deployed.function("api_handler", **{name: value}).invoke({})


def test_no_token_or_password_is_in_the_log(deployed: Deployed, api: Function) -> None:
    """After all the journeys above."""
    assert '"event": "token.released"' in api.log
    assert [secret for secret in ("alice-pass", "svc-vault-pass", CLIENT_SECRET) if secret in api.log] == []
    assert [token for token in deployed.cloud.issued() if token in api.log] == []


def test_a_second_build_has_the_same_bytes(made: Package, tmp_path: Path) -> None:
    _, again = make_bundle(Stage.named("prod"), tmp_path)
    assert again.digest == made.bundle.digest
    for name in (BUNDLE, BILL, LICENCES):
        assert (tmp_path / name).read_bytes() == (made.folder / name).read_bytes(), name


def test_the_bundle_is_small(made: Package) -> None:
    assert made.bundle.packed <= 16 * MEGABYTE
    assert made.bundle.unpacked <= 50 * MEGABYTE


def test_the_bundle_holds_no_tool_no_test_and_no_key_of_anybody(task: Path) -> None:
    there = {path.name for path in task.iterdir()}
    assert not there & {"tests", "dev", "deploy", "docs", "benchmarks", "clients", "pip", "pytest", "moto", ".chalice"}
    assert [
        path.name for path in task.rglob("*") if path.suffix in (".key", ".pem") and path.name != "cacert.pem"
    ] == []
    assert {path.name for path in (task / "botocore" / "data").iterdir() if path.is_dir()} == AWS_SERVICES


def test_every_module_of_ours_is_compiled_for_the_python_that_runs_it(task: Path, template: dict[str, Any]) -> None:
    version = template["Resources"]["APIHandler"]["Properties"]["Runtime"].removeprefix("python").replace(".", "")
    sources = [task / "app.py", *(task / "chalicelib").rglob("*.py")]
    compiled = [path.parent / "__pycache__" / f"{path.stem}.cpython-{version}.pyc" for path in sources]
    assert [path.name for path in compiled if not path.exists()] == []


def test_every_template_is_compiled(task: Path) -> None:
    templates = {path.name for path in (task / "chalicelib" / "templates").iterdir()}
    compiled = {path.name for path in (task / "chalicelib" / "compiled_templates").glob("*.py")}
    assert compiled == {ModuleLoader.get_module_filename(name) for name in templates}


@pytest.mark.parametrize("path", IMPORTED_BY)
def test_a_start_and_a_first_request_import_what_they_need(task: Path, path: str) -> None:
    """A budget: every package more makes each cold start slower, of every function."""
    assert _imported(task, request(path) if path else {}) == STARTED_WITH | IMPORTED_BY[path]


def test_a_token_request_imports_clouds_and_keys_only_when_it_comes_to_them(task: Path) -> None:
    form = "grant_type=urn:ietf:params:oauth:grant-type:token-exchange&client_id=x"
    event = request("/oauth2/token", "POST") | {"body": form}
    event["headers"] |= {"Content-Type": "application/x-www-form-urlencoded"}
    assert _imported(task, event) & (OAUTH | {"jinja2", "ldap3", "aws_encryption_sdk"}) == set()


def test_opening_a_token_and_checking_signatures_import_no_cloud(task: Path) -> None:
    opening = (
        "from chalicelib import bootstrap, adapters\n"
        "from chalicelib.adapters import token_cipher\n"
        "from chalicelib.adapters.late import Late\n"
        "bootstrap._jwt_verifier(None, Late(lambda: 1 / 0))"
    )
    assert _imported(task, {}, opening) & {"authlib", "requests", "jinja2", "ldap3"} == set()


def _imported(task: Path, event: dict[str, Any], then: str = "") -> set[str]:
    """Packages of the bundle that a fresh process imports for `app`, for the event where there is one, and `then`."""
    script = (
        "import json, sys; sys.path.insert(0, sys.argv[1]); import app\n"
        "if sys.argv[2] != '{}': app.app(json.loads(sys.argv[2]), None)\n"
        f"{then}\n"
        "files = [getattr(module, '__file__', None) or '' for module in sys.modules.values()]\n"
        "inside = {file.removeprefix(sys.argv[1]).split('/')[1] for file in files if file.startswith(sys.argv[1])}\n"
        "print(json.dumps(sorted(name.partition('.')[0] for name in inside)))"
    )
    command = [sys.executable, "-I", "-S", "-c", script, str(task), json.dumps(event)]
    environment = SETTINGS | {"AWS_ENDPOINT_URL": "http://127.0.0.1:1"}  # nothing listens there
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)  # noqa: S603 - our own bundle
    return set(json.loads(done.stdout))


def test_the_bill_of_materials_names_everything(made: Package, task: Path) -> None:
    bill = json.loads((made.folder / BILL).read_text(encoding="utf-8"))
    assert (bill["bomFormat"], bill["specVersion"]) == ("CycloneDX", "1.6")
    assert bill["metadata"]["component"]["hashes"] == [{"alg": "SHA-256", "content": made.bundle.digest}]
    packages = {path.name.partition("-")[0].replace("_", "-").lower() for path in task.glob("*.dist-info")}
    assert {part["name"] for part in bill["components"]} == packages | {"chalice"}
    assert all(part["licenses"][0]["license"]["name"] for part in bill["components"])
    listed = (made.folder / LICENCES).read_text(encoding="utf-8").splitlines()
    assert len(listed) == len(bill["components"])
