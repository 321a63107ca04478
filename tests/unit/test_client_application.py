"""Who may fetch what: every combination, and what a registration must look like."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from chalicelib.domain.client_application import (
    ANY_SCOPE,
    AccessRule,
    ApplicationKey,
    ClientApplication,
    Subject,
    SubjectMode,
    TrustedIssuer,
    Whose,
    check_id,
    permits,
)
from chalicelib.domain.errors import InvalidForm, InvalidRequest, NotFound
from tests.samples import ALICE, APPLICATION, BOB, NOW, RULE

STAFF, OTHERS = "S-1-5-21-1-2-3-1603", "S-1-5-21-1-2-3-1604"
ALICE_HERE = Subject(ALICE.id, frozenset({STAFF}))
KEY = ApplicationKey("k1", "ES256", {"kty": "EC"}, NOW)


class TestRules:
    def test_r74_nothing_is_permitted_by_default(self) -> None:
        application = replace(APPLICATION, rules=())
        assert application.rules_for("northwind", ALICE_HERE, "10.1.2.3") == []
        assert not permits([], [])
        assert not Whose().includes(ALICE_HERE)

    @pytest.mark.parametrize(
        ("provider", "whose", "sources"),
        list(
            product(
                [("northwind", True), ("other", False)],
                [
                    (Whose(everybody=True), True),
                    (Whose(groups=frozenset({STAFF, OTHERS})), True),
                    (Whose(users=frozenset({ALICE.id, BOB.id})), True),
                    (Whose(groups=frozenset({OTHERS}), users=frozenset({ALICE.id})), True),
                    (Whose(groups=frozenset({OTHERS}), users=frozenset({BOB.id})), False),
                    (Whose(), False),
                ],
                [
                    ((), True),
                    (("10.1.0.0/16",), True),
                    (("192.0.2.0/24", "10.1.2.3/32"), True),
                    (("10.2.0.0/16",), False),
                    (("2001:db8::/32",), False),
                ],
            )
        ),
    )
    def test_r74_a_rule_admits_only_where_provider_person_and_source_all_fit(
        self, provider: tuple[str, bool], whose: tuple[Whose, bool], sources: tuple[tuple[str, ...], bool]
    ) -> None:
        rule = AccessRule(provider[0], (ANY_SCOPE,), whose[0], sources[0])
        application = replace(APPLICATION, rules=(rule,))
        expected = provider[1] and whose[1] and sources[1]
        assert bool(application.rules_for("northwind", ALICE_HERE, "10.1.2.3")) == expected

    def test_r77_a_person_nobody_knows_is_within_a_rule_for_everybody_alone(self) -> None:
        assert Whose(everybody=True).includes(None)
        assert not Whose(groups=frozenset({STAFF}), users=frozenset({ALICE.id})).includes(None)

    @pytest.mark.parametrize("source", ["-", "", "10.1.2.3.4", "unix:"])
    def test_a_source_that_is_no_address_is_in_no_block(self, source: str) -> None:
        rule = replace(RULE, sources=("0.0.0.0/0", "::/0"))
        assert not rule.admits("northwind", ALICE_HERE, source)

    @pytest.mark.parametrize(
        ("ceiling", "scopes", "expected"),
        [
            ((), (), True),
            ((), ("mail",), False),
            (("mail",), (), True),
            (("mail",), ("mail",), True),
            (("mail",), ("mail", "files"), False),
            (("mail",), ("Mail",), False),
            (("mail", "files"), ("files",), True),
            ((ANY_SCOPE,), ("mail", "files"), True),
            (("mail",), (ANY_SCOPE,), False),
        ],
    )
    def test_r74_a_token_mightier_than_the_ceiling_is_not_permitted(
        self, ceiling: tuple[str, ...], scopes: tuple[str, ...], expected: bool
    ) -> None:
        assert permits([replace(RULE, scopes=ceiling)], scopes) == expected

    def test_two_ceilings_do_not_add_up(self) -> None:
        rules = [replace(RULE, scopes=("mail",)), replace(RULE, scopes=("files",))]
        assert permits(rules, ["files"])
        assert not permits(rules, ["mail", "files"])


class TestRole:
    ROLE = "arn:aws:iam::123456789012:role/service/scanner"

    @pytest.mark.parametrize(
        ("caller", "expected"),
        [
            ("arn:aws:sts::123456789012:assumed-role/scanner/i-0123", True),
            ("arn:aws:sts::999999999999:assumed-role/scanner/i-0123", False),
            ("arn:aws:sts::123456789012:assumed-role/scanner2/i-0123", False),
            ("arn:aws:sts::123456789012:assumed-role/scanner", False),
            ("arn:aws:iam::123456789012:role/service/scanner", False),
            ("arn:aws:iam::123456789012:user/scanner", False),
            ("arn:aws:sts::123456789012:assumed-role/scanner/x\n", False),
            ("", False),
        ],
    )
    def test_r72_only_a_session_of_the_registered_role_is_the_application(self, caller: str, expected: bool) -> None:
        assert replace(APPLICATION, role_arn=self.ROLE).is_role(caller) == expected

    def test_r72_an_application_without_a_role_is_nobody_of_iam(self) -> None:
        assert not APPLICATION.is_role("arn:aws:sts::123456789012:assumed-role/scanner/i-0123")
        assert not APPLICATION.is_role("")


class TestKeys:
    def test_an_old_and_a_new_key_are_good_at_the_same_time(self) -> None:
        application = replace(APPLICATION, keys=(replace(KEY, expires_at=NOW + 10), replace(KEY, id="k2")))
        assert [key.id for key in application.usable_keys(NOW + 9)] == ["k1", "k2"]
        assert [key.id for key in application.usable_keys(NOW + 10)] == ["k2"]

    def test_a_key_has_the_thumbprint_of_rfc_7638(self) -> None:
        """Its own example (3.1); members in another order are the same key."""
        modulus = (
            "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3"
            "oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdA"
            "ZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-"
            "kEgU8awapJzKnqDKgw"
        )
        thumbprint = "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
        assert replace(KEY, jwk={"n": modulus, "e": "AQAB", "kty": "RSA"}).fingerprint == thumbprint
        assert replace(KEY, jwk={"kty": "RSA", "e": "AQAB", "n": modulus}).fingerprint == thumbprint

    @pytest.mark.parametrize(
        ("keys", "role", "expected"),
        [
            ((), None, False),
            ((replace(KEY, expires_at=NOW),), None, False),
            ((KEY,), None, True),
            ((), TestRole.ROLE, True),
            ((KEY,), TestRole.ROLE, True),
        ],
    )
    def test_a_program_proves_itself_by_a_usable_key_or_a_role(
        self, keys: tuple[ApplicationKey, ...], role: str | None, expected: bool
    ) -> None:
        assert replace(APPLICATION, keys=keys, role_arn=role).can_prove_itself(NOW) is expected


class TestStop:
    def test_a_new_application_may_work_at_once(self) -> None:
        assert (APPLICATION.enabled, APPLICATION.version) == (True, 1)
        assert (APPLICATION.stopped_reason, APPLICATION.stopped_at, APPLICATION.stopped_by) == ("", None, "")

    def test_one_that_is_stopped_says_why_when_and_by_whom(self) -> None:
        stopped = APPLICATION.stopped("stolen", NOW, "admin")
        assert (stopped.enabled, stopped.stopped_reason, stopped.stopped_at, stopped.stopped_by) == (
            False, "stolen", NOW, "admin",
        )  # fmt: skip
        assert APPLICATION.stopped("limit", NOW).stopped_by == ""
        assert stopped.resumed() == APPLICATION


def test_an_id_that_no_application_can_have_is_not_found() -> None:
    assert check_id("scan-server_1") == "scan-server_1"
    for text in ("", "Scan", "-scan", "scan server", "scan\n", "x" * 65):
        with pytest.raises(NotFound):
            check_id(text)


def test_a_trusted_issuer_s_subject_names_the_person() -> None:
    """OpenID Connect Core 2: `sub` where nothing else is agreed."""
    assert TrustedIssuer("https://idp.example", "https://idp.example/jwks", "scanner").user_claim == "sub"


ISSUER = TrustedIssuer("https://idp.example", "https://idp.example/jwks", "scanner")
WRONG: dict[str, Callable[[ClientApplication], ClientApplication]] = {
    "id": lambda a: replace(a, id="Scan Server"),
    "empty id": lambda a: replace(a, id=""),
    "long id": lambda a: replace(a, id="x" * 65),
    "name": lambda a: replace(a, name=""),
    "control character": lambda a: replace(a, name="a\nb"),
    "two keys of one id": lambda a: replace(a, keys=(KEY, KEY)),
    "too many keys": lambda a: replace(a, keys=tuple(replace(KEY, id=str(n)) for n in range(11))),
    "role": lambda a: replace(a, role_arn="arn:aws:iam::123456789012:user/alice"),
    "issuer missing": lambda a: replace(a, subject_mode=SubjectMode.IDENTITY_PROVIDER),
    "issuer unused": lambda a: replace(a, trusted_issuer=ISSUER),
    "source": lambda a: replace(a, rules=(replace(RULE, sources=("10.1.2.3/8",)),)),
    "a source that is no address": lambda a: replace(a, rules=(replace(RULE, sources=("office",)),)),
    "too many rules": lambda a: replace(a, rules=(RULE,) * 101),
    "long name": lambda a: replace(a, name="x" * 101),
    "no call a minute": lambda a: replace(a, calls_per_minute=0),
    "too many calls a minute": lambda a: replace(a, calls_per_minute=1_000_001),
    "nobody an hour": lambda a: replace(a, people_per_hour=-1),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_registration_that_cannot_work_is_refused_with_a_sentence(wrong: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^[A-Z].*\.$") as refusal:
        WRONG[wrong](APPLICATION).check()
    assert refusal.value.message != InvalidRequest.message


@pytest.mark.parametrize(
    ("changes", "fields"),
    [
        ({"id": "No", "name": "", "role_arn": "x"}, {"id", "name", "role_arn"}),
        ({"keys": (KEY, KEY)}, {"keys"}),
        ({"keys": (KEY,) * 11}, {"keys"}),
        ({"trusted_issuer": TrustedIssuer("i", "j", "a")}, {"issuer"}),
        ({"rules": (RULE,) * 101}, {"rules"}),
        ({"rules": (replace(RULE, sources=("office",)),)}, {"sources"}),
        ({"calls_per_minute": 0, "people_per_hour": 0}, {"calls_per_minute", "people_per_hour"}),
    ],
)
def test_every_field_that_is_wrong_is_named(changes: dict[str, Any], fields: set[str]) -> None:
    with pytest.raises(InvalidForm) as refusal:
        replace(APPLICATION, **changes).check()
    assert set(refusal.value.problems) == fields


def test_ordinary_registrations_are_taken() -> None:
    APPLICATION.check()
    replace(APPLICATION, keys=(KEY,), role_arn=TestRole.ROLE).check()
    replace(APPLICATION, name="x" * 100, rules=(RULE,) * 100, calls_per_minute=1, people_per_hour=1_000_000).check()
    replace(APPLICATION, keys=tuple(replace(KEY, id=str(number)) for number in range(10))).check()
    replace(APPLICATION, subject_mode=SubjectMode.IDENTITY_PROVIDER, trusted_issuer=ISSUER).check()
