"""Alarms, the metrics they look at, and the dashboard that shows them."""

import json
from dataclasses import dataclass
from typing import Any

from .permissions import FUNCTIONS, logical

NAMESPACE = {"Fn::Sub": "TokenVault/${AWS::StackName}"}
_ACTIONS = {"Fn::If": ["HasEmail", [{"Ref": "AlarmTopic"}], {"Ref": "AWS::NoValue"}]}
_FIVE_MINUTES = 300
_HALF_HOUR = 1800


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many seconds the oldest work that is due may have waited when a run ends, `periods` times running."""

    too_old: int
    period: int = _FIVE_MINUTES
    periods: int = 3


@dataclass(frozen=True, slots=True)
class Event:
    """Lines of the log that are counted, and how many in a period are too many (None: shown only)."""

    metric: str
    pattern: str
    meaning: str
    functions: tuple[str, ...]
    too_many: int | None = 1
    seconds: int = _FIVE_MINUTES
    dimension: str = ""


_ALL = tuple(FUNCTIONS)
BACKLOGS = {
    "retry_revocations": Backlog(600),
    "keep_alive": Backlog(24 * 3600, period=3600, periods=2),
    "look_after_leavers": Backlog(300),
    "clean_up": Backlog(3600),
    "seal_audit": Backlog(_HALF_HOUR),
    "deliver_events": Backlog(900),
}
"""By function: how long what is due may wait. What would lapse has a quarter of its idle time left when it is due."""
_SEAL_LAG_SECONDS = 3600
"""A window is closed for 16 minutes before it is sealed, five minutes long, and its turn comes every five."""
_WITH_REFRESH = ("api_handler", "keep_alive")
EVENTS = (
    Event(
        "RefreshFailures",
        '{ $.event = "refresh.failed" }',
        "tokens of a cloud could not be refreshed",
        _WITH_REFRESH,
        too_many=20,
    ),
    Event(
        "RefreshFailuresByProvider",
        '{ $.event = "refresh.failed" && $.provider_id = "*" }',
        "the same, by provider",
        _WITH_REFRESH,
        too_many=None,
        dimension="provider_id",
    ),
    Event(
        "RefreshesLost",
        '{ $.event = "refresh.unsaved" }',
        "a fresh token could not be stored",
        _WITH_REFRESH,
    ),
    Event(
        "EventsLost",
        '{ $.event = "event.lost" }',
        "an event or a mail never reached anybody",
        (*_WITH_REFRESH, "deliver_events"),
    ),
    Event(
        "LoginFailures",
        '{ $.event = "session.login" && $.outcome = "failure" }',
        "log-ins were refused",
        ("api_handler",),
        too_many=100,
    ),
    Event(
        "DirectoryFailures",
        '{ $.event = "directory.*" && $.level = "ERROR" }',
        "a directory does not answer as it should",
        ("api_handler", "look_after_leavers"),
        too_many=3,
    ),
    Event(
        "SignInOutages",
        '{ $.event = "sign_in.not_started" }',
        "nobody can sign in at the OpenID provider",
        ("api_handler",),
        too_many=3,
    ),
    Event(
        "KeyFailures",
        '{ $.detail = "KMS*" }',
        "KMS refused or did not answer: key disabled, deleted, or throttled",
        _ALL,
    ),
    Event(
        "StorageFailures",
        '{ $.detail = "DynamoDB*" }',
        "DynamoDB refused or did not answer",
        _ALL,
        too_many=5,
    ),
    Event(
        "Crashes",
        '{ $.event = "request.crashed" }',
        "a request ended in a fault of the program",
        ("api_handler",),
    ),
    Event(
        "ApplicationsFrozen",
        '{ $.event = "client.frozen" }',
        "an application went beyond its limit and was stopped",
        ("api_handler",),
    ),
    Event(
        "IntegrityViolations",
        '{ $.event = "integrity.violated" }',
        "a stored item was changed by somebody else",
        _ALL,
    ),
    Event(
        "BackgroundFailures",
        '{ ($.event = "background.failed") || ($.event = "leavers.failed") || ($.event = "use.not_counted") }',
        "pieces of background work fail",
        tuple(BACKLOGS),
        too_many=3,
        seconds=_HALF_HOUR,
    ),
    Event(
        "ItemsUnreadable",
        '{ $.event = "item.unreadable" }',
        "a stored item is not as this version writes it",
        _ALL,
    ),
    Event(
        "RevocationsRetried",
        '{ $.event = "revocation.retried" && $.outcome = "failure" }',
        "clouds do not confirm revocations",
        ("retry_revocations",),
        too_many=20,
        seconds=_HALF_HOUR,
    ),
    Event(
        "LeaversStopped",
        '{ $.event = "leavers.*" && $.level = "ERROR" }',
        "the look after leavers stopped",
        ("look_after_leavers",),
        too_many=3,
        seconds=_HALF_HOUR,
    ),
    Event(
        "AuditTampered",
        '{ $.event = "audit.tampered" }',
        "the audit log is not what was sealed",
        ("seal_audit",),
    ),
)


def resources() -> dict[str, Any]:
    found: dict[str, Any] = _topic()
    for event in EVENTS:
        found |= {f"{event.metric}In{logical(name)}": _filter(event, name) for name in event.functions}
        if event.too_many is not None:
            found[f"{event.metric}Alarm"] = _event_alarm(event, event.too_many)
    for name in FUNCTIONS:
        found[f"{logical(name)}ErrorsAlarm"] = _function_alarm(name, "Errors", "fails or times out")
        found[f"{logical(name)}ThrottlesAlarm"] = _function_alarm(name, "Throttles", "is throttled by Lambda")
    found["ServerErrorsAlarm"] = _gateway_alarm("5XXError", "Sum", 5, "answers with server errors")
    found["LatencyAlarm"] = _gateway_alarm(
        "Latency", "p90", 3000, "takes more than three seconds for one request in ten"
    )
    for name, backlog in BACKLOGS.items():
        found[f"{logical(name)}BehindAlarm"] = _behind(name, backlog)
    found["SealLagAlarm"] = _seal_lag()
    found["Dashboard"] = _dashboard()
    return found


def _topic() -> dict[str, Any]:
    topic = {
        "Type": "AWS::SNS::Topic",
        "Condition": "HasEmail",
        "Properties": {"Subscription": [{"Protocol": "email", "Endpoint": {"Ref": "AlarmEmail"}}]},
    }
    return {"AlarmTopic": topic}


def _filter(event: Event, name: str) -> dict[str, Any]:
    transformation: dict[str, Any] = {
        "MetricNamespace": NAMESPACE,
        "MetricName": event.metric,
        "MetricValue": "1",
    }
    if event.dimension:
        transformation["Dimensions"] = [{"Key": event.dimension, "Value": f"$.{event.dimension}"}]
    return {
        "Type": "AWS::Logs::MetricFilter",
        "Properties": {
            "LogGroupName": {"Ref": f"{logical(name)}Log"},
            "FilterPattern": event.pattern,
            "MetricTransformations": [transformation],
        },
    }


def _event_alarm(event: Event, too_many: int) -> dict[str, Any]:
    return _alarm(
        f"{event.metric}: {event.meaning}",
        {"Namespace": NAMESPACE, "MetricName": event.metric, "Statistic": "Sum"},
        too_many,
        event.seconds,
    )


def _function_alarm(name: str, metric: str, what: str) -> dict[str, Any]:
    dimensions = [{"Name": "FunctionName", "Value": {"Ref": logical(name)}}]
    watched = {"Namespace": "AWS/Lambda", "MetricName": metric, "Statistic": "Sum", "Dimensions": dimensions}
    return _alarm(f"{name} {what}", watched, 1, _FIVE_MINUTES)


def _gateway_alarm(metric: str, statistic: str, threshold: int, what: str) -> dict[str, Any]:
    kind = "ExtendedStatistic" if statistic.startswith("p") else "Statistic"
    watched = {"Namespace": "AWS/ApiGateway", "MetricName": metric, kind: statistic, "Dimensions": _api()}
    return _alarm(f"The vault {what}", watched, threshold, _FIVE_MINUTES)


def _api() -> list[dict[str, Any]]:
    return [{"Name": "ApiName", "Value": {"Ref": "AWS::StackName"}}, {"Name": "Stage", "Value": "api"}]


def _behind(name: str, backlog: Backlog) -> dict[str, Any]:
    """Also about what does not happen: a run that does not end says nothing."""
    dimensions = [{"Name": "job", "Value": name}]
    watched = {"Namespace": NAMESPACE, "MetricName": "BacklogAge", "Statistic": "Maximum", "Dimensions": dimensions}
    alarm = _alarm(f"{name} does not run, or does not get on", watched, backlog.too_old, backlog.period)
    alarm["Properties"] |= {"EvaluationPeriods": backlog.periods, "TreatMissingData": "breaching"}
    return alarm


def _seal_lag() -> dict[str, Any]:
    watched = {"Namespace": NAMESPACE, "MetricName": "SealLag", "Statistic": "Maximum"}
    return _alarm("The audit log is not sealed any more", watched, _SEAL_LAG_SECONDS, _HALF_HOUR)


def _alarm(description: str, watched: dict[str, Any], threshold: int, seconds: int) -> dict[str, Any]:
    return {
        "Type": "AWS::CloudWatch::Alarm",
        "Properties": {
            "AlarmDescription": {"Fn::Sub": f"${{AWS::StackName}}: {description}"},
            **watched,
            "Period": seconds,
            "EvaluationPeriods": 1,
            "Threshold": threshold,
            "ComparisonOperator": "GreaterThanOrEqualToThreshold",
            "TreatMissingData": "notBreaching",
            "AlarmActions": _ACTIONS,
            "OKActions": _ACTIONS,
        },
    }


def _dashboard() -> dict[str, Any]:
    api = ["ApiName", "${AWS::StackName}", "Stage", "api"]
    vault = "TokenVault/${AWS::StackName}"
    graphs: list[tuple[str, list[list[Any]]]] = [
        ("Requests", [["AWS/ApiGateway", metric, *api] for metric in ("Count", "4XXError", "5XXError")]),
        ("Milliseconds", [["AWS/ApiGateway", "Latency", *api, {"stat": stat}] for stat in ("p50", "p90", "p99")]),
        (
            "Functions that fail",
            [["AWS/Lambda", "Errors", "FunctionName", f"${{{logical(name)}}}"] for name in FUNCTIONS],
        ),
        ("Log-ins and keys", [[vault, metric] for metric in ("LoginFailures", "DirectoryFailures", "KeyFailures")]),
        ("Tokens", [[vault, m] for m in ("RefreshFailures", "RevocationsRetried", "RefreshesLost", "ItemsUnreadable")]),
        ("Work that waits, seconds", [[vault, "BacklogAge", "job", job, {"stat": "Maximum"}] for job in BACKLOGS]),
        ("Releases", [[vault, metric] for metric in ("Releases", "Refusals", "Refreshes", "Authorizations", "LogIns")]),
        ("Milliseconds inside the vault", [[vault, "RequestTime", {"stat": s}] for s in ("p50", "p90", "p99")]),
        (
            "Never",
            [[vault, metric] for metric in ("AuditTampered", "IntegrityViolations", "Crashes", "StorageFailures")],
        ),
    ]
    widgets = [_widget(number, title, metrics) for number, (title, metrics) in enumerate(graphs)]
    body = {"Fn::Sub": json.dumps({"widgets": widgets})}
    return {
        "Type": "AWS::CloudWatch::Dashboard",
        "Properties": {"DashboardName": {"Ref": "AWS::StackName"}, "DashboardBody": body},
    }


def _widget(number: int, title: str, metrics: list[list[Any]]) -> dict[str, Any]:
    properties = {
        "title": title,
        "metrics": metrics,
        "stat": "Sum",
        "period": _FIVE_MINUTES,
        "region": "${AWS::Region}",
    }
    return {
        "type": "metric",
        "x": 12 * (number % 2),
        "y": 6 * (number // 2),
        "width": 12,
        "height": 6,
        "properties": properties,
    }
