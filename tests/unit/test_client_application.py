"""Who may fetch what: every combination, and what a registration must look like."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

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
    permits,
)
from chalicelib.domain.errors import InvalidForm, InvalidRequest
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
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_registration_that_cannot_work_is_refused_with_a_sentence(wrong: str) -> None:
    with pytest.raises(InvalidRequest, match=r"^[A-Z].*\.$") as refusal:
        WRONG[wrong](APPLICATION).check()
    assert refusal.value.message != InvalidRequest.message


def test_every_field_that_is_wrong_is_named() -> None:
    with pytest.raises(InvalidForm) as refusal:
        replace(APPLICATION, id="No", name="", role_arn="x").check()
    assert set(refusal.value.problems) == {"id", "name", "role_arn"}


def test_ordinary_registrations_are_taken() -> None:
    APPLICATION.check()
    replace(APPLICATION, keys=(KEY,), role_arn=TestRole.ROLE).check()
    replace(APPLICATION, subject_mode=SubjectMode.IDENTITY_PROVIDER, trusted_issuer=ISSUER).check()
