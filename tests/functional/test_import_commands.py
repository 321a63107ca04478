"""`python -m chalicelib import-grants`: refresh tokens of another vault work here, and none of them is ever shown."""

import io
import json
from dataclasses import replace
from typing import Any

import pytest

from chalicelib import bootstrap
from chalicelib.command_line import main
from chalicelib.domain.audit import Actor
from chalicelib.domain.client_application import Whose
from chalicelib.domain.errors import Conflict
from chalicelib.domain.user import Departure
from tests.fakes import directory

from .conftest import NORTHWIND, Running
from .test_token import BOB_ID, EVERYBODY, ORIGIN, Api

LINE = {
    "user": "CONTOSO\\alice",
    "account": "alice@contoso.example",
    "account_id": "cloud-alice",
    "scopes": ["openid", "email", "offline_access"],
}


class Shell:
    """The command over a vault whose alice had authorized, and whose grants another vault is said to have had."""

    def __init__(self, api: Api, patch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.api, self._patch, self._capsys = api, patch, capsys
        patch.setattr(bootstrap, "create_vault", lambda: api.running.vault)
        (self.refresh_token,) = api.running.cloud._refresh_tokens
        api.running.vault.removals.remove_all(Actor("test"), NORTHWIND, ORIGIN)

    def run(
        self, *lines: dict[str, Any] | str, provider: str = NORTHWIND, more: tuple[str, ...] = ()
    ) -> tuple[int, str]:
        text = "\n".join(line if isinstance(line, str) else json.dumps(line) for line in lines)
        self._patch.setattr("sys.stdin", io.StringIO(text))
        code = main(["import-grants", provider, *more])
        shown = self._capsys.readouterr()
        assert self.refresh_token not in shown.out + shown.err
        return code, shown.out + shown.err

    def line(self, **changes: Any) -> dict[str, Any]:
        return LINE | {"refresh_token": self.refresh_token} | changes


@pytest.fixture
def shell(running: Running, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shell:
    return Shell(Api(running), monkeypatch, capsys)


def test_what_was_taken_over_is_refreshed_and_released(shell: Shell) -> None:
    assert shell.api.refuse()[2] == "not_connected"
    code, said = shell.run(shell.line())
    assert (code, said.splitlines()[-1]) == (0, "Taken over: 1. There already: 0. Refused: 0.")
    body = shell.api.fetch(minimum_seconds="600")
    assert shell.api.running.cloud.is_live(body["access_token"])
    assert body["account"] == {"subject": "cloud-alice", "label": "alice@contoso.example"}
    assert shell.api.browser.get("/providers").form("Reauthorize")
    assert "was taken over from another vault" in shell.api.browser.get("/activity").text
    assert shell.api.running.audit_tags().count("grant.imported") == 1


def test_a_token_that_the_cloud_refuses_asks_the_person(shell: Shell) -> None:
    assert shell.run(shell.line(refresh_token="of another client", authorized_at=5))[0] == 0
    assert shell.api.refuse()[2] == "needs_reauthorization"


def test_what_people_have_authorized_here_is_not_written_over(shell: Shell) -> None:
    shell.run(shell.line())
    code, said = shell.run(shell.line(refresh_token="older"))
    assert (code, said.splitlines()[-1]) == (0, "Taken over: 0. There already: 1. Refused: 0.")
    code, said = shell.run(shell.line(refresh_token="of another account", account_id="cloud-other"))
    assert code == 1
    assert said.startswith("1: This person has another cloud account at Northwind Cloud here.")
    assert shell.api.fetch()["access_token"]


def test_a_grant_that_appears_meanwhile_counts_as_there(shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(*_: object, **__: object) -> None:
        raise Conflict

    monkeypatch.setattr(shell.api.running.vault.grant_import._grants, "save", taken)
    assert "There already: 1" in shell.run(shell.line())[1]


BOBS = {"account": "bob@contoso.example", "account_id": "cloud-bob"}


class TestBeforeTheFirstLogIn:
    """Bob has never been here; the directory can be asked about him."""

    @pytest.fixture(autouse=True)
    def service(self, shell: Shell) -> None:
        shell.api.running.directory.looks_up = True

    @pytest.mark.parametrize("user", ["CONTOSO\\bob", "Bob@Contoso.example", BOB_ID])
    def test_r91_an_import_counts_under_every_name_of_the_person_and_for_the_groups(
        self, shell: Shell, user: str
    ) -> None:
        shell.api.rules(replace(EVERYBODY, whose=Whose(groups=frozenset({directory.VAULT_USERS}))))
        assert shell.run(shell.line(**BOBS, user=user))[0] == 0
        for name in ("CONTOSO\\bob", "bob@contoso.example", BOB_ID):
            assert shell.api.fetch(name)["account"]["subject"] == "cloud-bob"

    def test_r91_of_several_who_were_called_so_the_directory_names_the_one(self, shell: Shell) -> None:
        vault, new = shell.api.running.vault, directory.person(1200, "alice", "Al New")
        shell.api.running.directory.hire(new)
        assert shell.run(shell.line(**BOBS))[0] == 0
        (grant,) = vault.administration.of_person(vault.people.with_id(new.user.id))
        assert grant.account.subject == "cloud-bob"

    def test_the_sweep_looks_after_whom_it_brought(self, shell: Shell) -> None:
        shell.run(shell.line(**BOBS, user=BOB_ID))
        shell.api.running.directory.gone[BOB_ID] = Departure.DISABLED
        shell.api.running.clock.advance(121)
        shell.api.running.vault.leavers.sweep()
        assert shell.api.refuse("CONTOSO\\bob")[2] == "blocked"

    def test_who_may_not_log_in_and_who_cannot_be_asked_about_is_refused(self, shell: Shell) -> None:
        shell.api.running.directory.gone[BOB_ID] = Departure.DISABLED
        assert "1: This person's account may not use the vault." in shell.run(shell.line(user=BOB_ID))[1]
        shell.api.running.directory.available = False
        code, said = shell.run(shell.line(user="S-1-5-21-1-2-3-9"))
        assert (code, said.splitlines()[-1]) == (1, "Taken over: 0. There already: 0. Refused: 1.")

    def test_an_id_that_no_directory_has_is_nobodys(self, shell: Shell) -> None:
        code, said = shell.run(shell.line(**BOBS, user="S-1-5-21-1-2-3-9"))
        assert (code, said.splitlines()[0]) == (1, "1: No directory has anybody with this id.")

    @pytest.mark.parametrize(
        ("nobody", "looks_up"),
        [
            ("S-1-5-21-1-2-3-9", False),
            ("8f3d1c1e-0000-4000-8000-1234567890ab.8f3d1c1e-0000-4000-8000-1234567890ac", True),
        ],
    )
    def test_of_whom_no_directory_can_say_anything_the_id_alone_is_known(
        self, shell: Shell, nobody: str, looks_up: bool
    ) -> None:
        shell.api.running.directory.looks_up = looks_up
        assert shell.run(shell.line(**BOBS, user=nobody))[0] == 0
        assert shell.api.fetch(nobody)["account"]["subject"] == "cloud-bob"


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        ("{no json", "This is no JSON object."),
        ('["a list"]', "This is no JSON object."),
        ("[" * 100_000, "This is no JSON object."),
        ({"refresh_token": ""}, "refresh_token is missing or empty."),
        ({"user": 7}, "user is missing or empty."),
        ({"scopes": "mail"}, "scopes must be a list of words, each without a blank in it."),
        ({"scopes": [1]}, "scopes must be a list of words, each without a blank in it."),
        ({"scopes": ["openid email"]}, "scopes must be a list of words, each without a blank in it."),
        ({"scopes": [""]}, "scopes must be a list of words, each without a blank in it."),
        ({"authorized_at": "yesterday"}, "authorized_at must be seconds since 1970."),
        ({"user": "CONTOSO\\nobody"}, "Nobody is known by this name."),
    ],
)
def test_a_wrong_line_is_named_and_keeps_no_other_from_being_taken_over(
    shell: Shell, wrong: dict[str, Any] | str, why: str
) -> None:
    code, said = shell.run(wrong if isinstance(wrong, str) else shell.line(**wrong), "", shell.line())
    assert code == 1
    assert said.splitlines()[0].startswith(f"1: {why}")
    assert said.splitlines()[-1] == "Taken over: 1. There already: 0. Refused: 1."


def test_r68_json_repeats_nothing_of_a_line(shell: Shell) -> None:
    code, said = shell.run('{"refresh_token": "half a secret', more=("--json",))
    assert (code, json.loads(said)) == (1, {"line": 1, "outcome": "refused", "detail": "This is no JSON object."})


def test_an_unknown_provider_is_refused_before_anything_is_read(shell: Shell) -> None:
    code, said = shell.run(shell.line(), provider="nobody")
    assert code != 0
    assert "No provider has this id." in said
