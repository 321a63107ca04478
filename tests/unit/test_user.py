"""domain/user.py: what is taken for a Windows account name."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from chalicelib.domain.directory import NameForm
from chalicelib.domain.errors import LoginRefused
from chalicelib.domain.user import LoginName


@pytest.mark.parametrize(
    ("text", "domain", "username"),
    [
        ("CONTOSO\\alice", "CONTOSO", "alice"),
        ("contoso\\Alice", "contoso", "Alice"),
        ("  CONTOSO\\alice  ", "CONTOSO", "alice"),
        ("C\\zoë.müller", "C", "zoë.müller"),
        ("A-1\\o'brien", "A-1", "o'brien"),
        ("CONTOSO\\mary ann", "CONTOSO", "mary ann"),
        ("CONTOSO\\svc_scan$", "CONTOSO", "svc_scan$"),
        ("ABCDEFGHIJKLMNO\\" + "u" * 64, "ABCDEFGHIJKLMNO", "u" * 64),
    ],
)
def test_a_login_name_is_split_and_keeps_its_spelling(text, domain, username):
    assert LoginName.parse(text) == LoginName(domain, username)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("alice@contoso.example", LoginName("contoso.example", "alice", NameForm.UPN)),
        ("  John.Smith@Corp.Example ", LoginName("Corp.Example", "John.Smith", NameForm.UPN)),
        ("alice", LoginName("", "alice", NameForm.PLAIN)),
        ("mary ann", LoginName("", "mary ann", NameForm.PLAIN)),
    ],
)
def test_the_other_forms_are_told_apart(text, expected):
    assert LoginName.parse(text) == expected


@pytest.mark.parametrize("text", ["CONTOSO\\alice", "CONTOSO\\par(en)", "alice@contoso.example", "alice"])
def test_a_login_name_is_written_as_it_is_typed(text):
    assert str(LoginName.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\\",
        "\\alice",
        "CONTOSO\\",
        "CONTOSO\\ ",
        "CONTOSO\\ alice",
        "CONTOSO\\alice\u00a0",
        "CONTOSO\\alice\\bob",
        "CONTOSO/alice",
        "alice@contoso@example",
        "alice@",
        "@contoso.example",
        "alice@-",
        "alice@contoso..example",
        "alice@" + "c" * 254,
        "CN=alice,DC=contoso",
        "contoso.example\\alice",
        "-CONTOSO\\alice",
        "ABCDEFGHIJKLMNOP\\alice",
        "CONTOSO\n\\alice",
        "CONT SO\\alice",
        "CONTÖSO\\alice",
        "CONTOSO\\" + "u" * 65,
    ],
)
def test_r23_what_is_no_windows_account_name_is_refused(text):
    with pytest.raises(LoginRefused) as caught:
        LoginName.parse(text)

    assert caught.value.cause == "malformed_name"
    assert caught.value.message == LoginRefused.message


@pytest.mark.parametrize("character", [*'"/\\[]:;|=,+*?<>@', "\0", "\t", "\r", "\n", "\x7f", "\u200b", "\u202e"])
def test_r23_characters_with_a_meaning_elsewhere_are_refused(character):
    with pytest.raises(LoginRefused):
        LoginName.parse(f"CONTOSO\\al{character}ice")


@given(st.text(st.characters(), max_size=80))
@example("CONTOSO\\\ud800")
def test_r23_any_text_is_a_clean_name_or_refused(text):
    try:
        name = LoginName.parse(text)
    except LoginRefused:
        return
    assert str(name) == text.strip(" ")
    assert name.username.isprintable()
    assert name.username.encode()
    assert not set(name.username) & set("\\*=,@")
