"""What AWS would refuse of the template, by AWS's own descriptions of itself: botocore's service models and its quotas.

A model's lengths, numbers and patterns are checked by no client before something is sent, so they are checked here.
"""

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from botocore.loaders import Loader
from botocore.model import ServiceModel, Shape

from deploy import conditions, environment, parameters
from deploy.package import Package
from deploy.stage import ROOT

from .resolved import STACK, Resolved

pytestmark = pytest.mark.integration

QUOTAS: dict[str, Any] = json.loads(Path(__file__).with_name("quotas.json").read_text(encoding="utf-8"))
CALLS = {
    "AWS::ApiGateway::BasePathMapping": ("apigateway", "CreateBasePathMapping"),
    "AWS::ApiGateway::DomainName": ("apigateway", "CreateDomainName"),
    "AWS::ApiGateway::Stage": ("apigateway", "CreateStage"),
    "AWS::Backup::BackupPlan": ("backup", "CreateBackupPlan"),
    "AWS::Backup::BackupSelection": ("backup", "CreateBackupSelection"),
    "AWS::Backup::BackupVault": ("backup", "CreateBackupVault"),
    "AWS::CloudWatch::Alarm": ("cloudwatch", "PutMetricAlarm"),
    "AWS::CloudWatch::Dashboard": ("cloudwatch", "PutDashboard"),
    "AWS::DynamoDB::Table": ("dynamodb", "CreateTable"),
    "AWS::EC2::SecurityGroup": ("ec2", "CreateSecurityGroup"),
    "AWS::EC2::VPCEndpoint": ("ec2", "CreateVpcEndpoint"),
    "AWS::Events::Rule": ("events", "PutRule"),
    "AWS::IAM::ManagedPolicy": ("iam", "CreatePolicy"),
    "AWS::IAM::Role": ("iam", "CreateRole"),
    "AWS::KMS::Alias": ("kms", "CreateAlias"),
    "AWS::KMS::Key": ("kms", "CreateKey"),
    "AWS::Lambda::EventInvokeConfig": ("lambda", "PutFunctionEventInvokeConfig"),
    "AWS::Lambda::Function": ("lambda", "CreateFunction"),
    "AWS::Lambda::Permission": ("lambda", "AddPermission"),
    "AWS::Logs::LogGroup": ("logs", "CreateLogGroup"),
    "AWS::Logs::MetricFilter": ("logs", "PutMetricFilter"),
    "AWS::SNS::Topic": ("sns", "CreateTopic"),
    "AWS::Scheduler::Schedule": ("scheduler", "CreateSchedule"),
    "AWS::WAFv2::WebACL": ("wafv2", "CreateWebACL"),
    "AWS::WAFv2::WebACLAssociation": ("wafv2", "AssociateWebACL"),
}
"""The call that CloudFormation makes of a resource."""
NO_CALL = {
    "AWS::ApiGateway::Account": "a patch of paths, which the model does not describe",
    "AWS::ApiGateway::Deployment": "has a reference alone",
    "AWS::ApiGateway::RestApi": "a definition, whose size is below",
    "AWS::Route53::RecordSet": "a batch of changes",
    "AWS::S3::Bucket": "several calls",
    "AWS::S3::BucketPolicy": "a document",
    "AWS::SES::ConfigurationSet": "the call names everything otherwise",
    "AWS::SES::ConfigurationSetEventDestination": "the call names everything otherwise",
}
CERTIFICATE = "arn:aws:acm:ap-southeast-2:123456789012:certificate/11111111-1111-1111-1111-111111111111"
EVERYTHING = {
    "PublicUrl": "https://vault.contoso.com",
    "Directories": '[{"domain": "CONTOSO", "servers": ["ldaps://dc1.contoso.com"]}]',
    "BundleBucket": "contoso-deployments",
    "CertificateArn": CERTIFICATE,
    "HostedZoneId": "Z0123456789ABCDEFGHIJ",
    "Truststore": "s3://contoso/ca.pem",
    "VpcId": "vpc-0a1b2c3d",
    "SubnetIds": "subnet-1,subnet-2",
    "RouteTableIds": "rtb-1",
    "VpcEndpoints": "true",
    "DirectoryPort": "10636",
    "DirectorySecretArns": "arn:aws:secretsmanager:ap-southeast-2:123456789012:secret:x-??????",
    "SecretKeyArns": "arn:aws:kms:ap-southeast-2:123456789012:key/1",
    "EarlierKeyArn": "arn:aws:kms:ap-southeast-2:123456789012:key/2",
    "EventBus": "default",
    "MailFrom": "vault@contoso.com",
    "MailIdentityArns": "arn:aws:ses:ap-southeast-2:123456789012:identity/contoso.com",
    "MailReplyTo": "helpdesk@contoso.com",
    "AlarmEmail": "operations@contoso.com",
    "GatewayLogRole": "true",
    "AuditExport": "true",
    "OperatorArns": "arn:aws:iam::123456789012:role/cloud-team",
    "CallerAccounts": "210987654321",
    "PermissionsBoundaryArn": "arn:aws:iam::123456789012:policy/boundary",
    "Tracing": "Active",
}
SMALLEST = {name: EVERYTHING[name] for name in ("PublicUrl", "Directories", "BundleBucket")}


@pytest.fixture(scope="module", params=[EVERYTHING, SMALLEST], ids=["everything", "smallest"])
def made_of(request: pytest.FixtureRequest, made: Package) -> dict[str, dict[str, Any]]:
    """The resources with their values."""
    known = made.template["Parameters"]
    parameters.check(request.param, known)
    return Resolved(made.template, parameters.complete(request.param, known)).resources()


@pytest.fixture(scope="module")
def everything(made: Package) -> dict[str, dict[str, Any]]:
    return Resolved(made.template, parameters.complete(EVERYTHING, made.template["Parameters"])).resources()


def test_everything_is_asked_for_by_the_parameters_of_this_test(made: Package) -> None:
    values = parameters.complete(EVERYTHING, made.template["Parameters"])
    assert set(conditions.chosen(made.template, values)) == set(made.template["Resources"])


def test_aws_takes_the_values_of_every_resource(made_of: dict[str, dict[str, Any]]) -> None:
    """Lengths, numbers, patterns, words and list lengths, at any depth."""
    assert {one["Type"] for one in made_of.values()} <= {*CALLS, *NO_CALL}
    problems = [
        f"{name}: {problem}"
        for name, one in made_of.items()
        if one["Type"] in CALLS
        for problem in _problems(one["Properties"], _input(*CALLS[one["Type"]]), "")
    ]
    assert problems == []


def test_what_a_create_call_must_have_is_there(everything: dict[str, dict[str, Any]]) -> None:
    for name, one in everything.items():
        if one["Type"] in CALLS:
            given = {key.lower() for key in one["Properties"]}
            missing = {key.lower() for key in _input(*CALLS[one["Type"]]).required_members} - given - GENERATED
            assert missing == set(), name


GENERATED = {
    # CloudFormation makes them up, or names them otherwise
    "alarmname", "policyname", "filtername", "name", "statementid", "groupname", "description", "creatorrequestid",
    "code", "rolename", "vpcid", "client_token", "clienttoken", "keyid", "functionname", "restapiid",
}  # fmt: skip


@cache
def _input(service: str, operation: str) -> Shape:
    model = ServiceModel(Loader().load_service_model(service, "service-2"))
    shape = model.operation_model(operation).input_shape
    assert shape is not None
    return shape


def _problems(value: Any, shape: Shape, where: str) -> Iterator[str]:
    if shape.type_name == "structure" and isinstance(value, dict):
        members = {name.lower(): member for name, member in shape.members.items()}
        for name, one in value.items():
            if name.lower() in members:
                yield from _problems(one, members[name.lower()], f"{where}.{name}")
    elif shape.type_name == "list" and isinstance(value, list):
        yield from _outside(len(value), shape, f"{where} (number)")
        for number, one in enumerate(value):
            yield from _problems(one, shape.member, f"{where}[{number}]")
    elif shape.type_name == "string" and isinstance(value, str):
        yield from _words(value, shape, where)
    elif shape.type_name in ("integer", "long", "double") and not isinstance(value, dict | list):
        yield from _outside(float(value), shape, where)


def _words(value: str, shape: Shape, where: str) -> Iterator[str]:
    yield from _outside(len(value), shape, f"{where} (length)")
    if shape.enum and value not in shape.enum:
        yield f"{where} is {value!r} and none of {shape.enum}"
    pattern = shape.metadata.get("pattern", "")
    if pattern and "\\p{" not in pattern and not re.search(f"^(?:{pattern})$", value, re.DOTALL):
        yield f"{where} is {value!r}, not {pattern}"


def _outside(number: float, shape: Shape, where: str) -> Iterator[str]:
    least, most = shape.metadata.get("min"), shape.metadata.get("max")
    if least is not None and number < least:
        yield f"{where} is {number}, less than {least}"
    if most is not None and number > most:
        yield f"{where} is {number}, more than {most}"


def test_this_test_sees_what_the_first_template_was_refused_for() -> None:
    """The index of 32 attributes."""
    projection = {"ProjectionType": "INCLUDE", "NonKeyAttributes": [f"a{number}" for number in range(32)]}
    table = {"GlobalSecondaryIndexes": [{"IndexName": "listing", "Projection": projection}]}
    (said,) = _problems(table, _input("dynamodb", "CreateTable"), "")
    assert "NonKeyAttributes (number) is 32, more than 20" in said


def most(quota: str) -> int:
    found: int = QUOTAS[quota]["most"]
    return found


def test_every_quota_has_its_source() -> None:
    assert [name for name, one in QUOTAS.items() if name != "note" and len(one["source"]) < 20] == []


def test_the_template_is_within_cloudformations_quotas(made: Package) -> None:
    template = made.template
    assert len(json.dumps(template, indent=1)) <= most("template_bytes")
    for part in ("Resources", "Parameters", "Outputs"):
        assert len(template[part]) <= most(f"template_{part.lower()}"), part
    described = [template["Description"], *(one["Description"] for one in template["Parameters"].values())]
    assert max(len(one.encode()) for one in described) <= most("description_bytes")
    assert most("environment_bytes") == environment.MOST_BYTES


def characters(document: Any) -> int:
    """As IAM counts: without white space."""
    return len(re.sub(r"\s", "", json.dumps(document)))


def test_policies_are_within_their_quotas(everything: dict[str, dict[str, Any]]) -> None:
    for name, one in everything.items():
        properties = one["Properties"]
        if one["Type"] == "AWS::IAM::Role":
            inline = sum(characters(policy["PolicyDocument"]) for policy in properties.get("Policies", ()))
            assert inline <= most("role_inline_policy_characters"), name
            assert characters(properties["AssumeRolePolicyDocument"]) <= most("trust_policy_characters"), name
        if one["Type"] == "AWS::IAM::ManagedPolicy":
            assert characters(properties["PolicyDocument"]) <= most("managed_policy_characters"), name
        if one["Type"] == "AWS::KMS::Key":
            assert len(json.dumps(properties["KeyPolicy"])) <= most("key_policy_bytes"), name


def test_the_gateway_is_within_its_quotas(everything: dict[str, dict[str, Any]]) -> None:
    body = everything["RestAPI"]["Properties"]["Body"]
    parts = {"/".join(path.split("/")[: end + 1]) for path in body["paths"] for end in range(1, path.count("/") + 1)}
    assert len(parts) <= most("api_resources")
    assert len(json.dumps(body)) <= most("api_definition_bytes")
    assert everything["APIHandler"]["Properties"]["Timeout"] <= most("gateway_seconds")


def test_tables_logs_groups_and_rules_are_within_their_quotas(everything: dict[str, dict[str, Any]]) -> None:
    filters: dict[str, int] = {}
    for name, one in everything.items():
        properties = one["Properties"]
        if one["Type"] == "AWS::DynamoDB::Table":
            indexes = properties.get("GlobalSecondaryIndexes", [])
            assert len(indexes) <= most("indexes_of_a_table"), name
            projected = sum(len(index["Projection"].get("NonKeyAttributes", ())) for index in indexes)
            assert projected <= most("projected_attributes_of_a_table"), name
        if one["Type"] == "AWS::Logs::MetricFilter":
            filters[properties["LogGroupName"]] = filters.get(properties["LogGroupName"], 0) + 1
        if one["Type"] == "AWS::EC2::SecurityGroup":
            assert len(properties.get("SecurityGroupEgress", ())) <= most("security_group_rules"), name
    assert max(filters.values()) <= most("metric_filters_of_a_log_group")


def test_the_firewall_needs_no_capacity_that_costs_more(everything: dict[str, dict[str, Any]]) -> None:
    rules = everything["FirewallRules"]["Properties"]["Rules"]
    groups = [one["Statement"].get("ManagedRuleGroupStatement", {}).get("Name") for one in rules]
    ours = 40  # a rate with two matches, a size and a pattern: generously
    assert sum(QUOTAS["rule_groups"][name] for name in groups if name) + ours <= most("web_acl_rules_capacity")


def test_names_of_the_longest_stack_fit(everything: dict[str, dict[str, Any]]) -> None:
    assert len(STACK) == 30
    assert max(len(one["Properties"].get("RoleName", "")) for one in everything.values()) <= 64


def test_the_stages_example_needs_nothing_that_is_not_tried_here() -> None:
    example = json.loads((ROOT / "stages/prod/parameters.example.json").read_text(encoding="utf-8"))
    assert set(example) <= {*EVERYTHING, "AdminMail"}
