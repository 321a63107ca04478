"""What the deployed template promises, read from the template itself."""

import json
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from typing import Any

import pytest

from chalicelib.adapters import ses_feedback
from chalicelib.bootstrap import create_vault
from chalicelib.domain.directory import DirectorySettings
from chalicelib.domain.seal import SETTLE_SECONDS, WINDOW_SECONDS
from chalicelib.services import audit_seals, clean_up, events, keep_alive, leavers, revocations
from chalicelib.services.sign_in import CALLBACK_PATH
from chalicelib.settings import Settings
from chalicelib.stores.tables import KEYS, SESSIONS, VAULT, TableDefinition
from chalicelib.telemetry import METRICS
from chalicelib.web import headers
from deploy.template.keeping import AUDIT_KEY_TAG
from deploy.template.permissions import FUNCTIONS, OPERATORS, logical, role
from deploy.template.watch import EVENTS
from dev.process import ROOT
from tests.aws import Aws

pytestmark = pytest.mark.integration

NO_FINER = {
    # Lambda asks for these on no finer resource (AWS Lambda's guide, "Execution role for VPC")
    ("NetworkInterfaces", "AttachToTheVpc"),
    ("NetworkInterfaces", "NotFromWithin"),
    # X-Ray knows none (Service Authorization Reference)
    *((role(name), "WriteTraces") for name in FUNCTIONS),
    # The sending rate is the account's (Service Authorization Reference)
    (role("deliver_events"), "ReadSendingRate"),
}


@pytest.fixture(scope="session")
def resources(template: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = template["Resources"]
    return found


def of(resources: dict[str, Any], kind: str) -> dict[str, Any]:
    return {name: one for name, one in resources.items() if one["Type"] == kind}


def properties(resources: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = resources[name]["Properties"]
    return found


def statements(resources: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every statement of every identity policy."""
    for name, one in resources.items():
        documents = [policy["PolicyDocument"] for policy in one["Properties"].get("Policies", [])]
        if one["Type"] == "AWS::IAM::ManagedPolicy":
            documents.append(one["Properties"]["PolicyDocument"])
        for document in documents:
            for statement in document["Statement"]:
                yield name, statement["Fn::If"][1] if "Fn::If" in statement else statement


@pytest.mark.parametrize(("name", "table"), [("VaultTable", VAULT), ("KeysTable", KEYS), ("SessionsTable", SESSIONS)])
def test_tables_are_those_of_the_program(resources: dict[str, Any], name: str, table: TableDefinition) -> None:
    made = properties(resources, name)
    wanted = table.create_arguments("") | {"TableName": made["TableName"]}
    assert made.items() >= wanted.items()
    assert made["PointInTimeRecoverySpecification"] == {"PointInTimeRecoveryEnabled": table.point_in_time_recovery}
    assert made["DeletionProtectionEnabled"] is table.deletion_protection
    assert made.get("TimeToLiveSpecification", {}).get("AttributeName") == table.time_to_live
    assert made["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": {"Ref": "TokenKey"}}


def test_what_must_last_is_kept_when_the_stack_is_deleted(resources: dict[str, Any]) -> None:
    lasting = {"VaultTable", "KeysTable", "TokenKey", "AuditKey", "AuditBucket", "BackupVault"}
    for name in lasting:
        assert resources[name]["DeletionPolicy"] in ("Retain", "RetainExceptOnCreate"), name
        assert resources[name]["UpdateReplacePolicy"] == "Retain", name


def test_a_failed_first_deployment_leaves_no_name_behind_but_those_of_tables(resources: dict[str, Any]) -> None:
    """Protected tables cannot be deleted, so they are taken over (ADOPT=1); all else of a fixed name goes again."""
    named = {name for name, one in resources.items() if {"TableName", "BackupVaultName"} & set(one["Properties"])}
    kept = {name for name in named if resources[name].get("DeletionPolicy") == "Retain"}
    assert kept == {"VaultTable", "KeysTable"}


def test_the_audit_key_can_be_found_when_its_stack_is_gone(resources: dict[str, Any]) -> None:
    assert properties(resources, "AuditKey")["Tags"] == [{"Key": AUDIT_KEY_TAG, "Value": {"Ref": "AWS::StackName"}}]


def test_secrets_under_a_key_of_the_companys_can_be_opened_through_secrets_manager(resources: dict[str, Any]) -> None:
    opening = [(name, one) for name, one in statements(resources) if one["Sid"] == "OpenDirectorySecrets"]
    asking = {role(name) for name, may in FUNCTIONS.items() if may.secrets}
    assert {name for name, _ in opening} == asking | {role(OPERATORS)}
    for _, one in opening:
        assert (one["Action"], one["Resource"]) == (["kms:Decrypt"], {"Ref": "SecretKeyArns"})
        assert list(one["Condition"]["StringEquals"]) == ["kms:ViaService"]


def test_another_port_of_the_directory_is_open_where_it_is_given(resources: dict[str, Any]) -> None:
    rules = properties(resources, "FunctionsGroup")["SecurityGroupEgress"]
    (more,) = [one["Fn::If"] for one in rules if "Fn::If" in one]
    assert (more[0], more[1]["FromPort"], more[1]["ToPort"]) == (
        "HasDirectoryPort",
        {"Ref": "DirectoryPort"},
        {"Ref": "DirectoryPort"},
    )


def test_the_token_key_rotates(resources: dict[str, Any]) -> None:
    assert properties(resources, "TokenKey")["EnableKeyRotation"] is True


def test_the_audit_key_can_only_make_and_verify_macs(resources: dict[str, Any]) -> None:
    made = properties(resources, "AuditKey")
    assert (made["KeySpec"], made["KeyUsage"]) == ("HMAC_256", "GENERATE_VERIFY_MAC")


def test_nobody_but_the_vault_decrypts_and_only_with_its_encryption_context(resources: dict[str, Any]) -> None:
    for written in properties(resources, "TokenKey")["KeyPolicy"]["Statement"]:
        statement = written["Fn::If"][1] if "Fn::If" in written else written
        actions = [statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"]
        if not any(re.match(r"kms:(\*|Decrypt|Encrypt|ReEncrypt|GenerateDataKey|CreateGrant)", one) for one in actions):
            continue
        condition = statement["Condition"]
        if "kms:ViaService" in condition["StringEquals"]:
            # DynamoDB, for the tables' own encryption: its context names the table, never the vault's purpose
            assert condition["StringEquals"]["kms:CallerAccount"] == {"Ref": "AWS::AccountId"}
            continue
        assert condition["StringEquals"] == {"kms:EncryptionContext:purpose": "provider-key"}
        assert condition["ForAllValues:StringEquals"]["kms:EncryptionContextKeys"] == [
            "generation",
            "provider",
            "purpose",
        ]
        named = [one["Fn::If"][1] if "Fn::If" in one else one for one in condition["ArnEquals"]["aws:PrincipalArn"]]
        roles = [one["Fn::Sub"].rpartition("/")[2] for one in named]
        ours = {properties(resources, role(name))["RoleName"]["Fn::Sub"] for name in (*FUNCTIONS, OPERATORS)}
        assert set(roles) <= ours


def test_whoever_manages_the_keys_cannot_use_them_or_let_others(resources: dict[str, Any]) -> None:
    for key in ("TokenKey", "AuditKey"):
        manage = properties(resources, key)["KeyPolicy"]["Statement"][0]
        assert manage["Sid"] == "ManagedByTheAccount"
        assert not [one for one in manage["Action"] if "*" in one]
        assert not {"kms:Decrypt", "kms:CreateGrant", "kms:GenerateMac", "kms:GenerateDataKey"} & set(manage["Action"])


def test_every_function_has_a_role_of_its_own(resources: dict[str, Any]) -> None:
    functions = of(resources, "AWS::Lambda::Function")
    assert set(functions) == {logical(name) for name in FUNCTIONS}
    roles = [one["Properties"]["Role"]["Fn::GetAtt"][0] for one in functions.values()]
    assert len(set(roles)) == len(roles)


def test_no_statement_reaches_further_than_its_resource(resources: dict[str, Any]) -> None:
    wide = {
        (name, statement["Sid"])
        for name, statement in statements(resources)
        if statement["Resource"] == "*"
        or (statement["Effect"] == "Allow" and any("*" in one for one in _list(statement["Action"])))
    }
    assert wide == NO_FINER


def _list(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else value


def test_logs_are_kept_as_long_as_the_parameter_says(resources: dict[str, Any]) -> None:
    for name, log in of(resources, "AWS::Logs::LogGroup").items():
        assert log["Properties"]["RetentionInDays"] == {"Ref": "LogDays"}, name
    for name in FUNCTIONS:
        assert properties(resources, logical(name))["LoggingConfig"]["LogGroup"] == {"Ref": f"{logical(name)}Log"}


def test_every_function_has_every_setting_without_a_default(resources: dict[str, Any]) -> None:
    needed = {f"VAULT_{name.upper()}" for name in ("public_url", "kms_key", "audit_key", "directories")}
    known = {f"VAULT_{name.upper()}" for name in Settings.__slots__}
    for name in FUNCTIONS:
        variables = properties(resources, logical(name))["Environment"]["Variables"]
        assert needed <= set(variables) <= known
        # Of moto, debugging or other clouds than real ones
        assert not {"VAULT_ALLOW_PRIVATE_CLOUDS", "AWS_ENDPOINT_URL"} & set(variables)


def test_functions_reach_the_vpc_where_there_is_one(resources: dict[str, Any]) -> None:
    for name in FUNCTIONS:
        assert properties(resources, logical(name))["VpcConfig"]["Fn::If"][0] == "InVpc"
        assert properties(resources, role(name))["ManagedPolicyArns"]["Fn::If"][1] == [{"Ref": "NetworkInterfaces"}]
    endpoints = {
        one["Properties"]["ServiceName"]["Fn::Sub"].rpartition(".")[2]
        for one in of(resources, "AWS::EC2::VPCEndpoint").values()
    }
    assert endpoints == {"dynamodb", "kms", "secretsmanager"}


def test_routes_are_those_of_the_program(resources: dict[str, Any], aws: Aws) -> None:
    contoso = DirectorySettings(domain="CONTOSO", servers=("ldaps://dc.contoso.example",))
    settings = Settings(
        public_url="https://vault.example", kms_key=aws.kms_key, audit_key=aws.audit_key, directories=(contoso,)
    )
    routes = create_vault(settings, aws=aws.clients).app().routes
    paths = properties(resources, "RestAPI")["Body"]["paths"]
    deployed = {(path, method.upper()) for path, methods in paths.items() for method in methods}
    assert deployed == {(path, method) for path, methods in routes.items() for method in methods}


def test_iam_callers_are_checked_by_the_gateway(resources: dict[str, Any]) -> None:
    paths = properties(resources, "RestAPI")["Body"]["paths"]
    signed = {
        path for path, methods in paths.items() for one in methods.values() if one.get("security") == [{"sigv4": []}]
    }
    assert signed == {path for path in paths if path.endswith("/iam")}
    assert signed


def test_roles_that_sign_know_what_they_need_and_other_accounts_are_let_in_by_name(template: dict[str, Any]) -> None:
    body = properties(template["Resources"], "RestAPI")["Body"]
    signed = "/api/POST/oauth2/*/iam"
    named = {path for path in body["paths"] if fnmatch(f"/api/POST{path}", signed)}
    assert named == {path for path, methods in body["paths"].items() if "security" in methods.get("post", {})}
    assert template["Outputs"]["SignedCallsArn"]["Value"]["Fn::Sub"].endswith(f"${{RestAPI}}{signed}")
    condition, policy, otherwise = body["x-amazon-apigateway-policy"]["Fn::If"]
    assert (condition, otherwise) == ("HasCallerAccounts", {"Ref": "AWS::NoValue"})
    everybody, own, accounts = policy["Statement"]
    assert (everybody["Principal"], everybody["NotResource"]) == ("*", f"execute-api:{signed}")
    assert {own["Resource"], accounts["Resource"]} == {everybody["NotResource"]}
    assert accounts["Principal"] == {"AWS": {"Ref": "CallerAccounts"}}


def test_a_role_that_signed_is_not_told_that_it_did_not(resources: dict[str, Any]) -> None:
    answers = properties(resources, "RestAPI")["Body"]["x-amazon-apigateway-gateway-responses"]
    said = {kind: json.loads(one["responseTemplates"]["application/json"]) for kind, one in answers.items()}
    assert "execute-api:Invoke" in said["ACCESS_DENIED"]["error_description"]
    assert (
        len({said[kind]["error_description"] for kind in ("ACCESS_DENIED", "INVALID_SIGNATURE", "EXPIRED_TOKEN")}) == 3
    )


def test_the_gateways_own_answers_are_our_pages_with_our_headers(resources: dict[str, Any]) -> None:
    answers = properties(resources, "RestAPI")["Body"]["x-amazon-apigateway-gateway-responses"]
    assert {"DEFAULT_4XX", "DEFAULT_5XX", "MISSING_AUTHENTICATION_TOKEN", "THROTTLED", "WAF_FILTERED"} <= set(answers)
    for kind, answer in answers.items():
        sent = {name.rpartition(".")[2]: value for name, value in answer["responseParameters"].items()}
        assert set(sent) == set(headers.security_headers()), kind
        # A quote ends a value for the gateway, so no policy may have one
        assert all(text(value)[1:-1].count("'") == 0 for value in sent.values()), kind
        page = text(answer["responseTemplates"]["text/html"])
        assert "<h1>" in page, kind
        assert "<script" not in page, kind
        assert set(re.findall(r"\$\{?[\w.]+\}?", page)) == {"${PublicUrl}", "$context.requestId"}, kind
        said = json.loads(answer["responseTemplates"]["application/json"])
        assert set(said) == {"error", "error_description", "reason", "request_id"}, kind
    assert answers["MISSING_AUTHENTICATION_TOKEN"]["statusCode"] == "404"


def text(value: Any) -> str:
    return str(value["Fn::Sub"]) if isinstance(value, dict) else str(value)


def test_the_stage_throttles_and_logs_no_query(resources: dict[str, Any]) -> None:
    stage = properties(resources, "RestAPIapiStage")
    (settings,) = stage["MethodSettings"]
    assert settings["ThrottlingRateLimit"] == {"Ref": "RequestRate"}
    assert settings["ThrottlingBurstLimit"] == {"Ref": "RequestBurst"}
    assert (settings["DataTraceEnabled"], settings["LoggingLevel"]) == (False, "OFF")
    logged = json.loads(stage["AccessLogSetting"]["Format"])
    # `$context.path` is what was asked for, ids included; the resource path is only the route
    assert "$context.path" not in logged.values()
    assert "$context.requestId" in logged.values()


def test_the_gateway_has_one_stage_and_its_function_answers_no_other(resources: dict[str, Any]) -> None:
    """SAM's deployment would make a second one, without firewall, throttling and log."""
    assert list(of(resources, "AWS::ApiGateway::Stage")) == ["RestAPIapiStage"]
    assert [
        one for one in of(resources, "AWS::ApiGateway::Deployment").values() if "StageName" in one["Properties"]
    ] == []
    stage = properties(resources, "RestAPIapiStage")["StageName"]
    assert properties(resources, "APIHandlerInvokePermission")["SourceArn"]["Fn::Sub"].endswith(
        f"${{RestAPI}}/{stage}/*"
    )
    for name in FUNCTIONS:
        assert properties(resources, logical(name))["Environment"]["Variables"]["VAULT_GATEWAY_STAGE"] == stage


def test_the_accounts_role_for_logs_is_made_when_asked_for_and_behind_the_first_api(template: dict[str, Any]) -> None:
    account = template["Resources"]["GatewayAccount"]
    assert (account["Condition"], account["DependsOn"]) == ("OwnGatewayRole", "RestAPI")
    assert template["Parameters"]["GatewayLogRole"]["Default"] == "false"


def test_operators_have_a_role_when_somebody_is_named_and_only_they_may_take_it(resources: dict[str, Any]) -> None:
    assert resources[role(OPERATORS)]["Condition"] == "HasOperators"
    (trust,) = properties(resources, role(OPERATORS))["AssumeRolePolicyDocument"]["Statement"]
    assert (trust["Action"], trust["Principal"]) == ("sts:AssumeRole", {"AWS": {"Ref": "OperatorArns"}})
    policy = json.dumps(properties(resources, "TokenKey")["KeyPolicy"])
    assert "-operators" in policy
    # Without them nobody of that name may use the key, whoever makes such a role
    assert "-operators" not in json.dumps(without_operators(properties(resources, "TokenKey")["KeyPolicy"]))


def without_operators(value: Any) -> Any:
    """What is there where `OperatorArns` is empty."""
    match value:
        case {"Fn::If": ["HasOperators", _, otherwise]}:
            return otherwise
        case dict():
            return {name: without_operators(one) for name, one in value.items()}
        case list():
            return [without_operators(one) for one in value]
    return value


def test_a_table_that_is_restored_can_be_looked_after_under_its_name(resources: dict[str, Any]) -> None:
    (document,) = [one["PolicyDocument"] for one in properties(resources, role(OPERATORS))["Policies"]]
    reached = {one["Sid"]: json.dumps(one["Resource"]) for one in document["Statement"] if "Sid" in one}
    for sid in ("VaultTable", "DescribeTables", "ReadIndexes"):
        assert "${AWS::StackName}-restored" in reached[sid]


def test_every_role_can_be_bounded(resources: dict[str, Any]) -> None:
    bound = {"Fn::If": ["HasBoundary", {"Ref": "PermissionsBoundaryArn"}, {"Ref": "AWS::NoValue"}]}
    roles = of(resources, "AWS::IAM::Role")
    assert set(roles) > {role(name) for name in FUNCTIONS}
    assert [name for name, one in roles.items() if one["Properties"].get("PermissionsBoundary") != bound] == []


def test_functions_may_write_traces_where_they_are_traced(resources: dict[str, Any]) -> None:
    for name in FUNCTIONS:
        (document,) = [one["PolicyDocument"] for one in properties(resources, role(name))["Policies"]]
        (statement,) = [one["Fn::If"] for one in document["Statement"] if one.get("Fn::If", [""])[0] == "HasTracing"]
        assert statement[1]["Action"] == ["xray:PutTelemetryRecords", "xray:PutTraceSegments"], name


def test_the_stage_waits_for_the_role_that_logs(resources: dict[str, Any]) -> None:
    assert "${GatewayAccount}" in json.dumps(properties(resources, "RestAPIapiStage"))


def test_the_domain_speaks_tls_1_2_and_its_mapping_waits_for_the_stage(resources: dict[str, Any]) -> None:
    assert properties(resources, "Domain")["SecurityPolicy"] == "TLS_1_2"
    assert properties(resources, "Domain")["MutualTlsAuthentication"]["Fn::If"][0] == "HasTruststore"
    assert resources["DomainMapping"]["DependsOn"] == "RestAPIapiStage"
    endpoint = properties(resources, "RestAPI")["Body"]["x-amazon-apigateway-endpoint-configuration"]
    assert endpoint["disableExecuteApiEndpoint"] == {"Fn::If": ["HasDomain", True, False]}


def test_the_firewall_limits_log_ins_and_blocks_no_password(resources: dict[str, Any]) -> None:
    rules = {rule["Name"]: rule for rule in properties(resources, "FirewallRules")["Rules"]}
    rate = rules["log-ins-of-one-address"]["Statement"]["RateBasedStatement"]
    assert (rate["Limit"], rate["AggregateKeyType"]) == ({"Ref": "LoginRate"}, "IP")
    groups = {name: rule["Statement"].get("ManagedRuleGroupStatement") for name, rule in rules.items()}
    overrides = groups["common-rules"]["RuleActionOverrides"]
    assert all(one["ActionToUse"] == {"Count": {}} for one in overrides)
    assert {one["Name"] for one in overrides} >= {"CrossSiteScripting_BODY", "GenericLFI_BODY", "SizeRestrictions_BODY"}


def test_long_queries_are_let_through_for_callbacks_alone(resources: dict[str, Any]) -> None:
    rules = {rule["Name"]: rule for rule in properties(resources, "FirewallRules")["Rules"]}
    size, spared = rules["long-queries-but-of-callbacks"]["Statement"]["AndStatement"]["Statements"]
    assert (size["SizeConstraintStatement"]["ComparisonOperator"], size["SizeConstraintStatement"]["Size"]) == (
        "GT",
        2048,
    )
    pattern = spared["NotStatement"]["Statement"]["RegexMatchStatement"]["RegexString"]
    paths = {path for path, methods in properties(resources, "RestAPI")["Body"]["paths"].items() if "get" in methods}
    callbacks = {path for path in paths if "callback" in path}
    assert callbacks == {"/oauth/callback/{provider_id}", CALLBACK_PATH}
    asked = {path: path.replace("{provider_id}", "microsoft-365") for path in paths}
    for prefix in ("", "/api"):
        assert {path for path, sent in asked.items() if re.search(pattern, prefix + sent)} == callbacks
    assert not re.search(pattern, "/oauth/callback/x/../../admin")


def test_schedules_are_those_of_the_program(resources: dict[str, Any]) -> None:
    rules = [one for one in of(resources, "AWS::Events::Rule").values() if "ScheduleExpression" in one["Properties"]]
    deployed = {
        one["Properties"]["Targets"][0]["Arn"]["Fn::GetAtt"][0]: one["Properties"]["ScheduleExpression"]
        for one in rules
    }
    assert deployed == {
        "RetryRevocations": "rate(1 minute)",
        "KeepAlive": "rate(1 hour)",
        "LookAfterLeavers": "rate(1 minute)",
        "CleanUp": "rate(1 minute)",
        "SealAudit": "rate(5 minutes)",
        "DeliverEvents": "rate(1 minute)",
    }


def test_r100_every_function_lives_longer_than_what_it_begins(resources: dict[str, Any]) -> None:
    """The gateway waits 29 s for the web; Lambda lets nothing live longer than 15 minutes."""
    budgets = (revocations, keep_alive, leavers, clean_up, audit_seals, events)
    jobs = {service.BUDGET.job: service.BUDGET for service in budgets}
    assert set(jobs) | {"api_handler"} == set(FUNCTIONS)
    assert properties(resources, "APIHandler")["Timeout"] == 29
    for name, budget in jobs.items():
        seconds = properties(resources, logical(name))["Timeout"]
        assert seconds <= 900
        assert budget.begins_for(seconds) == budget.run_seconds > 0, name


def test_r100_runs_begin_nothing_while_the_next_one_does(resources: dict[str, Any]) -> None:
    """What overlaps are pieces that are under way."""
    for service in (revocations, leavers, clean_up, events):
        assert service.BUDGET.run_seconds < 60
    assert audit_seals.BUDGET.function_seconds <= 300
    assert keep_alive.BUDGET.function_seconds < 3600
    assert keep_alive.WALK.run_seconds + keep_alive.WALK.piece_seconds < keep_alive.BUDGET.run_seconds


def test_an_ended_generation_is_closed_when_no_piece_that_began_before_can_write_any_more() -> None:
    """Nor any request, which live 29 s."""
    assert keep_alive.BUDGET.piece_seconds <= clean_up._SETTLE_SECONDS


def test_r100_the_age_of_each_backlog_has_an_alarm_that_rings_where_nothing_is_said(
    resources: dict[str, Any],
) -> None:
    for name in set(FUNCTIONS) - {"api_handler"}:
        alarm = properties(resources, f"{logical(name)}BehindAlarm")
        assert (alarm["MetricName"], alarm["Statistic"]) == (METRICS["background.ran"].name, "Maximum")
        assert alarm["Dimensions"] == [{"Name": METRICS["background.ran"].by, "Value": name}]
        assert alarm["TreatMissingData"] == "breaching"
    lag = properties(resources, "SealLagAlarm")
    assert (lag["MetricName"], lag["Threshold"]) == (METRICS["audit.lag"].name, 3600)
    assert lag["Threshold"] > SETTLE_SECONDS + 2 * WINDOW_SECONDS


def test_only_one_function_sends_and_only_as_the_parameters_say(resources: dict[str, Any]) -> None:
    sending = [(name, one) for name, one in statements(resources) if one["Sid"] in ("PutEvents", "SendMail")]
    assert {name for name, _ in sending} == {role("deliver_events")}
    events, mail = (one for _, one in sending)
    assert events["Condition"] == {"StringEquals": {"events:source": "token-vault"}}
    assert events["Resource"][0]["Fn::Sub"].endswith(":event-bus/${EventBus}")
    assert mail["Condition"] == {"StringEquals": {"ses:FromAddress": {"Ref": "MailFrom"}}}
    assert mail["Resource"] == {"Ref": "MailIdentityArns"}


def test_what_comes_back_goes_to_the_function_that_sends(resources: dict[str, Any]) -> None:
    rule = properties(resources, "MailFeedbackRule")
    assert rule["EventPattern"]["source"] == [ses_feedback.SOURCE]
    assert rule["EventPattern"]["detail-type"] == list(ses_feedback.DETAIL_TYPES)
    own = {"Ref": "AWS::StackName"}
    assert rule["EventPattern"]["detail"]["mail"]["tags"] == {"ses:configuration-set": [own]}
    assert properties(resources, "MailConfiguration")["Name"] == own
    variables = properties(resources, "DeliverEvents")["Environment"]["Variables"]
    assert variables["VAULT_MAIL_CONFIGURATION_SET"] == {"Fn::If": ["HasMail", own, ""]}
    assert [target["Arn"] for target in rule["Targets"]] == [{"Fn::GetAtt": ["DeliverEvents", "Arn"]}]


def test_what_the_alarms_count_is_what_the_program_logs(resources: dict[str, Any]) -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "chalicelib").rglob("*.py"))
    for event in EVENTS:
        for word in re.findall(r'\$\.event = "([^"*]+)', event.pattern):
            assert f'"{word}' in source, word
        filters = [name for name in of(resources, "AWS::Logs::MetricFilter") if name.startswith(f"{event.metric}In")]
        assert len(filters) == len(event.functions), event.metric


def test_every_function_has_an_alarm_and_all_are_heard(resources: dict[str, Any]) -> None:
    alarms = of(resources, "AWS::CloudWatch::Alarm")
    for name in FUNCTIONS:
        assert {f"{logical(name)}ErrorsAlarm", f"{logical(name)}ThrottlesAlarm"} <= set(alarms)
    assert all("HasEmail" in json.dumps(one["Properties"]["AlarmActions"]) for one in alarms.values())


def test_backups_are_of_the_lasting_table_and_never_of_the_keys(resources: dict[str, Any]) -> None:
    selected = properties(resources, "BackedUp")["BackupSelection"]["Resources"]
    assert selected == [{"Fn::GetAtt": ["VaultTable", "Arn"]}]


def test_exports_of_the_audit_log_can_be_changed_by_nobody(resources: dict[str, Any]) -> None:
    bucket = properties(resources, "AuditBucket")
    rule = bucket["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    assert rule == {"Mode": "COMPLIANCE", "Days": {"Ref": "AuditExportDays"}}
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}


def test_only_three_parameters_must_be_given(template: dict[str, Any]) -> None:
    needed = {name for name, one in template["Parameters"].items() if "Default" not in one}
    assert needed == {"PublicUrl", "Directories", "BundleBucket"}
    assert all(one["Description"].endswith(".") for one in template["Parameters"].values())


def test_nothing_of_the_template_names_an_account_a_region_or_a_host(template: dict[str, Any]) -> None:
    written = json.dumps(template)
    assert not re.search(r"\b\d{12}\b", written)
    assert not re.search(r"\b(eu|us|ap)-[a-z]+-\d\b", written)
