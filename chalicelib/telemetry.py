"""The log: one JSON line a record, with no field that is not on the list (R68, R69).

Everybody logs through the standard library: `logging.getLogger(__name__).info("what.happened", extra={...})`.
Only the formatter here decides what becomes part of a line, so a field that nobody listed never gets out.
"""

import json
import logging

LOGGER = "chalicelib"
FIELDS = (
    "outcome", "actor", "user_id", "provider_id", "request_id", "source", "facts",
    "method", "route", "status", "milliseconds", "server", "code", "detail", "error_type", "where",
)  # fmt: skip


class LineFormatter(logging.Formatter):
    """One JSON object on one line, whatever characters a user name or a browser's name holds."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {"level": record.levelname, "event": record.getMessage()}
        line |= {name: getattr(record, name) for name in FIELDS if getattr(record, name, "") != ""}
        return json.dumps(line, ensure_ascii=True, default=str)


def configure(level: str) -> None:
    """Send the vault's records to standard error at `level`, once a process.

    The root logger's handlers (Lambda installs one) never see them, nor do other libraries' records at
    DEBUG come out: urllib3 would log addresses with codes in them.
    """
    logger = logging.getLogger(LOGGER)
    logger.setLevel(level)
    logger.propagate = False
    if not logger.handlers:
        handler = logging.StreamHandler()
        handler.setFormatter(LineFormatter())
        logger.addHandler(handler)
