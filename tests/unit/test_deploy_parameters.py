"""The parameters file of a stage, and what a deployment of it would make."""

import json
from pathlib import Path
from typing import Any

import pytest

from deploy import conditions, deploy, parameters
from deploy.errors import BuildError
from deploy.package import TEMPLATE
from deploy.stage import ROOT, Stage
from deploy.template.merge import merge_template
from deploy.template.permissions import policy

KNOWN: dict[str, Any] = merge_template()["Parameters"]
DIRECTORIES = json.dumps([{"domain": "CONTOSO", "servers": ["ldaps://dc1.contoso.com"]}])
GIVEN = {
    "PublicUrl": "https://vault.contoso.com",
    "Directories": DIRECTORIES,
    "BundleBucket": "contoso-deployments",
    "BundleKey": "token-vault/x.zip",
}


def faults(**changed: str) -> str:
    """What is said of these parameters."""
    with pytest.raises(BuildError) as refused:
        parameters.check(GIVEN | changed, KNOWN)
    return str(refused.value)


def test_the_smallest_file_will_do() -> None:
    parameters.check(GIVEN, KNOWN)


def test_the_example_is_right() -> None:
    example = json.loads((ROOT / "stages/prod/parameters.example.json").read_text(encoding="utf-8"))
    parameters.check(example | {"BundleKey": "x"}, KNOWN)


def test_every_missing_parameter_is_named_with_its_meaning() -> None:
    with pytest.raises(BuildError) as refused:
        parameters.check({"BundleKey": "x"}, KNOWN)
    said = str(refused.value)
    assert [name for name in ("PublicUrl", "Directories", "BundleBucket") if f"- {name} is missing. " not in said] == []
    assert "The address people open" in said


SIGN_IN = '{"kind": "openid", "issuer": "https://id.contoso.com", "client_id": "vault", "client_secret": "sign-in"}'


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"Publicurl": "x"}, "Publicurl is no parameter of the template."),
        ({"PublicUrl": "http://vault.contoso.com"}, "PublicUrl is 'http://vault.contoso.com'. It begins with https://"),
        ({"PublicUrl": "https://vault.contoso.com/"}, "has no slash at its end"),
        ({"LogDays": "31"}, "LogDays is '31' and must be one of 30, 60, 90"),
        ({"LeaverDays": "0"}, "LeaverDays is '0' and must be a number from 1."),
        ({"LeaverDays": "many"}, "LeaverDays is 'many' and must be a number from 1."),
        ({"KeyCacheSeconds": "301"}, "KeyCacheSeconds is '301' and must be a number from 0 to 300."),
        ({"KeyCacheSeconds": "-1"}, "KeyCacheSeconds is '-1' and must be a number from 0 to 300."),
        ({"Firewall": "yes"}, "Firewall is 'yes' and must be one of true, false."),
        ({"BundleBucket": ""}, "BundleBucket is too short."),
        ({"VpcId": "vpc-1"}, "SubnetIds is missing"),
        ({"VpcId": "vpc-1", "SubnetIds": "subnet-1", "VpcEndpoints": "true"}, "RouteTableIds is missing"),
        ({"Truststore": "s3://x/y.pem"}, "CertificateArn is missing: Truststore"),
        ({"CertificateArn": "arn:x", "PublicUrl": "https://vault.contoso.com/api"}, "PublicUrl has a path"),
        ({"EventBus": "arn:aws:events:x"}, "It is the name of a bus"),
        ({"MailFrom": "vault@contoso.com"}, "MailIdentityArns is missing"),
        ({"AdminMail": "team@contoso.com"}, "MailFrom is missing"),
        ({"MailFrom": "vault", "MailIdentityArns": "arn:x"}, "MailFrom is 'vault', which is no plain mail address."),
        ({"Directories": "[{]"}, "Directories cannot be understood"),
        ({"Directories": '[{"domain": "CONTOSO", "sevrers": []}]'}, "Directories cannot be understood: "),
        (
            {"Directories": DIRECTORIES.replace("}", ', "service_account": "CONTOSO\\\\svc", "service_secret": "s"}')},
            "DirectorySecretArns is missing: Directories names a secret",
        ),
        ({"Directories": "[]"}, "so nobody could log in"),
        ({"SignIn": '{"issuer": "x"}'}, "SignIn cannot be understood: "),
        ({"SignIn": "{"}, "SignIn cannot be understood: "),
        ({"SignIn": SIGN_IN}, "DirectorySecretArns is missing: SignIn names a secret"),
    ],
)
def test_a_fault_is_named(changed: dict[str, str], said: str) -> None:
    assert said in faults(**changed)


def ours() -> dict[str, Any]:
    """The template without what Chalice adds."""
    template = merge_template()
    template["Resources"] = {name: one for name, one in template["Resources"].items() if "Type" in one}
    return template


def made(**changed: str) -> set[str]:
    return set(conditions.chosen(ours(), GIVEN | changed))


def test_the_smallest_deployment_has_no_domain_vpc_or_export() -> None:
    smallest = made(Firewall="false", Backups="false", GatewayLogRole="false")
    optional = {"Domain", "DomainRecord", "FirewallRules", "FunctionsGroup", "KmsEndpoint", "BackupPlan", "AuditBucket"}
    assert smallest & (optional | {"AlarmTopic", "GatewayAccount", "NetworkInterfaces"}) == set()
    assert {"VaultTable", "KeysTable", "SessionsTable", "TokenKey", "AuditKey"} <= smallest


@pytest.mark.parametrize(
    ("changed", "more"),
    [
        ({"CertificateArn": "arn:x"}, {"Domain", "DomainMapping"}),
        ({"CertificateArn": "arn:x", "HostedZoneId": "Z1"}, {"Domain", "DomainMapping", "DomainRecord"}),
        ({"VpcId": "vpc-1"}, {"FunctionsGroup", "NetworkInterfaces"}),
        ({"AlarmEmail": "operations@contoso.com"}, {"AlarmTopic"}),
        (
            {"AuditExport": "true"},
            {"AuditBucket", "AuditBucketPolicy", "AuditExportRole", "AuditExportSchedule"},
        ),
    ],
)
def test_a_parameter_brings_its_resources(changed: dict[str, str], more: set[str]) -> None:
    assert made(**changed) - made() == more


def kms_statements(**changed: str) -> dict[str, Any]:
    """What the web function may do with keys, resources resolved."""
    chosen = {name: (GIVEN | changed).get(name, "") for name in ("CompanyKeyArn", "EarlierKeyArn")}
    found: dict[str, Any] = {}
    for statement in policy("api_handler")["Statement"]:
        if "Fn::If" in statement:
            condition, given, _ = statement["Fn::If"]
            if condition != "HasEarlierKey" or not chosen["EarlierKeyArn"]:
                continue
            statement = given  # noqa: PLW2901 - the one that counts
        if any(action.startswith("kms:") for action in statement["Action"]):
            found[statement["Sid"]] = (statement["Action"], [_resolved(one, chosen) for one in statement["Resource"]])
    return found


def _resolved(resource: dict[str, Any], chosen: dict[str, str]) -> str:
    if "Fn::If" in resource:
        resource = resource["Fn::If"][1 if chosen["CompanyKeyArn"] else 2]
    return chosen[resource["Ref"]] if "Ref" in resource else resource["Fn::GetAtt"][0]


def test_provider_keys_are_the_stacks_or_the_companys_and_an_earlier_one_only_opens() -> None:
    both = ["kms:Decrypt", "kms:GenerateDataKeyWithoutPlaintext"]
    assert kms_statements() == {"ProviderKeys": (both, ["TokenKey"])}
    assert kms_statements(CompanyKeyArn="arn:new", EarlierKeyArn="arn:old") == {
        "ProviderKeys": (both, ["arn:new"]),
        "EarlierKey": (["kms:Decrypt"], ["arn:old"]),
    }


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage in a folder of its own, packaged."""
    monkeypatch.setattr("deploy.stage.ROOT", tmp_path)
    one = Stage("prod", {})
    one.output.mkdir(parents=True)
    template = ours()
    template["Parameters"]["BundleKey"]["Default"] = "token-vault/abc.zip"
    (one.output / TEMPLATE).write_text(json.dumps(template), encoding="utf-8")
    one.folder.mkdir(parents=True)
    return one


def write(stage: Stage, text: str) -> None:
    (stage.folder / parameters.FILE).write_text(text, encoding="utf-8")


def test_a_dry_run_says_what_it_would_ask_for_and_calls_nobody(
    stage: Stage, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("subprocess.run", lambda *_args, **_options: pytest.fail("something was called"))
    write(stage, json.dumps({name: value for name, value in GIVEN.items() if name != "BundleKey"}))
    deploy.deploy(stage, "vault", dry_run=True)
    said = capsys.readouterr().out
    assert "3 AWS::DynamoDB::Table" in said
    assert "s3://contoso-deployments/token-vault/abc.zip" in said
    assert "aws cloudformation deploy --stack-name vault" in said
    assert "BundleKey=token-vault/abc.zip" in said


def test_the_bundle_is_there_before_the_stack_changes(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    called: list[list[str]] = []

    class Done:
        returncode = 0

    monkeypatch.setattr("subprocess.run", lambda command, **_options: called.append(command) or Done())
    write(stage, json.dumps(GIVEN | {"LeaverDays": 60}))
    deploy.deploy(stage, "vault", dry_run=False)
    assert [command[1:3] for command in called] == [["s3", "cp"], ["cloudformation", "deploy"]]
    assert "LeaverDays=60" in called[1]


def test_a_command_that_fails_stops_the_deployment(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    class Failed:
        returncode = 255

    monkeypatch.setattr("subprocess.run", lambda *_args, **_options: Failed())
    write(stage, json.dumps(GIVEN))
    with pytest.raises(BuildError, match="aws s3 cp failed with exit code 255"):
        deploy.deploy(stage, "vault", dry_run=False)


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "is no JSON"), ("[]", "must be one JSON object"), ('{"PublicUrl": null}', "must be one JSON object")],
)
def test_a_file_that_is_none_is_said(stage: Stage, text: str, said: str) -> None:
    write(stage, text)
    with pytest.raises(BuildError, match=said):
        deploy.deploy(stage, "vault", dry_run=True)


def test_what_was_not_done_before_is_said(stage: Stage, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(BuildError, match=r"parameters\.json is missing\. .*example"):
        deploy.deploy(stage, "vault", dry_run=True)
    (stage.output / TEMPLATE).unlink()
    with pytest.raises(BuildError, match="make package STAGE=prod"):
        deploy.deploy(stage, "vault", dry_run=True)
    with pytest.raises(BuildError, match="more than 30 characters"):
        deploy.deploy(stage, "v" * 31, dry_run=True)


def test_a_stage_that_does_not_exist_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy.main(["--stage", "production"]) == 1
    assert "There is no stage 'production' in .chalice/config.json; there is: prod." in capsys.readouterr().err
    assert deploy.main(["--stage", "local"]) == 1
