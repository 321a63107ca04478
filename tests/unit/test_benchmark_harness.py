"""The benchmarks' harness: medians, ratios, tables, and what becomes of what cannot be measured."""

import json
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import harness, peer, start
from benchmarks.harness import Job, Measured, NotMeasured, Sample
from benchmarks.plot import svg

GET = ("GetItem",)
VAULT = Measured(12.0, 30.0, ("BatchGetItem", "Decrypt", "PutItem"), 15)
FLOOR = Measured(10.0, 25.0, (), 15)
PEER = Measured(8.0, 20.0, ("Query", "Decrypt"), 15)
RELEASE = Job("release", VAULT, FLOOR, {"credstash": PEER, "other": "pip: no such package"})


def series(*cpu: float) -> Callable[[], Sample]:
    left = iter(cpu)
    return lambda: Sample(next(left), 1.0)


def test_a_median_is_of_the_rounds_after_the_first() -> None:
    measured = harness.in_turn({"vault": series(900, 1, 2, 30)}, rounds=3)["vault"]
    assert isinstance(measured, Measured)
    assert (measured.cpu, measured.rounds) == (2, 3)


def test_contenders_take_turns() -> None:
    order: list[str] = []

    def noting(name: str) -> Callable[[], Sample]:
        def once() -> Sample:
            order.append(name)
            return Sample(1, 1)

        return once

    harness.in_turn({"vault": noting("vault"), "floor": noting("floor")}, rounds=2)
    assert order == ["vault", "floor"] * 3


def test_rounds_with_other_calls_are_left_out_and_counted() -> None:
    measured = Measured.of([Sample(1, 1, GET), Sample(99, 1, (*GET, *GET)), Sample(3, 1, GET)])
    assert (measured.cpu, measured.calls, measured.rounds, measured.unusual) == (2, GET, 2, 1)


def test_without_usual_calls_there_is_no_number() -> None:
    with pytest.raises(NotMeasured, match="different calls"):
        Measured.of([Sample(1, 1, GET), Sample(1, 1, ())])


def test_a_peer_that_fails_is_out_with_its_reason_and_others_go_on() -> None:
    def broken() -> Sample:
        raise NotMeasured("no server")

    measured = harness.in_turn({"vault": series(1, 1, 1), "peer": broken}, rounds=2)
    row = harness.job("release", measured)
    assert row.peers["peer"] == "no server"
    assert row.vault.rounds == 2


def test_a_job_without_the_vault_is_not_measured() -> None:
    with pytest.raises(NotMeasured, match="release: no table"):
        harness.job("release", {"vault": "no table", "floor": FLOOR})


def test_ratios() -> None:
    assert RELEASE.ratio() == pytest.approx(1.2)
    assert RELEASE.ratio("credstash") == pytest.approx(1.5)
    assert RELEASE.ratio("other") is None
    assert Job("page", VAULT, "there is none", {}).ratio() is None


def test_the_table_has_a_row_for_each_job() -> None:
    row = harness.markdown([RELEASE]).splitlines()[2]
    assert row == (
        "| release | 12.0 | 3: BatchGetItem, Decrypt, PutItem | 10.0 | 1.20 "
        "| credstash 8.0, 2 calls (vault 1.50 of it); other: not measured |"
    )


def test_the_json_says_why_something_was_not_measured() -> None:
    document = json.loads(json.dumps(harness.as_json([RELEASE], {"cores": "2"})))
    assert document["jobs"][0]["peers"]["other"]["not_measured"] == "pip: no such package"
    assert document["jobs"][0]["ratio_to_floor"] == pytest.approx(1.2)


def test_the_machine_is_described_without_its_name() -> None:
    assert set(harness.machine()) == {"cores", "python", "kernel", "date"}


def test_the_plot_has_a_bar_for_what_was_measured() -> None:
    drawn = ElementTree.fromstring(svg([RELEASE]))  # noqa: S314 - our own text
    words = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
    assert {"release", "Token Vault", "floor", "credstash"} < set(words)
    assert "other" not in words


def test_starts_stand_beside_each_other_with_what_they_imported() -> None:
    starts = {"vault": start.Start(300, 90, ("boto3",)), "floor": start.Start(150, 60, ())}
    rows = start.markdown(starts).splitlines()
    assert rows[2] == "| vault: first release | 300 | 90 | boto3 |"
    assert rows[3].endswith("| none |")
    assert rows[4] == "| ratio | 2.00 | 1.50 | |"
    assert start.as_json(starts)["floor"] == {"cpu": 150, "peak": 60, "imported": ()}


def test_without_npm_a_peer_of_nodes_is_not_measured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(peer, "ENVIRONMENTS", tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotMeasured, match="there is no npm"):
        peer.command_of("better-auth", ("better-auth@1",), "better_auth_peer.mjs")
