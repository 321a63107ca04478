"""Tables for spreadsheets (RFC 4180) in which no cell is a formula."""

import csv
import io
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

CSV_TYPE = "text/csv; charset=utf-8; header=present"
_STARTS_A_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""What spreadsheets take for the beginning of a formula, the wide forms of East Asia included."""


def moment(seconds: int | None) -> str:
    """Epoch seconds in ISO 8601, in UTC; nothing for never."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}" if seconds else ""


def render(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The table as text. A cell that a spreadsheet would run gets an apostrophe in front (OWASP, CSV injection)."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL)
    writer.writerow(header)
    writer.writerows([inert(cell) for cell in row] for row in rows)
    return text.getvalue()


def inert(cell: str) -> str:
    """A cell that no spreadsheet runs."""
    return f"'{cell}" if cell.lstrip(" ").startswith(_STARTS_A_FORMULA) else cell
