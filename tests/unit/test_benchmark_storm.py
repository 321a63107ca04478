"""The storm's cloud, which must be as strict as it says, and the storm's table."""

import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import pytest

from benchmarks import storm
from benchmarks.storm import Round
from benchmarks.strict_cloud import Families, StrictCloud

CALM = Round(refreshes=1, answered=20, calls=60, slowest=0.5, alone=0.1)
WORSE = Round(refreshes=1, answered=20, calls=100, slowest=0.25, alone=0.2)
LOST = Round(refreshes=20, answered=1, calls=None, slowest=0.1, alone=0, locked_out=True)


def test_a_refresh_token_serves_once() -> None:
    families = Families()
    first = families.start()
    second = families.refresh(first)
    assert second
    assert families.refresh(second)
    assert (families.refreshes, families.invalid_grants) == (2, 0)


def test_one_that_comes_twice_ends_its_family_and_no_other() -> None:
    families = Families()
    first, other = families.start(), families.start()
    second = families.refresh(first)
    assert second
    assert families.refresh(first) is None
    assert families.refresh(second) is None
    assert families.invalid_grants == 2
    assert families.refresh(other)


def test_one_that_was_never_issued_ends_nothing() -> None:
    families = Families()
    first = families.start()
    assert families.refresh("made up") is None
    assert families.refresh(first)


def test_over_http_it_answers_as_rfc_6749_says() -> None:
    with StrictCloud(pause=0) as cloud:
        first = cloud.families.start()
        assert _post(cloud, first)["refresh_token"] != first
        with pytest.raises(urllib.error.HTTPError) as refused:
            _post(cloud, first)
    assert refused.value.code == 400
    assert json.load(refused.value) == {"error": "invalid_grant"}
    refused.value.close()


def _post(cloud: StrictCloud, refresh_token: str) -> dict[str, Any]:
    form = urllib.parse.urlencode({"grant_type": "refresh_token", "refresh_token": refresh_token}).encode()
    with urllib.request.urlopen(cloud.token_endpoint, form) as answer:  # noqa: S310 - our own on loopback
        document: dict[str, Any] = json.load(answer)
    return document


def test_a_row_has_the_worst_of_each_number() -> None:
    row = storm.markdown({"vault": [CALM, WORSE]}).splitlines()[2]
    assert row == "| vault | 20 | 2 | 1 to 1 | 20 | 0 | 5.0 | 0.50 | 0.20 |"


def test_a_peer_has_no_calls_and_where_all_are_locked_out_nobody_refreshes_alone() -> None:
    row = storm.markdown({"peer": [LOST, LOST]}).splitlines()[2]
    assert row == "| peer | 20 | 2 | 20 to 20 | 1 | 2 | - | 0.10 | - |"


def test_a_peer_that_is_absent_has_a_row_as_wide_and_its_reason_in_json() -> None:
    rows = storm.markdown({"vault": [CALM], "peer": "there is no npm"}).splitlines()
    assert {row.count("|") for row in rows} == {10}
    assert rows[3].startswith("| peer | not measured |")
    document = storm.as_json({"vault": [CALM], "peer": "there is no npm"})
    assert document["peer"] == {"not_measured": "there is no npm"}
    assert document["vault"][0]["answered"] == 20
