"""The checks of `make secure` that could pass by looking at nothing."""

import json
import re

from dev.process import ROOT
from secure.advisories import FLOORS, below_floors, judged, locked
from secure.secrets import KNOWN, unexplained

PACKAGES = locked((ROOT / "requirements.lock").read_text("utf-8"))


def test_the_lock_is_read_and_nothing_in_it_is_older_than_its_floor() -> None:
    pinned = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    assert {line.partition("==")[0].lower() for line in pinned if "==" in line} <= set(PACKAGES)
    assert len(PACKAGES) > 20
    assert below_floors(PACKAGES) == []


def test_an_old_and_a_missing_package_are_named() -> None:
    assert below_floors(PACKAGES | {"authlib": "1.6.9"})[0].startswith("authlib 1.6.9 is older than 1.6.11")
    assert below_floors(PACKAGES | {"jinja2": "3.1.10"}) == []
    without = {name: version for name, version in PACKAGES.items() if name != "idna"}
    assert below_floors(without) == ["idna is not in requirements.lock"]
    assert len(below_floors({})) == len(FLOORS)


def test_an_audit_that_saw_nothing_is_none() -> None:
    for report in ("", "{}", '{"dependencies": []}', "[]", "no JSON", '{"dependencies": null}'):
        assert judged(report, PACKAGES) == ([], sorted(PACKAGES))
    skipped = [{"name": name, "skip_reason": "not found on PyPI"} for name in PACKAGES]
    assert judged(json.dumps({"dependencies": skipped}), PACKAGES) == ([], sorted(PACKAGES))


def test_what_was_audited_and_found_is_told() -> None:
    entries = [{"name": name, "version": "1", "vulns": []} for name in PACKAGES]
    assert judged(json.dumps({"dependencies": entries}), PACKAGES) == ([], [])
    entries[0]["vulns"] = [{"id": "PYSEC-1"}]
    weak, unseen = judged(json.dumps({"dependencies": entries}), PACKAGES)
    assert (len(weak), unseen) == (1, [])
    assert weak[0].endswith(": PYSEC-1")


def test_a_new_secret_beside_known_ones_is_seen_and_so_is_one_that_went() -> None:
    known = {name: [{}] * count for name, (count, _) in KNOWN.items()}
    assert unexplained(known) == []
    assert unexplained(known | {"app.py": [{}]}) == ["app.py: 1 found, 0 known"]
    name, (count, _) = next(iter(KNOWN.items()))
    assert unexplained(known | {name: [{}] * (count + 1)}) == [f"{name}: {count + 1} found, {count} known"]
    assert len(unexplained({})) == len(KNOWN)
    assert all((ROOT / name).is_file() and reason for name, (_, reason) in KNOWN.items())


def test_every_rule_shows_what_it_finds_and_what_it_lets_be() -> None:
    rules = set(re.findall(r"^  - id: (\S+)", (ROOT / "secure/rules.yaml").read_text("utf-8"), re.MULTILINE))
    shown = (ROOT / "secure/rules.py").read_text("utf-8")
    assert len(rules) >= 10
    assert set(re.findall(r"# ruleid: (\S+)", shown)) == set(re.findall(r"# ok: (\S+)", shown)) == rules
