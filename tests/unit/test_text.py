"""Text from outside is fit to be shown, whatever was in it."""

import unicodedata
from dataclasses import replace

import pytest

from chalicelib.adapters.ldap_connection import Entry
from chalicelib.domain.aliases import aliases_of, normalized
from chalicelib.domain.text import clean, in_order, is_clean, named, tidy, visible
from chalicelib.web.render import isolated
from tests.samples import ALICE

BIDI = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c"
HIDDEN = "\ufe0f\ufe00\U000e0100\u200b\u200c\u200d\u2060\ufeff\u00ad\u034f\u3164\u2800\U000e0041"
CONTROLS = "\0\x1b\x7f\x80\ud800"
SEEN = [
    "alice",
    "Zoë",
    "Ştefan O'Brien",
    "מיכל",
    "می\u200cخو",
    "👩\u200d💻",
    "❤\ufe0f",
    "葛\U000e0100",
    "鈴木",
    "क्\u200dष",
]


@pytest.mark.parametrize("character", [*BIDI, *HIDDEN, *CONTROLS])
def test_r17_r96_nothing_that_is_not_seen_is_kept(character: str) -> None:
    text = f"{character}Ali{character}ce {character}"
    assert clean(text) == "Alice"
    assert not is_clean(text)
    assert named(text) == visible(text) == "\ufffdAli\ufffdce \ufffd"


@pytest.mark.parametrize("text", SEEN)
def test_names_of_every_script_stay_as_they_are(text: str) -> None:
    assert clean(text) == named(text) == tidy(f" {text} ") == text
    assert is_clean(text)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\t", "\x85", "\u2028", "\u2029"])
def test_r96_one_line_stays_two_words(end: str) -> None:
    assert clean(f"Alice{end}Adams{end}") == "Alice Adams"
    assert not is_clean(f"Alice{end}Adams")


@pytest.mark.parametrize("blank", ["  ", "\u00a0", "\u2003", " \u3000"])
def test_r96_a_name_with_other_blanks_is_the_same_name(blank: str) -> None:
    assert tidy(f" Northwind{blank}Cloud ") == "Northwind Cloud"


def test_r96_text_is_normalised_and_cut() -> None:
    assert clean(unicodedata.normalize("NFD", "Zoë")) == tidy(unicodedata.normalize("NFD", "Zoë")) == "Zoë"
    assert clean("x" * 300) == "x" * 200
    assert clean("\u202e" * 10**6 + "x") == ""
    assert named("x" * 400) == "x" * 320 + "…"


@pytest.mark.parametrize("hidden", [*BIDI, *HIDDEN])
def test_r91_a_name_that_hides_something_is_not_another_persons(hidden: str) -> None:
    entry = Entry("CN=Alice", {"mail": [f"alice{hidden}@contoso.example".encode(errors="surrogatepass")]})
    user = replace(ALICE, login_name=named(f"CONTOSO\\ali{hidden}ce"), email=entry.named("mail"))
    assert not set(aliases_of(user)) & {normalized("CONTOSO\\alice"), normalized("alice@contoso.example")}


def test_r96_what_a_directory_shows_is_cleaned_whatever_its_octets() -> None:
    values = {"displayName": ["Ali\u202ece".encode()], "cn": [b"Ali\xffce"], "uid": ["\u200b".encode()]}
    entry = Entry("CN=Alice", values)
    assert entry.shown("displayName") == "Alice"
    assert entry.shown("uid", "cn") == entry.named("cn") == "Ali\ufffdce"
    assert entry.shown("mail") == entry.named("mail") == ""


def test_r96_what_is_shown_is_isolated() -> None:
    assert isolated("<b>\u202e") == "<bdi>&lt;b&gt;\ufffd</bdi>"


def test_names_are_in_the_order_in_which_people_count() -> None:
    expected = [
        "",
        "2",
        "10",
        "Box 2",
        "box 02b",
        "Box 9",
        "box 10",
        "Box 10 a",
        "Box x",
        "boxes",
        "Ärzte 1",
        "Ärzte 12",
    ]
    assert sorted(set(expected), key=in_order) == expected
    assert in_order("Box 2") == in_order("BOX 02")
