"""The log: one line an event, with listed fields only."""

import json
import logging
import time
from typing import Any

import pytest

from chalicelib import telemetry
from chalicelib.telemetry import FIELDS, METRICS, LineFormatter, Metric


def line(**extra: object) -> str:
    record = logging.LogRecord("chalicelib.x", logging.INFO, "x.py", 1, "request", None, None)
    vars(record).update(extra)
    return LineFormatter().format(record)


@pytest.mark.parametrize("text", ["a\nb", 'x"}\n{"level": "ERROR"', "\u2028next", "\x1b[31m", "ü"])
def test_r69_one_json_line_whatever_a_name_holds(text: str) -> None:
    written = line(actor=text)
    assert len(written.splitlines()) == 1
    assert json.loads(written)["actor"] == text


def test_r68_a_field_that_nobody_listed_never_gets_out() -> None:
    assert json.loads(line(password="hunter2", status=200)) == {"level": "INFO", "event": "request", "status": 200}


def test_empty_fields_are_left_out() -> None:
    assert "detail" not in json.loads(line(detail=""))


def test_configuring_twice_logs_once(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger(telemetry.LOGGER)
    before, logger.handlers = logger.handlers, []
    try:
        telemetry.configure("INFO")
        telemetry.configure("INFO")
        logger.getChild("test").info("hello")
        assert capsys.readouterr().err.count("hello") == 1
        assert not logger.propagate
    finally:
        logger.handlers = before


def measured(event: str, **extra: object) -> dict[str, Any]:
    record = logging.LogRecord("chalicelib.x", logging.INFO, "x.py", 1, event, None, None)
    vars(record).update(extra)
    parsed: dict[str, Any] = json.loads(LineFormatter("TokenVault/test").format(record))
    return parsed


@pytest.mark.parametrize(("event", "metric"), METRICS.items())
def test_a_metric_is_as_cloudwatch_reads_it(event: str, metric: Metric) -> None:
    """The rules of the embedded metric format: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/."""
    made = measured(event, milliseconds=12, seconds=12, **({metric.by: "value"} if metric.by else {}))
    (described,) = made["_aws"]["CloudWatchMetrics"]
    assert abs(made["_aws"]["Timestamp"] - time.time() * 1000) < 60_000
    assert described["Namespace"] == "TokenVault/test"
    assert described["Dimensions"] == [[], [metric.by]] if metric.by else [[]]
    assert not metric.by or made[metric.by] == "value"
    assert described["Metrics"] == [{"Name": metric.name, "Unit": metric.unit}]
    assert made[metric.name] == (12 if metric.field else 1)


def test_r100_the_age_of_a_backlog_is_logged_at_every_level(capsys: pytest.CaptureFixture[str]) -> None:
    """Its alarm rings where there is none."""
    logger = logging.getLogger(telemetry.LOGGER)
    before, level, logger.handlers = logger.handlers, logger.level, []
    try:
        telemetry.configure("ERROR", "TokenVault/test")
        logger.getChild("services.background").info("background.ran", extra={"job": "clean_up", "seconds": 7})
        logger.getChild("services.refresh").info("grant.refreshed")
        (written,) = capsys.readouterr().err.splitlines()
        assert json.loads(written)["BacklogAge"] == 7
    finally:
        logger.handlers = before
        logger.setLevel(level)


def test_what_is_unknown_is_no_dimension() -> None:
    (described,) = measured("token.refused", provider_id="")["_aws"]["CloudWatchMetrics"]
    assert described["Dimensions"] == [[]]


def test_nothing_is_measured_by_person_or_secret() -> None:
    assert {metric.by for metric in METRICS.values()} <= {"", "code", "job", "route", "outcome", "provider_id"}
    assert {metric.by for metric in METRICS.values()} - {""} <= set(FIELDS)


def test_other_events_and_stages_without_a_namespace_have_lines_alone() -> None:
    assert "_aws" not in measured("refresh.failed", provider_id="northwind")
    assert "_aws" not in json.loads(line(milliseconds=12, route="/"))
