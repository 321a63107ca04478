"""Rules of the ground floor."""

import pickle
from dataclasses import replace

import pytest

from chalicelib.domain.access import Access, is_administrator, require
from chalicelib.domain.administrators import Appointments
from chalicelib.domain.errors import AccessDenied, LoginRequired, NotFound
from chalicelib.domain.secret import Secret, fingerprint
from chalicelib.domain.token_set import TokenSet
from tests.samples import ADMIN, ADMINISTRATORS, ALICE, GRANT, PROVIDER, TOKENS

GROUPS = frozenset({ADMINISTRATORS})


class TestSecret:
    def test_r68_shows_itself_nowhere(self) -> None:
        secret = Secret("hunter2")
        for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r:>20}", "%s" % secret, repr([secret])):  # noqa: UP031 - every way of formatting
            assert "hunter2" not in shown
        with pytest.raises(TypeError):
            pickle.dumps(secret)

    def test_compares_by_value(self) -> None:
        assert Secret("a") == Secret("a")
        assert Secret("a") != Secret("b")
        assert Secret("a") != "a"
        assert len({Secret("a"), Secret("a")}) == 1
        assert not Secret("")

    def test_a_fingerprint_is_sha256(self) -> None:
        assert fingerprint("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


class TestAccess:
    def test_r13_who_may_call_what(self) -> None:
        require(Access.PUBLIC, None, is_administrator=False)
        require(Access.USER, ALICE, is_administrator=False)
        require(Access.ADMINISTRATOR, ADMIN, is_administrator=True)
        with pytest.raises(LoginRequired):
            require(Access.USER, None, is_administrator=False)
        with pytest.raises(LoginRequired):
            require(Access.ADMINISTRATOR, None, is_administrator=False)
        with pytest.raises(AccessDenied):
            require(Access.ADMINISTRATOR, ALICE, is_administrator=False)

    def test_r33_without_a_named_group_nobody_is_an_administrator(self) -> None:
        assert is_administrator(ADMIN, GROUPS)
        assert not is_administrator(ADMIN, frozenset())


class TestTokenSet:
    def test_survives_being_stored(self) -> None:
        assert TokenSet.from_bytes(TOKENS.to_bytes()) == TOKENS

    def test_a_set_without_refresh_token_survives_too(self) -> None:
        tokens = TokenSet(TOKENS.access_token, None, 1, (), "bearer", {"instance_url": "https://x.example"})
        assert TokenSet.from_bytes(tokens.to_bytes()) == tokens
        assert tokens.revocable() == tokens.access_token

    def test_r68_its_repr_shows_no_token(self) -> None:
        assert "access-token" not in repr(TOKENS)


@pytest.mark.parametrize(
    "endpoint", ["token_endpoint", "revocation_endpoint", "userinfo_endpoint", "issuer", "jwks_uri"]
)
def test_r50_a_client_secret_does_not_open_for_another_server(endpoint: str) -> None:
    moved = replace(PROVIDER, server=replace(PROVIDER.server, **{endpoint: "https://attacker.example"}))
    assert moved.secret_context() != PROVIDER.secret_context()


def test_r50_every_clear_field_that_decides_a_release_is_in_the_context() -> None:
    covered = {
        "user",
        "provider",
        "generation",
        "version",
        "state",
        "expires_at",
        "scopes",
        "account",
        "label",
        "schema",
        "purpose",
    }
    assert set(GRANT.encryption_context()) == covered


def test_who_authorized_until_the_change_authorizes_again() -> None:
    """In the second of the change nobody knows which was first, so that it is asked for."""
    changed = replace(PROVIDER, authorize_again_since=100)
    assert [changed.outdates(at) for at in (99, 100, 101)] == [True, True, False]
    assert not replace(PROVIDER, authorize_again_since=None).outdates(100)


def test_a_right_that_nobody_has_cannot_be_taken_back() -> None:
    with pytest.raises(NotFound):
        Appointments().without("S-1-5-21-1")
