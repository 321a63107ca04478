"""`python -m chalicelib check-config`: each fault of a stage is named with its setting."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from chalicelib import bootstrap
from chalicelib.command_line import main
from chalicelib.settings import Settings
from chalicelib.stores import tables
from tests.aws import Aws
from tests.fakes import directory
from tests.fakes.directory import FakeDirectory
from tests.fakes.system import FakeClock

SECRET = "vault/directory"
NAMES = {"VAULT_TABLE": tables.VAULT, "VAULT_KEYS_TABLE": tables.KEYS, "VAULT_SESSIONS_TABLE": tables.SESSIONS}
DIRECTORY = {
    "domain": "CONTOSO",
    "servers": ["ldaps://dc1.contoso.example"],
    "service_account": "vault@contoso.example",
    "service_secret": SECRET,
}


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage that is all right, until a test spoils one thing."""

    aws: Aws
    settings: dict[str, str]
    directory: FakeDirectory
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def faults(self, code: int = 1, *arguments: str) -> set[tuple[str, str]]:
        """Settings and codes as the command gives them to programs."""
        for name, value in self.settings.items():
            self.monkeypatch.setenv(name, value)
        assert main(["check-config", "--json", *arguments]) == code
        answer = json.loads(self.capsys.readouterr().out)
        assert answer["good"] is (not answer["faults"])
        assert all(fault["sentence"].strip() for fault in answer["faults"])
        return {(fault["setting"], fault["code"]) for fault in answer["faults"]}


def make_table(client: Any, name: str, definition: tables.TableDefinition) -> None:
    protection = {"DeletionProtectionEnabled": definition.deletion_protection}
    client.create_table(**definition.create_arguments(name), **protection)
    if definition.time_to_live:
        expiry = {"Enabled": True, "AttributeName": definition.time_to_live}
        client.update_time_to_live(TableName=name, TimeToLiveSpecification=expiry)
    if definition.point_in_time_recovery:
        client.update_continuous_backups(
            TableName=name, PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
        )


@pytest.fixture
def stage(aws: Aws, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Stage]:
    clients, mark = aws.clients, uuid4().hex
    settings = {name: f"{name.lower()}-{mark}" for name in NAMES}
    for name, definition in NAMES.items():
        make_table(clients.dynamodb, settings[name], definition)
    keys = {
        "VAULT_KMS_KEY": clients.kms.create_key()["KeyMetadata"]["Arn"],
        "VAULT_AUDIT_KEY": clients.kms.create_key(KeyUsage="GENERATE_VERIFY_MAC", KeySpec="HMAC_256")["KeyMetadata"][
            "Arn"
        ],
    }
    clients.secrets_manager.create_secret(Name=SECRET, SecretString="the-password")
    people = FakeDirectory(directory.ALICE)
    others = {"VAULT_PUBLIC_URL": "https://vault.example", "VAULT_DIRECTORIES": json.dumps([DIRECTORY])}
    real = bootstrap.create_vault
    monkeypatch.setattr(
        bootstrap,
        "create_vault",
        lambda: real(Settings.from_environment(), aws=clients, clock=FakeClock(), directory=people),
    )
    yield Stage(aws, settings | keys | others, people, monkeypatch, capsys)
    clients.secrets_manager.delete_secret(SecretId=SECRET, ForceDeleteWithoutRecovery=True)
    for name in NAMES:
        clients.dynamodb.update_table(TableName=settings[name], DeletionProtectionEnabled=False)
        clients.dynamodb.delete_table(TableName=settings[name])


def remade(stage: Stage, setting: str, definition: tables.TableDefinition) -> None:
    client, name = stage.aws.clients.dynamodb, stage.settings[setting]
    client.update_table(TableName=name, DeletionProtectionEnabled=False)
    client.delete_table(TableName=name)
    make_table(client, name, definition)


def test_a_stage_that_is_all_right(stage: Stage) -> None:
    assert stage.faults(0) == set()
    assert main(["check-config"]) == 0
    assert stage.capsys.readouterr().out == "All good.\n"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("VAULT_PUBLIC_URL", "http://vault.example"),
        ("VAULT_KMS_KEY", ""),
        ("VAULT_AUDIT_KEY", ""),
        ("VAULT_DIRECTORIES", "[{"),
        ("VAULT_LEAVER_DAYS", "soon"),
        ("VAULT_LOG_LEVEL", "LOUD"),
        ("VAULT_ALLOW_PRIVATE_CLOUDS", "true"),
    ],
)
def test_an_ill_formed_setting(stage: Stage, setting: str, value: str) -> None:
    stage.settings[setting] = value
    assert stage.faults() == {(setting, "setting_wrong")}


def test_every_setting_that_is_wrong_is_named_at_once_and_nothing_is_asked(stage: Stage) -> None:
    stage.settings.update({"VAULT_PUBLIC_URL": "http://vault.example", "VAULT_LEAVER_DAYS": "0"})
    del stage.settings["VAULT_KMS_KEY"]
    stage.monkeypatch.delenv("VAULT_KMS_KEY", raising=False)
    stage.monkeypatch.setattr(bootstrap, "create_vault", lambda: pytest.fail("settings come first"))
    wrong = ("VAULT_PUBLIC_URL", "VAULT_LEAVER_DAYS", "VAULT_KMS_KEY")
    assert stage.faults() == {(name, "setting_wrong") for name in wrong}
    assert main(["check-config"]) == 1
    out = stage.capsys.readouterr().out
    assert "VAULT_KMS_KEY: is not set. ARN of the company's KMS key" in out
    assert out.endswith("the settings come first.\nFaults: 3.\n")


def test_keys_that_cannot_be_used(stage: Stage) -> None:
    kms = stage.aws.clients.kms
    token_key, audit_key = (stage.settings[name].rpartition("/")[2] for name in ("VAULT_KMS_KEY", "VAULT_AUDIT_KEY"))
    kms.disable_key(KeyId=token_key)
    kms.schedule_key_deletion(KeyId=audit_key, PendingWindowInDays=7)
    assert stage.faults() == {("VAULT_KMS_KEY", "key_disabled"), ("VAULT_AUDIT_KEY", "key_pending_deletion")}
    stage.settings["VAULT_KMS_KEY"] = stage.settings["VAULT_KMS_KEY"][:-4] + "0000"
    assert ("VAULT_KMS_KEY", "key_missing") in stage.faults()


def test_keys_that_are_mixed_up(stage: Stage) -> None:
    one, other = stage.settings["VAULT_KMS_KEY"], stage.settings["VAULT_AUDIT_KEY"]
    stage.settings.update({"VAULT_KMS_KEY": other, "VAULT_AUDIT_KEY": one})
    assert stage.faults() == {("VAULT_KMS_KEY", "key_of_other_kind"), ("VAULT_AUDIT_KEY", "key_of_other_kind")}


@pytest.mark.parametrize("setting", NAMES)
def test_a_table_that_is_missing(stage: Stage, setting: str) -> None:
    stage.settings[setting] += "-elsewhere"
    assert stage.faults() == {(setting, "table_missing")}


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"time_to_live": None}, "table_without_expiry"),
        ({"time_to_live": "another"}, "table_without_expiry"),
        ({"indexes": ()}, "index_missing"),
        ({"indexes": (replace(tables.LISTING, projected=("user_id",)),)}, "index_of_other_kind"),
        ({"point_in_time_recovery": False}, "table_not_recoverable"),
        ({"deletion_protection": False}, "table_unprotected"),
        ({"sort": None}, "table_of_other_kind"),
    ],
)
def test_a_table_that_is_not_as_defined(stage: Stage, changed: dict[str, Any], code: str) -> None:
    remade(stage, "VAULT_TABLE", replace(tables.VAULT, **changed))
    assert stage.faults() == {("VAULT_TABLE", code)}


def test_a_secret_that_is_missing(stage: Stage) -> None:
    stage.settings["VAULT_DIRECTORIES"] = json.dumps([DIRECTORY | {"service_secret": "vault/elsewhere"}])
    assert stage.faults() == {("VAULT_DIRECTORIES", "secret_unreadable")}


def test_an_openid_provider_that_cannot_be_used(stage: Stage) -> None:
    described = {"kind": "openid", "issuer": "http://127.0.0.1:1", "client_id": "vault", "client_secret": "elsewhere"}
    stage.settings["VAULT_SIGN_IN"] = json.dumps(described)
    assert stage.faults() == {("VAULT_SIGN_IN", "secret_unreadable"), ("VAULT_SIGN_IN", "discovery_failed")}
    stage.settings["VAULT_SIGN_IN"] = json.dumps(described | {"kind": "saml"})
    assert stage.faults() == {("VAULT_SIGN_IN", "setting_wrong")}


def test_a_directory_that_does_not_answer_unless_it_is_left_out(stage: Stage) -> None:
    stage.directory.available = False
    assert stage.faults() == {("VAULT_DIRECTORIES", "port_closed")}
    assert stage.faults(0, "--no-directory") == set()


@pytest.mark.parametrize(
    ("failure", "cause"),
    [
        (ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "Any"), "AccessDeniedException"),
        (EndpointConnectionError(endpoint_url="https://aws.example"), "EndpointConnectionError"),
    ],
)
def test_what_cannot_be_asked_is_a_fault_with_its_cause(stage: Stage, failure: Exception, cause: str) -> None:
    def fails(**_: Any) -> Any:
        raise failure

    stage.monkeypatch.setattr(stage.aws.clients.kms, "describe_key", fails)
    stage.monkeypatch.setattr(stage.aws.clients.dynamodb, "describe_table", fails)
    keys = {(name, "key_unreadable") for name in ("VAULT_KMS_KEY", "VAULT_AUDIT_KEY")}
    assert stage.faults() == keys | {(name, "table_unreadable") for name in NAMES}
    main(["check-config"])
    assert stage.capsys.readouterr().out.count(cause) == 5
