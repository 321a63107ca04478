"""What an authorization request decides by itself."""

from dataclasses import replace

import pytest

from chalicelib.domain.authorization_request import AuthorizationRequest, ConsentFailed, ConsentProblem
from tests.samples import REQUEST, SERVER


def request(*, issuer: str | None = SERVER.issuer, promised: bool = False) -> AuthorizationRequest:
    return replace(REQUEST, server=replace(SERVER, issuer=issuer, iss_parameter_promised=promised))


@pytest.mark.parametrize("promised", [True, False])
def test_r40_the_servers_own_issuer_passes(promised: bool) -> None:
    request(promised=promised).check_issuer("https://cloud.example")


@pytest.mark.parametrize("promised", [True, False])
@pytest.mark.parametrize("iss", ["https://evil.example", "https://cloud.example/", "HTTPS://cloud.example", ""])
def test_r40_another_issuer_is_refused_character_by_character(iss: str, promised: bool) -> None:
    with pytest.raises(ConsentFailed) as failed:
        request(promised=promised).check_issuer(iss)
    assert failed.value.problem is ConsentProblem.WRONG_SERVER


def test_r40_a_missing_issuer_is_refused_when_it_was_promised() -> None:
    request().check_issuer(None)
    with pytest.raises(ConsentFailed) as failed:
        request(promised=True).check_issuer(None)
    assert failed.value.problem is ConsentProblem.WRONG_SERVER


def test_r40_an_issuer_that_cannot_be_compared_passes() -> None:
    request(issuer=None).check_issuer("https://cloud.example")


def test_r50_the_verifier_is_bound_to_its_trip_person_and_provider() -> None:
    assert REQUEST.verifier_context() == {
        "purpose": "pkce-verifier",
        "request": REQUEST.state_hash,
        "user": REQUEST.user_id,
        "provider": REQUEST.provider_id,
        "generation": "1",
    }


def test_r37_a_trip_lasts_ten_minutes() -> None:
    assert REQUEST.expires_at == REQUEST.created_at + 600
    assert not REQUEST.is_test
