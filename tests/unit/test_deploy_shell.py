"""A shell for operators: the settings of the deployed functions, and the operators' role."""

import json
import shlex
from pathlib import Path

import pytest

from deploy import shell
from deploy.stage import Stage
from tests.fakes.aws_cli import REGION, AwsCli

DEPLOYED = {
    "VAULT_TABLE": "token-vault-prod-vault",
    "VAULT_PUBLIC_URL": "https://vault.contoso.com",
    "VAULT_DIRECTORIES": '[{"domain": "O\'Contoso", "ca_file": "stage/ca.pem"}, {"domain": "B"}]',
    "VAULT_SIGN_IN": "",
    "VAULT_METRICS": "TokenVault/token-vault-prod",
    "VAULT_GATEWAY_STAGE": "api",
}
ROLE = "arn:aws:iam::123456789012:role/operators"


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    monkeypatch.setattr("deploy.stage.ROOT", tmp_path)
    one = Stage("prod", {})
    (one.folder / "bundle").mkdir(parents=True)
    monkeypatch.setattr(Stage, "named", lambda _name: one)
    return one


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch) -> AwsCli:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    stand_in = AwsCli()
    outputs = {"APIHandlerName": "token-vault-prod-api-handler", "OperatorsRoleArn": ROLE}
    listed = [{"OutputKey": name, "OutputValue": value} for name, value in outputs.items()]
    stand_in.account.stacks["token-vault-prod"] = {"StackStatus": "UPDATE_COMPLETE", "Outputs": listed}
    stand_in.account.environment = dict(DEPLOYED)
    monkeypatch.setattr("deploy.aws_program.subprocess.run", stand_in)
    return stand_in


def exported(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, str]:
    """As a shell reads the lines."""
    assert shell.main(["--stage", "prod", *arguments]) == 0
    words = [shlex.split(line) for line in capsys.readouterr().out.splitlines()]
    assert {word for word, *_ in words} == {"export"}
    return dict(pair.split("=", 1) for _, pair in words)


def test_a_shell_gets_the_settings_of_the_functions_and_the_role(
    stage: Stage, cli: AwsCli, capsys: pytest.CaptureFixture[str]
) -> None:
    found = exported(capsys)
    assert found["VAULT_TABLE"] == "token-vault-prod-vault"
    assert found["AWS_REGION"] == REGION
    assert found["AWS_SESSION_TOKEN"] == f"SessionToken of {ROLE}"
    assert "VAULT_GATEWAY_STAGE" not in found
    first, second = json.loads(found["VAULT_DIRECTORIES"])
    assert (first["domain"], first["ca_file"]) == ("O'Contoso", str(stage.folder / "bundle" / "ca.pem"))
    assert second == {"domain": "B"}


def test_descriptions_that_are_in_the_bundle_are_read_from_the_stage(
    stage: Stage, cli: AwsCli, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.account.environment |= {"VAULT_DIRECTORIES": "settings/directories.json", "VAULT_SIGN_IN": "stage/sign-in.json"}
    (stage.folder / "parameters.json").write_text(json.dumps({"Directories": '[{"domain": "A"}]'}), encoding="utf-8")
    (stage.folder / "bundle" / "sign-in.json").write_text('{"issuer": "x"}', encoding="utf-8")
    found = exported(capsys, "--no-role")
    assert (found["VAULT_DIRECTORIES"], found["VAULT_SIGN_IN"]) == ('[{"domain": "A"}]', '{"issuer": "x"}')
    assert "AWS_ACCESS_KEY_ID" not in found
    assert "sts assume-role" not in cli.operations


def test_what_is_missing_is_said(stage: Stage, cli: AwsCli, capsys: pytest.CaptureFixture[str]) -> None:
    outputs = cli.account.stacks["token-vault-prod"]["Outputs"]
    outputs.pop()
    assert shell.main(["--stage", "prod"]) == 1
    assert "name yourself in OperatorArns" in capsys.readouterr().err
    cli.account.stacks.clear()
    assert shell.main(["--stage", "prod"]) == 1
    assert "There is no stack token-vault-prod" in capsys.readouterr().err
