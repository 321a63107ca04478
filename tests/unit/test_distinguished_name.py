"""Distinguished names are compared as names: whatever a server or a person escapes, one entry has one key."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chalicelib.domain.description import InvalidDescription
from chalicelib.domain.directory import DirectorySettings, group_key, stored_group_key
from chalicelib.domain.distinguished_name import folded_dn, is_below, is_dn, parent_dn

SAME = [
    ("CN=Staff\\, EU,DC=x", "cn=Staff\\2C EU,dc=x"),
    ("cn=a\\+b,dc=x", "cn=a\\2Bb,dc=x"),
    ("cn=a \\= b,dc=x", "cn=a \\3D b,dc=x"),
    ("cn=a = b,dc=x", "cn=a \\3D b,dc=x"),
    ('cn=\\"a\\"\\;\\<b\\>,dc=x', "cn=\\22a\\22\\3B\\3Cb\\3E,dc=x"),
    ("cn=\\#1,dc=x", "cn=\\231,dc=x"),
    ("cn=#04024869,dc=x", "CN=#04024869,dc=x"),
    ("cn=C\\\\D,dc=x", "cn=c\\5Cd,dc=x"),
    ("cn=\\ a\\ ,dc=x", "cn=a,dc=x"),
    ("cn=Vault   Users , dc=x", "cn=vault users,dc=x"),
    ("cn=Zo\\C3\\AB,dc=x", "cn=zoe\u0308,dc=x"),
    ("cn=a+ou=b,dc=x", "OU=B + CN=A,DC=X"),
    ("cn=a;dc=x", "cn=a,dc=x"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_two_writings_of_one_name_are_the_same(one: str, other: str) -> None:
    assert folded_dn(one) == folded_dn(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("cn=a\\,ou=b,dc=x", "cn=a,ou=b,dc=x"),
        ("cn=a\\+ou=b,dc=x", "cn=a+ou=b,dc=x"),
        ("cn=ab,dc=x", "cn=a b,dc=x"),
        ("cn=\\231,dc=x", "cn=1,dc=x"),
        ("cn=#04024869,dc=x", "cn=\\#04024869,dc=x"),
        ("cn=a\\FF,dc=x", "cn=a\\FE,dc=x"),
    ],
)
def test_what_differs_by_an_escape_is_another_name(one: str, other: str) -> None:
    assert folded_dn(one) != folded_dn(other)


@given(value=st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1))
def test_any_value_escaped_in_either_way_has_one_key_which_is_its_own_key(value: str) -> None:
    in_hexadecimal = "".join(f"\\{octet:02X}" for octet in value.encode())
    by_character = "".join(f"\\{character}" if character in ' ,+"\\\\<>;=#' else character for character in value)
    keys = {folded_dn(f"CN={written},DC=x") for written in (by_character, in_hexadecimal)}
    (key,) = keys
    assert folded_dn(key) == key == stored_group_key(key) == group_key(key)
    assert is_dn(key)


@pytest.mark.parametrize("text", ["", "VaultUsers", "S-1-5-21-1-2-3-4", "cn=a,b", "cn=a\\", "=a,dc=x", "group:a=b"])
def test_what_is_no_name_is_the_same_as_itself_only(text: str) -> None:
    assert not is_dn(text)
    assert folded_dn(f" {text.upper()} ") == text.casefold()


def test_a_setting_that_is_no_name_is_refused() -> None:
    with pytest.raises(InvalidDescription) as caught:
        DirectorySettings(domain="CONTOSO", servers=("ldaps://dc",), allowed_groups=("CN=Staff, EU,DC=x",))
    assert caught.value.key == "allowed_groups"


@pytest.mark.parametrize(
    ("dn", "parent"),
    [
        ("CN=Pat\\, O,OU=A\\2CB,DC=x", "OU=A\\2CB,DC=x"),
        ("cn=a+ou=b, dc=x", "dc=x"),
        ("dc=x", ""),
        ("nothing", ""),
    ],
)
def test_the_entry_above(dn: str, parent: str) -> None:
    assert parent_dn(dn) == parent


def test_below_is_below_and_not_beside() -> None:
    assert is_below("cn=a,ou=A\\, B,dc=x", "OU=a\\2cb,DC=x") is False
    assert is_below("cn=a,ou=A\\, B,dc=x", "OU=a\\2c b,DC=x")
    assert not is_below("cn=a,ou=not people,dc=x", "ou=people,dc=x")
    assert is_below("cn=a", "")


def test_keys_of_an_earlier_spelling_are_read_as_those_of_today() -> None:
    """Before, the escape that was typed or sent stayed in the key."""
    for stored in ("cn=staff\\, eu,dc=x", "cn=staff\\2c eu,dc=x"):
        assert stored_group_key(stored) == folded_dn("CN=Staff\\, EU,DC=x")
    assert stored_group_key("S-1-5-21-1-2-3-4") == "S-1-5-21-1-2-3-4"
    assert stored_group_key("cn=vaultusers,dc=x") == "cn=vaultusers,dc=x"


@pytest.mark.parametrize("key", ["group:CONTOSO\\Vault Admins", "role:Geschäftsführung", "group:7f2c"])
def test_what_an_id_token_claims_is_stored_as_it_is(key: str) -> None:
    """No distinguished name begins so, and capitals count."""
    assert stored_group_key(key) == key == group_key(key)
