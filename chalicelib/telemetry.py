"""The log: one JSON line a record, with no field that is not on the list (R68, R69), and the metrics in these lines.

Everybody logs through the standard library: `logging.getLogger(__name__).info("what.happened", extra={...})`.
Only the formatter here decides what becomes part of a line, so a field that nobody listed never gets out.

A line of an event in `METRICS` is a metric as well: CloudWatch reads it out of the line by its embedded metric format
(https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html),
so that measuring is no call to anybody.
"""

import json
import logging
from dataclasses import dataclass

LOGGER = "chalicelib"
FIELDS = (
    "outcome", "actor", "user_id", "provider_id", "request_id", "source", "facts",
    "job", "seconds", "method", "route", "status", "milliseconds", "server", "code", "detail", "error_type", "where",
)  # fmt: skip

_ALWAYS = (f"{LOGGER}.services.background", f"{LOGGER}.services.audit_seals")


@dataclass(frozen=True, slots=True)
class Metric:
    """A number in each line of an event: the value of a field, or 1. It is summed up over all, and by one field."""

    name: str
    by: str
    unit: str = "Count"
    field: str = ""


METRICS = {
    "request": Metric("RequestTime", "route", "Milliseconds", "milliseconds"),
    "session.login": Metric("LogIns", "outcome"),
    "sign_in.not_started": Metric("SignInsNotStarted", "code"),
    "grant.authorized": Metric("Authorizations", "provider_id"),
    "token.released": Metric("Releases", "provider_id"),
    "token.refused": Metric("Refusals", "provider_id"),
    "grant.refreshed": Metric("Refreshes", "provider_id"),
    "background.ran": Metric("BacklogAge", "job", "Seconds", "seconds"),
    "audit.lag": Metric("SealLag", "", "Seconds", "seconds"),
}
"""By the event's name; without `by`, over all alone. Never by person, cloud account or address: each value is a metric
that costs, and a fact.
"""


class LineFormatter(logging.Formatter):
    """One JSON object on one line, whatever characters a user name or a browser's name holds.

    `namespace`: that of the metrics in CloudWatch; empty: lines are nothing but lines.
    """

    def __init__(self, namespace: str = "") -> None:
        super().__init__()
        self._namespace = namespace

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {"level": record.levelname, "event": record.getMessage()}
        line |= {name: getattr(record, name) for name in FIELDS if getattr(record, name, "") != ""}
        metric = METRICS.get(record.getMessage())
        if metric and self._namespace:
            line |= self._measured(metric, line, record.created)
        return json.dumps(line, ensure_ascii=True, default=str)

    def _measured(self, metric: Metric, line: dict[str, object], created: float) -> dict[str, object]:
        described = {
            "Namespace": self._namespace,
            "Dimensions": [[], [metric.by]] if line.get(metric.by) else [[]],
            "Metrics": [{"Name": metric.name, "Unit": metric.unit}],
        }
        value = line[metric.field] if metric.field else 1
        return {metric.name: value, "_aws": {"Timestamp": round(created * 1000), "CloudWatchMetrics": [described]}}


def configure(level: str, namespace: str = "") -> None:
    """Send the vault's records to standard error at `level`, once a process.

    The root logger's handlers (Lambda installs one) never see them, nor do other libraries' records at
    DEBUG come out: urllib3 would log addresses with codes in them.
    """
    logger = logging.getLogger(LOGGER)
    logger.setLevel(level)
    logger.propagate = False
    # Alarms look at how old the backlog is, whatever else an operator wants to read
    for always in _ALWAYS:
        logging.getLogger(always).setLevel(min(logging.INFO, logger.level))
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(LineFormatter(namespace))
        logger.addHandler(handler)
