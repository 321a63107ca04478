"""The list of what is stored: it has every kind of item that the stores write, with the times that they write, and
docs/privacy.md has a row for each.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from chalicelib.domain import authorization_request, grant, mail, removal, session
from chalicelib.domain.personal_data import KINDS
from chalicelib.services import revocations, throttle
from chalicelib.stores import due, outbox
from dev.process import ROOT

TEXT = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
STORES = sorted((ROOT / "chalicelib" / "stores").glob("*.py"))
DAY = 86400


def test_the_document_has_a_row_for_each_kind() -> None:
    rows = re.findall(r"^\| ([^|]+) \| `(VAULT_\w+)` \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", TEXT, re.MULTILINE)
    assert rows == [(kind.name, kind.table.value, kind.of_people, kind.kept, kind.at_erasure.value) for kind in KINDS]


def assigned(module: ast.Module) -> dict[str, ast.expr]:
    """Names of the module, and what they stand for."""
    found: dict[str, ast.expr] = {}
    for node in module.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            found[node.targets[0].id] = node.value
        elif (
            isinstance(node, ast.Assign)
            and isinstance(node.targets[0], ast.Tuple)
            and isinstance(node.value, ast.Tuple)
        ):
            found |= dict(
                zip((one.id for one in node.targets[0].elts if isinstance(one, ast.Name)), node.value.elts, strict=True)
            )
    return found


NAMES = {
    name: value for path in STORES for name, value in assigned(ast.parse(path.read_text(encoding="utf-8"))).items()
}


def beginning(value: ast.expr, names: dict[str, ast.expr]) -> str:
    """The text with which an expression begins, as far as the source says it."""
    match value:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name) if name in names:
            return beginning(names[name], names)
        case ast.JoinedStr(values=[first, *_]) | ast.FormattedValue(value=first) | ast.BinOp(left=first):
            return beginning(first, names)
    return ""


def keys(path: Path) -> Iterator[str]:
    """Keys, sort keys and what keys begin with, where a store says them."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    names = NAMES | assigned(module)
    for node in ast.walk(module):
        if isinstance(node, ast.Dict):
            pairs = zip(node.keys, node.values, strict=True)
            yield from (beginning(v, names) for k, v in pairs if isinstance(k, ast.Name) and k.id in ("KEY", "SORT"))
        if isinstance(node, ast.FunctionDef) and re.fullmatch("_partition|_key|_noted|_counter", node.name):
            yield from (
                beginning(one.value, names) for one in ast.walk(node) if isinstance(one, ast.Return) and one.value
            )


def test_every_kind_of_item_that_a_store_writes_is_on_the_list() -> None:
    said = {key for path in STORES for key in keys(path) if key}
    assert said >= {"USER#", "RECORD", "MAIL", "GRANT#", "ENDED#", "SESSION#", "AUDIT#", "REMOVAL#", "USE#", "STOPS#"}
    parts = {part for kind in KINDS for part in re.findall(r"#?[A-Z][A-Z-]+", kind.key)}
    # What follows the first word is not a kind of its own, but for the removals of everything
    assert {key for key in said if not {key, key.split("#")[0]} & parts} == set()


KEPT = {
    "removed authorization": grant.TOMBSTONE_SECONDS,
    "spilled outcome": grant.SPILL_SECONDS,
    "mail refusal": mail.KEPT_SECONDS,
    "receipt of a removal": removal.KEPT_SECONDS,
    "counts of a removal": removal.KEPT_SECONDS,
    "event on its way": outbox._KEPT_SECONDS,
    "mails sent": outbox._KEPT_SECONDS,
    "note of an unreadable item": due._NOTED_SECONDS,
    "known browser": throttle.KNOWN_BROWSER_SECONDS,
    "pending revocation": revocations.GIVE_UP_SECONDS,
    "session": session.USER_LIFETIMES.absolute,
    "authorization request": authorization_request.LIFETIME_SECONDS,
}


def test_what_is_said_of_time_is_what_the_code_does() -> None:
    units = {"day": DAY, "hour": 3600, "minute": 60}
    for kind in KINDS:
        if kind.name in KEPT:
            number, unit = re.findall(r"(\d+) (day|hour|minute)s?", kind.kept)[-1]
            assert int(number) * units[unit] == KEPT[kind.name], kind.name
    assert KEPT.keys() <= {kind.name for kind in KINDS}
