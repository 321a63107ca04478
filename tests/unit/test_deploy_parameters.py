"""The parameters file of a stage, and what a deployment of it would make."""

import json
from typing import Any

import pytest

from deploy import conditions, parameters
from deploy.errors import BuildError
from deploy.stage import ROOT
from deploy.template.merge import merge_template
from deploy.template.permissions import policy

KNOWN: dict[str, Any] = merge_template()["Parameters"]
DIRECTORIES = json.dumps([{"domain": "CONTOSO", "servers": ["ldaps://dc1.contoso.com"]}])
CERTIFICATE = "arn:aws:acm:eu-central-1:123456789012:certificate/1"
KEY = "arn:aws:kms:eu-central-1:123456789012:key/1"
IDENTITY = "arn:aws:ses:eu-central-1:123456789012:identity/contoso.com"
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


EXAMPLE: dict[str, str] = json.loads((ROOT / "stages/prod/parameters.example.json").read_text(encoding="utf-8"))
HOLES = {"REGION": "eu-central-1", "ACCOUNT": "123456789012", "ID-1": "1", "ID-2": "2", "ID": "0a1b"}


def test_the_example_is_right_once_it_is_filled_in() -> None:
    filled = dict(EXAMPLE)
    for hole, value in HOLES.items():
        filled = {name: text.replace(hole, value) for name, text in filled.items()}
    parameters.check(filled | {"BundleKey": "x"}, KNOWN)


def test_the_example_as_it_is_is_refused_for_each_of_its_holes() -> None:
    said = faults(**EXAMPLE)
    holed = {name for name, text in EXAMPLE.items() if any(hole in text for hole in HOLES)}
    assert holed >= {"CertificateArn", "DirectorySecretArns", "VpcId", "SubnetIds", "RouteTableIds", "MailIdentityArns"}
    assert [name for name in holed if f"- {name} is " not in said] == []


@pytest.mark.parametrize(
    ("changed", "ports"), [({}, {389, 636, 3269}), ({"DirectoryPort": "10636"}, {636, 10636}), ({"VpcId": ""}, {10636})]
)
def test_ports_of_directories_that_the_security_group_opens(changed: dict[str, str], ports: set[int]) -> None:
    values = parameters.complete(GIVEN | {"VpcId": "vpc-1"} | changed, KNOWN)
    parameters.check_ports(values, ports, merge_template())


def test_a_port_that_would_be_dropped_silently_is_said() -> None:
    values = parameters.complete(GIVEN | {"VpcId": "vpc-1"}, KNOWN)
    with pytest.raises(BuildError, match="servers at port 10636"):
        parameters.check_ports(values, {636, 10636}, merge_template())


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
        ({"VpcId": "vpc-ID"}, "It is the id of a VPC"),
        ({"SubnetIds": "subnet-1,subnet-ID"}, "Each is the id of a subnet"),
        ({"CompanyKeyArn": KEY.replace("key/", "alias/")}, "not of an alias"),
        ({"VpcId": "vpc-1", "SubnetIds": "subnet-1", "VpcEndpoints": "true"}, "RouteTableIds is missing"),
        ({"Truststore": "s3://x/y.pem"}, "CertificateArn is missing: Truststore"),
        ({"CertificateArn": CERTIFICATE, "PublicUrl": "https://vault.contoso.com/api"}, "PublicUrl has a path"),
        ({"EventBus": "arn:aws:events:x"}, "It is the name of a bus"),
        ({"MailFrom": "vault@contoso.com"}, "MailIdentityArns is missing"),
        ({"AdminMail": "team@contoso.com"}, "MailFrom is missing"),
        ({"MailFrom": "vault", "MailIdentityArns": IDENTITY}, "MailFrom is 'vault', which is no plain mail address."),
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
        ({"CertificateArn": CERTIFICATE}, {"Domain", "DomainMapping"}),
        ({"CertificateArn": CERTIFICATE, "HostedZoneId": "Z1"}, {"Domain", "DomainMapping", "DomainRecord"}),
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
