"""Tables for spreadsheets (RFC 4180) in which no cell is a formula, whatever the spreadsheet splits a line at.

RFC 4180 has the comma, but a spreadsheet takes the separator of its language, or the one its user chose last. Where
that is another one, the quotes of a cell are in the middle of a field and protect nothing.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import IO

CSV_TYPE = "text/csv; charset=utf-8; header=present"
_SIGNS = "=+\\-@\uff1d\uff0b\uff0d\uff20"
"""What spreadsheets take for the beginning of a formula, the wide forms of East Asia included."""
_FORMULA = re.compile(rf'((?:^|[,;|:\t\r\n])[\s"]*|\s"*(?=.\S))(?=[{_SIGNS}])')
"""The place before a sign where a cell could begin. After a space alone a sign counts only with something behind it:
names such as "Smith - Jones" stay as they are."""


def moment(seconds: int | None) -> str:
    """Epoch seconds in ISO 8601, in UTC; nothing for never."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}" if seconds else ""


def render(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """The table as text."""
    text = io.StringIO()
    write(text, header, rows)
    return text.getvalue()


def write(file: IO[str], header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """The table, row by row as they come. Where a formula could begin there is an apostrophe (OWASP, CSV injection)."""
    writer = csv.writer(file, quoting=csv.QUOTE_ALL)
    writer.writerow(header)
    writer.writerows([_FORMULA.sub(r"\1'", cell) for cell in row] for row in rows)
