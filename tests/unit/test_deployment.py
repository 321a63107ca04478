"""`make deploy`: what is checked here, what is asked of AWS in which order, and what is said when it fails."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from deploy import definition, deploy, environment, parameters, sources, start
from deploy.aws_program import AwsProgram
from deploy.errors import BuildError
from deploy.options import FILE, Options
from deploy.package import BUNDLE, MADE_OF, TEMPLATE
from deploy.stage import Stage
from deploy.template.merge import merge_template
from tests.fakes.aws_cli import REGION, AwsCli, Refused

DIRECTORIES = json.dumps([{"domain": "CONTOSO", "servers": ["ldaps://dc1.contoso.com"]}])
GIVEN = {
    "PublicUrl": "https://vault.contoso.com",
    "Directories": DIRECTORIES,
    "BundleBucket": "contoso-deployments",
}
STACK = "token-vault-prod"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/11111111-1111-1111-1111-111111111111"
AUDIT_KEY = KEY.replace("1111-1", "2222-2")
ORDER = [
    "cloudformation describe-stacks",
    "apigateway get-account",
    "s3 cp",
    "dynamodb describe-table",
    "dynamodb describe-table",
    "s3 cp",
    "cloudformation create-change-set",
    "cloudformation wait",
    "cloudformation describe-change-set",
    "cloudformation execute-change-set",
    "cloudformation wait",
    "cloudformation describe-stacks",
    "cloudformation update-termination-protection",
]


def template() -> dict[str, Any]:
    """Ours, with as much of Chalice's as a deployment looks at."""
    found = merge_template()
    found["Resources"]["APIHandler"]["Type"] = "AWS::Lambda::Function"
    found["Resources"]["RestAPI"]["Type"] = "AWS::ApiGateway::RestApi"
    found["Resources"] = {name: one for name, one in found["Resources"].items() if "Type" in one}
    deployment = {"Type": "AWS::ApiGateway::Deployment", "Properties": {"RestApiId": {"Ref": "RestAPI"}}}
    stage = {"Type": "AWS::ApiGateway::Stage", "Properties": {"DeploymentId": {"Ref": "RestAPIDeployment1"}}}
    found["Resources"] |= {"RestAPIDeployment1": deployment, "RestAPIapiStage": stage}
    found["Parameters"]["BundleKey"]["Default"] = "token-vault/abc.zip"
    return found


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A stage in a folder of its own, packaged; its bundle starts."""
    monkeypatch.setattr("deploy.stage.ROOT", tmp_path)
    monkeypatch.setattr(sources, "digest", lambda _stage: "of now")
    monkeypatch.setattr(start, "check", lambda _bundle, _environment: {636})
    one = Stage("prod", {})
    one.output.mkdir(parents=True)
    (one.output / TEMPLATE).write_text(json.dumps(template()), encoding="utf-8")
    (one.output / MADE_OF).write_text("of now", encoding="utf-8")
    with zipfile.ZipFile(one.output / BUNDLE, "w") as bundle:
        bundle.writestr("app.py", "")
    one.folder.mkdir(parents=True)
    write(one, json.dumps(GIVEN))
    return one


@pytest.fixture(params=[1, 2], ids=["aws 1", "aws 2"])
def cli(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> AwsCli:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    stand_in = AwsCli(version=request.param)
    monkeypatch.setattr("deploy.aws_program.subprocess.run", stand_in)
    return stand_in


def write(stage: Stage, text: str, file: str = parameters.FILE) -> None:
    (stage.folder / file).write_text(text, encoding="utf-8")


def run(stage: Stage, **flags: bool) -> None:
    options = Options.read(stage)
    deploy.deploy(deploy.prepare(stage, options), options, **flags)


def there(status: str = "CREATE_COMPLETE") -> dict[str, Any]:
    return {"StackStatus": status, "Parameters": [{"ParameterKey": "LeaverDays", "ParameterValue": "60"}]}


def test_the_first_deployment_in_its_order(stage: Stage, cli: AwsCli, capsys: pytest.CaptureFixture[str]) -> None:
    run(stage)
    assert cli.operations == ORDER
    assert "s3://contoso-deployments/token-vault/abc.zip" in cli.uploaded
    sent = cli.sent["create-change-set"]
    assert (sent["ChangeSetType"], sent["Capabilities"]) == ("CREATE", ["CAPABILITY_NAMED_IAM"])
    assert sent["TemplateURL"].startswith(
        f"https://s3.{REGION}.amazonaws.com/contoso-deployments/token-vault/templates/"
    )
    assert cli.account.stacks[STACK]["EnableTerminationProtection"] is True
    said = capsys.readouterr().out
    assert "add     VaultTable (AWS::DynamoDB::Table)" in said
    assert "PublicUrl: https://vault.contoso.com" in said


def test_every_parameter_is_sent_so_that_a_line_taken_out_counts(
    stage: Stage, cli: AwsCli, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.account.stacks[STACK] = there()
    run(stage)
    sent = {one["ParameterKey"]: one.get("ParameterValue") for one in cli.sent["create-change-set"]["Parameters"]}
    assert set(sent) == set(template()["Parameters"])
    assert None not in sent.values()
    assert sent["LeaverDays"] == "30"
    assert cli.sent["create-change-set"]["ChangeSetType"] == "UPDATE"
    said = capsys.readouterr().out
    assert "parameter LeaverDays: '60' becomes '30'" in said
    assert "IS REPLACED" in said


def test_what_a_governed_account_asks_for(stage: Stage, cli: AwsCli) -> None:
    role = "arn:aws:iam::123456789012:role/deployer"
    asked = {"stack": "vault", "role_arn": role, "tags": {"Owner": "it, Berlin"}, "termination_protection": False}
    write(stage, json.dumps(asked), FILE)
    run(stage)
    sent = cli.sent["create-change-set"]
    assert (sent["RoleARN"], sent["Tags"]) == (role, [{"Key": "Owner", "Value": "it, Berlin"}])
    assert cli.account.stacks["vault"]["EnableTerminationProtection"] is False


def test_tags_that_are_taken_out_go(stage: Stage, cli: AwsCli) -> None:
    run(stage)
    assert cli.sent["create-change-set"]["Tags"] == []


def test_a_review_shows_the_changes_and_makes_none(
    stage: Stage, cli: AwsCli, capsys: pytest.CaptureFixture[str]
) -> None:
    run(stage, review=True)
    assert cli.operations == ORDER[:9]
    (left,) = cli.account.change_sets
    assert (
        f"aws cloudformation execute-change-set --stack-name {STACK} --change-set-name {left}"
        in capsys.readouterr().out
    )
    run(stage)
    assert cli.account.stacks[STACK]["StackStatus"] == "CREATE_COMPLETE"


def test_nothing_to_change_is_no_failure(stage: Stage, cli: AwsCli, capsys: pytest.CaptureFixture[str]) -> None:
    cli.account.stacks[STACK] = there()
    cli.account.unchanged = True
    run(stage)
    assert "nothing to change" in capsys.readouterr().out
    assert cli.account.change_sets == {}
    assert "cloudformation execute-change-set" not in cli.operations


def test_a_template_that_is_refused_is_said_in_its_words(stage: Stage, cli: AwsCli) -> None:
    cli.account.invalid = "Template error: no such thing."
    with pytest.raises(BuildError, match="refuses the template: Template error: no such thing"):
        run(stage)


@pytest.mark.parametrize("operation", sorted({one.split()[1] for one in ORDER} - {"wait", "cp"}))
def test_a_refusal_at_any_step_is_said_and_stops_there(stage: Stage, cli: AwsCli, operation: str) -> None:
    cli.refuses[operation] = Refused("AccessDenied", f"not authorized to perform {operation}")
    with pytest.raises(BuildError, match=f"{operation} failed: .*not authorized to perform {operation}"):
        run(stage)
    assert cli.operations[-1].endswith(operation)


def test_a_failed_first_deployment_says_why_and_the_next_one_goes_through(
    stage: Stage, cli: AwsCli, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.account.failing = "The certificate is not of this region."
    with pytest.raises(BuildError) as failed:
        run(stage)
    said = str(failed.value)
    assert "ROLLBACK_COMPLETE" in said
    assert "- Domain (AWS::ApiGateway::DomainName): The certificate is not of this region." in said
    assert "ADOPT=1" in said
    assert "of long ago" not in said
    assert "cancelled" not in said
    cli.account.failing = ""
    cli.account.tables |= {f"{STACK}-vault": KEY, f"{STACK}-vault-keys": KEY}
    with pytest.raises(BuildError, match=f"{STACK}-vault, {STACK}-vault-keys.* ADOPT=1"):
        run(stage)
    cli.account.audit_keys.append(AUDIT_KEY)
    run(stage, adopt=True)
    assert cli.account.stacks[STACK]["StackStatus"] == "UPDATE_COMPLETE"
    assert "what is left of the stack is deleted" in capsys.readouterr().out


def imported(cli: AwsCli, stage: Stage, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What was asked to be taken over, by logical id, and that nothing else was in that template."""
    seen: list[dict[str, Any]] = []
    create = cli._create_change_set
    monkeypatch.setattr(cli, "_create_change_set", lambda given: (seen.append(given), create(given))[1])
    run(stage, adopt=True)
    first, second = seen
    assert (first["ChangeSetType"], second["ChangeSetType"]) == ("IMPORT", "UPDATE")
    asked = {one["LogicalResourceId"]: one["ResourceIdentifier"] for one in first["ResourcesToImport"]}
    address = first["TemplateURL"].partition(f"https://s3.{REGION}.amazonaws.com/")[2]
    alone = json.loads(cli.uploaded[f"s3://{address}"])
    assert set(alone["Resources"]) == set(asked)
    assert "Outputs" not in alone
    assert all(one["DeletionPolicy"].startswith("Retain") for one in alone["Resources"].values())
    return asked


def test_an_earlier_stacks_tables_are_taken_over_with_their_keys(
    stage: Stage, cli: AwsCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = AUDIT_KEY.replace("2222-2", "3333-3")
    cli.account.tables = {f"{STACK}-vault": KEY, f"{STACK}-vault-keys": KEY}
    cli.account.audit_keys, cli.account.keys = [AUDIT_KEY, old], {old: "PendingDeletion"}
    cli.account.backup_vaults = {STACK}
    assert imported(cli, stage, monkeypatch) == {
        "VaultTable": {"TableName": f"{STACK}-vault"},
        "KeysTable": {"TableName": f"{STACK}-vault-keys"},
        "TokenKey": {"KeyId": KEY.rpartition("/")[2]},
        "AuditKey": {"KeyId": AUDIT_KEY.rpartition("/")[2]},
        "BackupVault": {"BackupVaultName": STACK},
    }


def test_what_is_missing_of_an_earlier_stack_is_made(
    stage: Stage, cli: AwsCli, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli.account.tables = {f"{STACK}-vault-keys": KEY}
    assert set(imported(cli, stage, monkeypatch)) == {"KeysTable", "TokenKey"}


def test_two_keys_that_could_have_sealed_are_for_a_person_to_tell_apart(stage: Stage, cli: AwsCli) -> None:
    cli.account.tables = {f"{STACK}-vault": KEY}
    cli.account.audit_keys = [KEY, AUDIT_KEY]
    with pytest.raises(BuildError, match="Several keys could be the one"):
        run(stage, adopt=True)


@pytest.mark.parametrize("status", ["UPDATE_ROLLBACK_FAILED", "ROLLBACK_FAILED", "CREATE_FAILED", "DELETE_FAILED"])
def test_a_stack_that_is_stuck_says_how_to_go_on(stage: Stage, cli: AwsCli, status: str) -> None:
    cli.account.stacks[STACK] = there(status)
    with pytest.raises(BuildError, match=rf"stuck \({status}\)[\s\S]*go on with: aws cloudformation"):
        run(stage)


def test_a_stack_that_is_being_changed_is_left_alone(stage: Stage, cli: AwsCli) -> None:
    cli.account.stacks[STACK] = there("UPDATE_IN_PROGRESS")
    with pytest.raises(BuildError, match="is being changed"):
        run(stage)


def test_a_failed_change_leaves_what_was(stage: Stage, cli: AwsCli) -> None:
    cli.account.stacks[STACK] = there()
    cli.account.failing = "No."
    with pytest.raises(BuildError, match=r"UPDATE_ROLLBACK_COMPLETE[\s\S]*as it was before"):
        run(stage)


def test_the_accounts_role_for_logs_is_neither_missing_nor_taken_over(stage: Stage, cli: AwsCli) -> None:
    other, cli.account.log_role = cli.account.log_role, ""
    with pytest.raises(BuildError, match='"GatewayLogRole": "true"'):
        run(stage)
    write(stage, json.dumps(GIVEN | {"GatewayLogRole": True}))
    run(stage)
    cli.account.log_role = f"arn:aws:iam::123456789012:role/{STACK}-GatewayWriter-1ABC"
    run(stage)
    cli.account.log_role = other
    with pytest.raises(BuildError, match="has a role for its logs already"):
        run(stage)


def test_a_cli_without_region_or_no_cli_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(BuildError, match="not installed"):
        AwsProgram()
    monkeypatch.setattr(AwsCli, "__call__", lambda *_a, **_k: type("D", (), {"returncode": 1, "stderr": ""})())
    monkeypatch.setattr("deploy.aws_program.subprocess.run", AwsCli())
    with pytest.raises(BuildError, match="has no region"):
        AwsProgram()
    monkeypatch.setenv("AWS_REGION", "cn-north-1")
    assert AwsProgram().region == "cn-north-1"


def test_a_dry_run_says_what_it_would_ask_for_and_calls_nobody(
    stage: Stage, cli: AwsCli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Stage, "named", lambda _name: stage)
    assert deploy.main(["--stage", "prod", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert cli.calls == []
    assert "3 AWS::DynamoDB::Table" in said
    assert "s3://contoso-deployments/token-vault/abc.zip" in said
    assert "  LeaverDays=30" in said
    sent = json.loads((stage.output / deploy.VALUES).read_text(encoding="utf-8"))
    assert set(sent) == set(template()["Parameters"])


def test_the_command_deploys_and_says_what_is_wrong(
    stage: Stage, cli: AwsCli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Stage, "named", lambda _name: stage)
    assert deploy.main(["--stage", "prod"]) == 0
    write(stage, "{")
    assert deploy.main(["--stage", "prod"]) == 1
    assert "is no JSON" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [("", "is no JSON"), ("[]", "must be one JSON object"), ('{"PublicUrl": null}', "must be one JSON object")],
)
def test_a_file_that_is_none_is_said(stage: Stage, text: str, said: str) -> None:
    write(stage, text)
    with pytest.raises(BuildError, match=said):
        run(stage)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no JSON"),
        ("[]", "must be one JSON object"),
        ('{"tag": {}}', "tag: unknown or of another kind"),
        ('{"tags": {"Owner": 1}}', "tags: unknown or of another kind"),
        ('{"termination_protection": "no"}', "termination_protection: unknown or of another kind"),
        (json.dumps({"stack": "v" * 31}), "more than 30 characters"),
    ],
)
def test_options_that_are_none_are_said(stage: Stage, text: str, said: str) -> None:
    write(stage, text, FILE)
    with pytest.raises(BuildError, match=said):
        Options.read(stage)


def test_what_was_not_done_before_is_said(stage: Stage) -> None:
    (stage.folder / parameters.FILE).unlink()
    with pytest.raises(BuildError, match=r"parameters\.json is missing\. .*example"):
        run(stage)
    (stage.output / MADE_OF).write_text("of before", encoding="utf-8")
    with pytest.raises(BuildError, match="not of what is here now: make package STAGE=prod"):
        run(stage)
    (stage.output / TEMPLATE).unlink()
    with pytest.raises(BuildError, match="There is no package of the stage prod: make package STAGE=prod"):
        run(stage)


def test_a_stage_that_does_not_exist_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert deploy.main(["--stage", "production"]) == 1
    assert "There is no stage 'production' in .chalice/config.json; there is: prod." in capsys.readouterr().err
    assert deploy.main(["--stage", "local"]) == 1


def test_a_package_is_out_of_date_when_anything_of_it_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploy.stage.ROOT", tmp_path)
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    lock = tmp_path / "requirements.lock"
    monkeypatch.setattr(sources, "LOCK", lock)
    stage = Stage("prod", {})
    files = [
        lock,
        *(tmp_path / name for name in ("app.py", ".chalice/config.json", "chalicelib/a.py", "deploy/b.yaml")),
    ]
    files.append(stage.folder / "bundle" / "ca.pem")
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("before", encoding="utf-8")
    seen = {sources.digest(stage)}
    for file in files:
        file.write_text("after", encoding="utf-8")
        seen.add(sources.digest(stage))
    assert len(seen) == len(files) + 1
    (tmp_path / "chalicelib" / "notes.txt").write_text("of nobody's concern", encoding="utf-8")
    assert sources.digest(stage) in seen


def deployment_of(**changed: str) -> str:
    values = parameters.complete({**GIVEN, **changed}, template()["Parameters"])
    made = definition.revised(template(), values)["Resources"]
    (name,) = [name for name, one in made.items() if one["Type"] == "AWS::ApiGateway::Deployment"]
    assert made["RestAPIapiStage"]["Properties"]["DeploymentId"] == {"Ref": name}
    return name


def test_whatever_changes_the_gateways_definition_makes_a_new_deployment() -> None:
    before = deployment_of()
    assert deployment_of() == before
    certificate = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
    assert (
        len({before, deployment_of(PublicUrl="https://other.contoso.com"), deployment_of(CertificateArn=certificate)})
        == 3
    )
    assert deployment_of(LeaverDays="60") == before


def test_a_definition_of_other_words_makes_a_new_deployment() -> None:
    values = parameters.complete(GIVEN, template()["Parameters"])
    changed = template()
    changed["Resources"]["RestAPI"]["Properties"]["Name"] = "other"
    assert definition.revised(changed, values) != definition.revised(template(), values)
    assert deployment_of() not in definition.revised(changed, values)["Resources"]


def settled(stage: Stage, **changed: str) -> environment.Settled:
    values = parameters.complete({**GIVEN, **changed}, template()["Parameters"])
    return environment.settle(template(), values, STACK, stage.output / BUNDLE)


def directories(number: int) -> str:
    return json.dumps([{"domain": f"D{one}", "servers": [f"ldaps://dc{one}.contoso.com"]} for one in range(number)])


def test_settings_that_fit_stay_where_they_are(stage: Stage) -> None:
    found = settled(stage)
    assert (found.values["Directories"], found.bundle) == (DIRECTORIES, stage.output / BUNDLE)
    assert environment.size(environment.of_functions(template(), found.values, STACK)) <= 4096


def test_directories_that_are_too_long_for_lambda_go_into_the_bundle_by_themselves(stage: Stage) -> None:
    long = directories(100)
    found = settled(stage, Directories=long)
    assert found.values["Directories"] == "settings/directories.json"
    assert found.values["BundleKey"] != "token-vault/abc.zip"
    with zipfile.ZipFile(found.bundle) as bundle:
        assert bundle.read("settings/directories.json").decode() == long
        assert set(bundle.namelist()) == {"app.py", "settings/directories.json"}
    assert settled(stage, Directories=long) == found


def test_a_sign_in_that_is_too_long_as_well_goes_there_too(stage: Stage) -> None:
    found = settled(stage, Directories=directories(100), SignIn=json.dumps({"issuer": "x" * 4000}))
    assert found.values["SignIn"] == "settings/sign-in.json"


def test_what_is_too_long_even_so_is_said(stage: Stage) -> None:
    with pytest.raises(BuildError, match="and Lambda takes 4096"):
        settled(stage, AdminMail=",".join(f"somebody{n}@contoso.com" for n in range(200)))
