"""The log: one line an event, with listed fields only."""

import json
import logging

import pytest

from chalicelib import telemetry
from chalicelib.telemetry import LineFormatter


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
