"""What the template says of each function beside its code: settings, log, network, name of its role, alarms."""

from typing import Any

from chalicelib.services import audit_seals, clean_up, events, keep_alive, leavers, revocations

from .permissions import FUNCTIONS, logical, role, role_name, token_key
from .watch import NAMESPACE

STAGE = "api"
"""The one stage of the gateway, as `.chalice/config.json` names it."""
_NO_VALUE = {"Ref": "AWS::NoValue"}
_SETTINGS = {
    "public_url": {"Ref": "PublicUrl"},
    "kms_key": token_key(),
    "earlier_kms_key": {"Ref": "EarlierKeyArn"},
    "key_cache_seconds": {"Ref": "KeyCacheSeconds"},
    "audit_key": {"Fn::GetAtt": ["AuditKey", "Arn"]},
    "table": {"Ref": "VaultTable"},
    "keys_table": {"Ref": "KeysTable"},
    "sessions_table": {"Ref": "SessionsTable"},
    "directories": {"Ref": "Directories"},
    "sign_in": {"Ref": "SignIn"},
    "leaver_days": {"Ref": "LeaverDays"},
    "audit_days": {"Ref": "AuditDays"},
    "event_bus": {"Ref": "EventBus"},
    "mail_from": {"Ref": "MailFrom"},
    "admin_mail": {"Ref": "AdminMail"},
    "mail_reply_to": {"Ref": "MailReplyTo"},
    "mail_configuration_set": {"Fn::If": ["HasMail", {"Ref": "AWS::StackName"}, ""]},
    "metrics": NAMESPACE,
    "gateway_stage": STAGE,
    "log_level": {"Ref": "LogLevel"},
}
"""The vault's settings by name; what is not here keeps its default."""
_NETWORK = {
    "Fn::If": [
        "InVpc",
        {"SubnetIds": {"Ref": "SubnetIds"}, "SecurityGroupIds": [{"Fn::GetAtt": ["FunctionsGroup", "GroupId"]}]},
        _NO_VALUE,
    ]
}
_WEB_MEGABYTES, _BACKGROUND_MEGABYTES, _MUCH_MEGABYTES = 1024, 512, 1769
"""Memory also buys processor time, 1769 MB a whole processor: people wait for the web, and what goes through all
people, grants or entries is bound by it (docs/performance.md).
"""
_JOBS = {
    "retry_revocations": (revocations.BUDGET, _BACKGROUND_MEGABYTES),
    "keep_alive": (keep_alive.BUDGET, _MUCH_MEGABYTES),
    "look_after_leavers": (leavers.BUDGET, _MUCH_MEGABYTES),
    "clean_up": (clean_up.BUDGET, _BACKGROUND_MEGABYTES),
    "seal_audit": (audit_seals.BUDGET, _MUCH_MEGABYTES),
    "deliver_events": (events.BUDGET, _BACKGROUND_MEGABYTES),
}
"""The time of each background function, from which its time-out follows, and its memory."""


def settings() -> dict[str, Any]:
    """Environment of the functions."""
    return {f"VAULT_{name.upper()}": value for name, value in _SETTINGS.items()}


def resources() -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in FUNCTIONS:
        found[logical(name)] = {"Properties": _function(name)}
        found[f"{logical(name)}Log"] = _log(name)
        found[role(name)] = {"Properties": _role(name)}
    return found


def _function(name: str) -> dict[str, Any]:
    properties: dict[str, Any] = {
        "FunctionName": {"Fn::Sub": _name(name)},
        "MemorySize": _WEB_MEGABYTES,
        "Environment": {"Variables": settings()},
        "VpcConfig": _NETWORK,
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": {"Ref": f"{logical(name)}Log"}},
        "Tracing": {"Ref": "Tracing"},
    }
    if name != "api_handler":
        # A run that failed comes again by itself; what SES says of an address does not. No reserved concurrency: a
        # young account has none to reserve, and two runs at once harm nothing
        budget, megabytes = _JOBS[name]
        properties |= {
            "MemorySize": megabytes,
            "Timeout": budget.function_seconds,
            "EventInvokeConfig": {
                "MaximumRetryAttempts": 2 if name == "deliver_events" else 0,
                "MaximumEventAgeInSeconds": 300,
            },
        }
    return properties


def _log(name: str) -> dict[str, Any]:
    return {
        "Type": "AWS::Logs::LogGroup",
        "DeletionPolicy": "Delete",
        "UpdateReplacePolicy": "Delete",
        "Properties": {
            "LogGroupName": {"Fn::Sub": f"/aws/lambda/{_name(name)}"},
            "RetentionInDays": {"Ref": "LogDays"},
        },
    }


def _role(name: str) -> dict[str, Any]:
    in_vpc = {"Fn::If": ["InVpc", [{"Ref": "NetworkInterfaces"}], _NO_VALUE]}
    return {"RoleName": {"Fn::Sub": role_name(name)}, "ManagedPolicyArns": in_vpc}


def _name(name: str) -> str:
    return "${AWS::StackName}-" + name.replace("_", "-")
