"""docs/asvs.md has every item of ASVS 5.0.0 that it promises, each with tests that exist or a reason."""

import re
from collections import Counter

from dev.process import ROOT

LEVELS = """
1.1 22|1.2 1111122223|1.3 112222222223|1.4 222|1.5 123|2.1 122|2.2 112|2.3 12223|2.4 23|3.1 3|3.2 113|3.3 12223
3.4 11222233|3.5 11122333|3.6 3|3.7 22333|4.1 12233|4.2 23333|4.3 22|4.4 1222|5.1 2|5.2 112333|5.3 113|5.4 222|6.1 122
6.2 111111112222|6.3 11223333|6.4 112233|6.5 22222333|6.6 2223|6.7 33|6.8 2222|7.1 222|7.2 1111|7.3 22|7.4 11222|7.5 223
7.6 22|8.1 1233|8.2 1123|8.3 133|8.4 23|9.1 111|9.2 1222|10.1 22|10.2 223|10.3 22223|10.4 1111122222233333|10.5 22222
10.6 22|10.7 222
11.1 2233|11.2 22233|11.3 11233|11.4 1222|11.5 23|11.6 23|11.7 33|12.1 12233|12.2 11|12.3 22223|13.1 2333|13.2 222223
13.3 2233|13.4 1222233|14.1 22|14.2 12223333|14.3 122|15.1 12233|15.2 12233|15.3 1222222|15.4 3333|16.1 2|16.2 22222
16.3 2222|16.4 222|16.5 2223|17.1 23|17.2 22223333|17.3 22
"""
"""Sections of the standard with the level of each of their items, in order."""

TO_LEVEL_3 = {"7", "8", "10", "16"}
"""Sessions, authorization, OAuth, logging."""

ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| (\d) \| (.+) \| (.+) \|$", re.MULTILINE)
DOCUMENT = (ROOT / "docs/asvs.md").read_text(encoding="utf-8")
NO_TEST = ("n/a: ", "operator: ", "described: ", "not met", "in part: ", "template: ")


def items() -> dict[str, int]:
    sections = (entry.split(" ") for entry in LEVELS.replace("\n", "|").split("|") if entry)
    return {f"{name}.{at}": int(level) for name, levels in sections for at, level in enumerate(levels, 1)}


def test_the_list_is_that_of_the_standard() -> None:
    """345 items: 70 of level 1, 183 of level 2, 92 of level 3."""
    assert Counter(items().values()) == {1: 70, 2: 183, 3: 92}


def test_every_promised_item_stands_there_once_with_its_level() -> None:
    rows = [(item, int(level)) for item, level, _, _ in ROW.findall(DOCUMENT)]
    wanted = [(item, level) for item, level in items().items() if level <= 2 or item.partition(".")[0] in TO_LEVEL_3]
    assert rows == wanted


def test_every_item_has_a_test_or_says_why_not() -> None:
    for item, _, words, shown in ROW.findall(DOCUMENT):
        assert words.strip()
        has_test = re.search(r"\b[RF]\d+\b|`test_\w+`", shown)
        assert has_test or shown.startswith(NO_TEST) or "secure/rules.yaml" in shown or len(shown) > 40, item
        assert len(shown.partition(": ")[2]) > 3 or not shown.startswith(NO_TEST), item


def test_every_test_and_requirement_that_is_named_exists() -> None:
    files = [file.read_text(encoding="utf-8") for file in (ROOT / "tests").rglob("test_*.py")]
    tests = {name for text in files for name in re.findall(r"def (test_\w+)", text)}
    assert set(re.findall(r"`(test_\w+)`", DOCUMENT)) - tests == set()
    security = (ROOT / "docs/security.md").read_text(encoding="utf-8")
    requirements = set(re.findall(r"^\| ([RF]\d+) \|", security, re.MULTILINE))
    named = {name for _, _, _, shown in ROW.findall(DOCUMENT) for name in re.findall(r"\b[RF]\d+\b", shown)}
    assert named - requirements == set()


def test_what_is_not_met_is_said_to_be_so() -> None:
    missing = [item for item, _, _, shown in ROW.findall(DOCUMENT) if shown.startswith("not met")]
    assert missing == ["6.3.3", "7.4.5", "15.1.1"]
