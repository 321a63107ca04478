"""No cell of a file is a formula for whoever opens it."""

import csv
import io
import re

import pytest

from chalicelib.web.csv_file import render

SEPARATORS = (",", ";", "\t", "|", ":", " ", "\r", "\n")
SIGNS = "=+-@\uff1d\uff0b\uff0d\uff20"


def read(text: str, delimiter: str = ",") -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))


def cells(text: str, separator: str) -> list[str]:
    """What any reader may take for cells: one that knows quotes in several ways, and one that knows none."""
    with_quotes = [] if separator in "\r\n" else [cell for row in read(text, separator) for cell in row]
    without = [line for row in re.split(r"[\r\n]", text) for line in row.split(separator)]
    return with_quotes + without


@pytest.mark.parametrize("separator", SEPARATORS)
@pytest.mark.parametrize("sign", SIGNS)
@pytest.mark.parametrize("around", ['"', "", ' "', "\u00a0", '""', "\t", "\r\n"])
def test_r96_no_cell_is_a_formula_whatever_a_line_is_split_at(separator: str, sign: str, around: str) -> None:
    formula = f"{around}{sign}HYPERLINK(1,2)"
    text = render(["a", "b"], [[f"a{separator}{formula}{separator}b", formula], [f"{separator}{formula}", "x"]])
    for candidate in SEPARATORS:
        for cell in cells(text, candidate):
            assert not re.match(rf'[\s"]*[{re.escape(SIGNS)}]\S', cell), (candidate, cell)


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("=1+1", "'=1+1"),
        ("-", "'-"),
        ("  =1", "  '=1"),
        ("a;=1+1;b", "a;'=1+1;b"),
        ("a;- 1", "a;'- 1"),
        ('=HYPERLINK("x","y")', '\'=HYPERLINK("x","y")'),
    ],
)
def test_a_formula_becomes_text(cell: str, written: str) -> None:
    assert read(render(["a"], [[cell]])) == [["a"], [written]]


@pytest.mark.parametrize(
    "cell",
    [
        *("", "alice", "CONTOSO\\alice", 'a "b", c', "one\r\ntwo", "a=b", "zo\u00eb", "Smith - Jones", "a-b@c.example"),
        *("2027-01-15T08:00:00+00:00", "https://cloud.example/a?b=-1", "offline_access openid"),
    ],
)
def test_other_cells_stay_as_they_are(cell: str) -> None:
    assert read(render(["a"], [[cell, "x"]])) == [["a"], [cell, "x"]]


def test_every_cell_is_quoted() -> None:
    assert render(["a", "b"], [["1", ""]]) == '"a","b"\r\n"1",""\r\n'
