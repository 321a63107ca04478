"""What an application's JWTs must say, claim by claim, at each border (RFC 7523 3)."""

from typing import Any

import pytest

from chalicelib.domain import assertions
from chalicelib.domain.assertions import LEEWAY_SECONDS, LIFE_SECONDS, MAX_REASON
from chalicelib.domain.client_application import TrustedIssuer
from chalicelib.domain.token_exchange import RefusalReason, TokenRefused
from tests.samples import ALICE, NOW

VAULT = "https://vault.example"
COMPANY = TrustedIssuer("https://login.example", "https://login.example/jwks", "scanner-at-login", "preferred_username")
GONE = object()
"""In changes: the claim is not there."""

CLIENT: dict[str, Any] = {
    "iss": "scanner",
    "sub": "scanner",
    "aud": VAULT,
    "iat": NOW,
    "exp": NOW + LIFE_SECONDS,
    "jti": "one",
}
SUBJECT: dict[str, Any] = CLIENT | {"sub": ALICE.login_name, "reason": "scan"}
ISSUED: dict[str, Any] = {
    "iss": COMPANY.issuer,
    "aud": COMPANY.audience,
    "exp": NOW + 1,
    "preferred_username": ALICE.login_name,
}


def but(claims: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (claims | changes).items() if value is not GONE}


def used(changes: dict[str, Any]) -> assertions.AssertionUse:
    return assertions.client_assertion_use(but(CLIENT, changes), "scanner", VAULT, NOW)


def asserted(changes: dict[str, Any]) -> tuple[str, str]:
    return assertions.self_asserted_subject(but(SUBJECT, changes), "scanner", VAULT, NOW)


def issued(changes: dict[str, Any]) -> str:
    return assertions.issued_subject(but(ISSUED, changes), COMPANY, NOW)


ALIVE = [
    {"exp": NOW + 1 - LEEWAY_SECONDS, "iat": NOW - LEEWAY_SECONDS},
    {"nbf": NOW + LEEWAY_SECONDS},
    {"nbf": 0},
]
DEAD = [
    ({"exp": GONE}, "exp"),
    ({"exp": str(NOW + 60)}, "exp"),
    ({"exp": NOW + 60.0}, "exp"),
    ({"exp": True}, "exp"),
    ({"exp": NOW - LEEWAY_SECONDS}, "exp"),
    ({"nbf": NOW + LEEWAY_SECONDS + 1}, "nbf"),
    ({"nbf": str(NOW)}, "nbf"),
    ({"nbf": None}, "nbf"),
]
SHORT = [
    {"iat": NOW + LEEWAY_SECONDS, "exp": NOW + LEEWAY_SECONDS + LIFE_SECONDS},
    {"iat": NOW + LEEWAY_SECONDS, "exp": NOW + LEEWAY_SECONDS + 1},
    {"iat": NOW - LIFE_SECONDS, "exp": NOW},
]
NO_MINUTE = [
    ({"aud": GONE}, "aud"),
    ({"aud": [VAULT]}, "aud"),
    ({"aud": f"{VAULT}/oauth2/token"}, "aud"),
    ({"iat": GONE}, "iat"),
    ({"iat": str(NOW)}, "iat"),
    ({"iat": NOW + LEEWAY_SECONDS + 1, "exp": NOW + LEEWAY_SECONDS + 2}, "iat"),
    ({"iat": NOW + LEEWAY_SECONDS + 2**20000, "exp": NOW + 2**20000}, "iat"),
    ({"exp": NOW + LIFE_SECONDS + 1}, "lifetime"),
    ({"iat": NOW, "exp": NOW}, "lifetime"),
]


class TestClientAssertion:
    @pytest.mark.parametrize("changes", [{}, *ALIVE, *SHORT, {"jti": "j"}, {"jti": "j" * 256}])
    def test_r73_a_right_one_is_used_at_the_second_it_was_made(self, changes: dict[str, Any]) -> None:
        use = used(changes)
        assert use.issued_at == changes.get("iat", NOW)
        assert len(use.id) == 32

    @pytest.mark.parametrize(
        ("changes", "detail"),
        [
            *DEAD,
            *NO_MINUTE,
            ({"iss": "other"}, "iss"),
            ({"sub": "other"}, "sub"),
            ({"iss": GONE}, "iss"),
            ({"sub": GONE}, "sub"),
            ({"jti": GONE}, "jti"),
            ({"jti": ""}, "jti"),
            ({"jti": 7}, "jti"),
            ({"jti": "j" * 257}, "jti"),
        ],
    )
    def test_r73_a_wrong_one_proves_nothing(self, changes: dict[str, Any], detail: str) -> None:
        with pytest.raises(TokenRefused) as refusal:
            used(changes)
        assert (refusal.value.reason, refusal.value.detail) == (RefusalReason.INVALID_CLIENT, detail)

    def test_r73_the_same_one_has_the_same_id_and_any_other_another(self) -> None:
        other = assertions.client_assertion_use(CLIENT | {"iss": "b", "sub": "b"}, "b", VAULT, NOW)
        later = {"iat": NOW + 1, "exp": NOW + 2}
        assert used({}) == used({})
        assert len({used({}).id, used({"jti": "two"}).id, used(later).id, other.id}) == 4

    def test_r73_the_id_never_changes_or_those_used_before_a_deployment_would_work_again(self) -> None:
        assert used({}).id == "91a5eb96583c934cfa52115c29c5adb1"


class TestSelfAsserted:
    @pytest.mark.parametrize("changes", [{}, *ALIVE, *SHORT])
    def test_names_the_person_and_the_reason(self, changes: dict[str, Any]) -> None:
        assert asserted(changes) == ("contoso\\alice", "scan")

    @pytest.mark.parametrize(
        ("changes", "detail"),
        [
            *DEAD,
            *NO_MINUTE,
            ({"iss": "other"}, "iss"),
            ({"iss": GONE}, "iss"),
            ({"sub": GONE}, "sub"),
            ({"reason": GONE}, "reason"),
        ],
    )
    def test_r74_a_wrong_one_names_nobody(self, changes: dict[str, Any], detail: str) -> None:
        with pytest.raises(TokenRefused) as refusal:
            asserted(changes)
        assert (refusal.value.reason, refusal.value.detail) == (RefusalReason.INVALID_SUBJECT, detail)


class TestIssued:
    @pytest.mark.parametrize(
        "changes", [{}, *ALIVE, {"aud": ["other", COMPANY.audience]}, {"iat": GONE}, {"exp": NOW + 86_400}]
    )
    def test_the_named_claim_names_the_person(self, changes: dict[str, Any]) -> None:
        assert issued(changes | {"sub": "CONTOSO\\bob"}) == "contoso\\alice"

    @pytest.mark.parametrize(
        ("changes", "detail"),
        [
            *DEAD,
            ({"iss": GONE}, "iss"),
            ({"iss": f"{COMPANY.issuer}/"}, "iss"),
            ({"aud": GONE}, "aud"),
            ({"aud": "other"}, "aud"),
            ({"aud": []}, "aud"),
            ({"aud": f"{COMPANY.audience}2"}, "aud"),
            ({"preferred_username": GONE}, "sub"),
        ],
    )
    def test_r74_a_wrong_one_names_nobody(self, changes: dict[str, Any], detail: str) -> None:
        with pytest.raises(TokenRefused) as refusal:
            issued(changes | {"sub": "CONTOSO\\bob"})
        assert (refusal.value.reason, refusal.value.detail) == (RefusalReason.INVALID_SUBJECT, detail)


@pytest.mark.parametrize(
    ("value", "name"),
    [
        (ALICE.login_name, "contoso\\alice"),
        (" Alice@Contoso.Example ", "alice@contoso.example"),
        (ALICE.id, ALICE.id),
        ("s-1-5-21-1", "s-1-5-21-1"),
    ],
)
def test_a_person_has_one_spelling_and_an_id_stays_as_it_is(value: str, name: str) -> None:
    assert assertions.subject_name(value) == name


@pytest.mark.parametrize("value", [None, 7, ["a"], "", "  ", "a\x00b", "a" * 400])
def test_what_nobody_is_called_is_refused(value: object) -> None:
    with pytest.raises(TokenRefused) as refusal:
        assertions.subject_name(value)
    assert (refusal.value.reason, refusal.value.detail) == (RefusalReason.INVALID_SUBJECT, "sub")


@pytest.mark.parametrize(("value", "reason"), [(" why ", "why"), ("w", "w"), ("w" * MAX_REASON, "w" * MAX_REASON)])
def test_a_reason_is_kept_without_what_surrounds_it(value: str, reason: str) -> None:
    assert assertions.given_reason(value) == reason


@pytest.mark.parametrize("value", [None, 7, "", "  ", "w" * (MAX_REASON + 1), "a\nb", "a\u202eb"])
def test_without_a_readable_reason_it_is_refused(value: object) -> None:
    with pytest.raises(TokenRefused) as refusal:
        assertions.given_reason(value)
    assert (refusal.value.reason, refusal.value.detail) == (RefusalReason.INVALID_SUBJECT, "reason")
