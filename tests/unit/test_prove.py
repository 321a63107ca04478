"""What the page of `make prove` takes from what its steps print."""

from dev import prove

MUTATION = """chalicelib.services.refresh: 250 of 255 noticed
  chalicelib/services/refresh.py:53: 60 to 61
chalicelib.domain.release: 1000 of 1000 noticed
1250 of 1255 mutants noticed: 99.6%; the goal is 90%
584 s
"""
STEP = prove.Step("A step", ("true",))


def test_numbers_of_one_kind_are_added_up() -> None:
    assert prove.totals("proof: 700 calls\nx\nproof: 800 calls\nproof: 3 rounds\n") == "1,500 calls; 3 rounds"
    assert prove.totals("nothing") == "no number"


def test_tests_and_checks_are_counted() -> None:
    assert prove.tests_passed("... 1234 passed in 3 s") == "1,234 tests"
    assert prove.tests_passed("") == "no test"
    assert prove.checks_made("ok bandit\nfailed rules\nok secrets\n") == "bandit, secrets"
    assert prove.checks_made("") == "none"


def test_mutants_are_said_by_module() -> None:
    expected = "1,250 of 1,255 changes, 99.6%: `services.refresh` 250/255, `domain.release` 1000/1000"
    assert prove.changes_noticed(MUTATION) == expected
    assert prove.changes_noticed("its tests fail without any mutant") == "no number"


def test_the_page_shows_what_failed_as_such() -> None:
    page = prove.page([prove.Result(STEP, passed=False, number="3 rounds", minutes=0.44)], "24 November 2026")
    assert "on 24 November 2026." in page
    assert "| A step | **failed** | 3 rounds | 0.4 min |" in page
