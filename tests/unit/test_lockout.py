"""Budgets follow the policies that a directory tells, and each is read once in a while only."""

import pytest

from chalicelib.adapters import lockout
from chalicelib.adapters.ldap_connection import Entry
from chalicelib.adapters.lockout import KnownPolicies
from chalicelib.adapters.openldap import _lockout
from chalicelib.domain.throttle import Budget, Lockout


@pytest.mark.parametrize(
    ("policies", "budget"),
    [
        ([Lockout(5, 30)], Budget.of(5, 30)),
        ([Lockout(5, 30), Lockout(4, 10)], Budget.of(4, 30)),
        ([Lockout(0, 5), Lockout(10, 60)], Budget.of(10, 60)),
        ([Lockout(5, 30), Lockout(0, 30)], Budget.of(5, 30)),
        ([Lockout(0, 30)], Budget.of(0, 30)),
    ],
)
def test_r30_the_smallest_budget_counts(policies: list[Lockout], budget: Budget) -> None:
    assert Budget.under(*policies) == budget


@pytest.mark.parametrize("threshold", [1, 2, 3])
def test_where_one_or_two_wrong_passwords_lock_there_is_still_one_try(threshold: int) -> None:
    assert (Budget.of(threshold, 30).tries, Budget.of(threshold, 30).tries_unknown) == (1, 1)


def test_a_policy_is_read_once_in_a_while_and_so_is_that_it_may_not_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    known, read = KnownPolicies(), list[str]()

    def policy(dn: str, value: Lockout | None) -> Lockout | None:
        return known.get(dn, lambda: read.append(dn) or value)

    for _ in range(3):
        assert policy("cn=a", Lockout(3, 30)) == Lockout(3, 30)
        assert policy("cn=b", None) is None
    assert read == ["cn=a", "cn=b"]
    monkeypatch.setattr(lockout, "POLICY_SECONDS", 0)
    later = KnownPolicies()
    assert later.get("cn=a", lambda: Lockout(3, 1)) == Lockout(3, 1)
    assert later.get("cn=a", lambda: Lockout(4, 1)) == Lockout(4, 1)


@pytest.mark.parametrize(
    ("attributes", "policy"),
    [
        ({"pwdLockout": "TRUE", "pwdMaxFailure": "5", "pwdFailureCountInterval": "90"}, Lockout(5, 2)),
        ({"pwdLockout": "TRUE", "pwdMaxFailure": "5", "pwdFailureCountInterval": "0"}, Lockout(5, 24 * 60)),
        ({"pwdLockout": "TRUE", "pwdMaxFailure": "5"}, Lockout(5, 24 * 60)),
        ({"pwdLockout": "FALSE", "pwdMaxFailure": "5"}, None),
        ({"pwdMaxFailure": "5"}, None),
    ],
)
def test_what_a_policy_of_openldap_says(attributes: dict[str, str], policy: Lockout | None) -> None:
    assert _lockout(Entry("cn=p", {name: [text.encode()] for name, text in attributes.items()})) == policy
    assert _lockout(None) is None
