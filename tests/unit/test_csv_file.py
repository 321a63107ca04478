"""No cell of a file is a formula for whoever opens it."""

import csv
import io

import pytest

from chalicelib.web.csv_file import render


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "\uff1d1", '=HYPERLINK("x","y")']
)
def test_a_formula_becomes_text(cell: str) -> None:
    assert read(render(["a"], [[cell]])) == [["a"], [f"'{cell}"]]


@pytest.mark.parametrize("cell", ["", "alice", "CONTOSO\\alice", 'a "b", c', "one\r\ntwo", "a=b", "zo\u00eb"])
def test_other_cells_stay_as_they_are(cell: str) -> None:
    assert read(render(["a"], [[cell, "x"]])) == [["a"], [cell, "x"]]
