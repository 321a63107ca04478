"""Items as the version before wrote them are read: nobody loses a grant, and a pause stays one."""

from typing import Any

from chalicelib.domain.grant import GrantReason, GrantState, RefreshLease
from chalicelib.domain.provider_health import ProviderHealth
from chalicelib.stores.grants import _from_item
from chalicelib.stores.provider_health import health_from_item
from tests.samples import ACCOUNT, ALICE, NOW

GRANT: dict[str, Any] = {
    "pk": f"USER#{ALICE.id}",
    "sk": "GRANT#northwind#1",
    "user_id": ALICE.id,
    "user_name": ALICE.login_name,
    "domain": "contoso",
    "provider_id": "northwind",
    "generation": 1,
    "version": 7,
    "state": "failing",
    "reason": "cloud_unavailable",
    "state_at": NOW,
    "account": {"subject": ACCOUNT.subject, "label": ACCOUNT.label},
    "scopes": ["openid"],
    "expires": NOW + 3600,
    "authorized_at": NOW,
    "token_set": b"encrypted",
    "fence": 3,
    "lease": {"sent_at": NOW, "until": NOW + 15},
    "failures": 2,
    "next_attempt_at": NOW + 60,
    "is_renewable": True,
}


def test_a_grant_that_was_never_refused_by_an_unclear_word() -> None:
    grant = _from_item(GRANT)
    assert (grant.state, grant.reason, grant.failures) == (GrantState.FAILING, GrantReason.CLOUD_UNAVAILABLE, 2)
    assert (grant.refusals, grant.refused_since, grant.lease) == (0, 0, RefreshLease(NOW, NOW + 15))
    refused = grant.refused(NOW + 60, None)
    assert (refused.refusals, refused.refused_since, refused.is_refused_for_good(NOW + 60)) == (1, NOW + 60, False)


def test_what_decides_no_release_is_not_bound_to_the_ciphertext() -> None:
    grant = _from_item(GRANT)
    failing = grant.failed(NOW, None, answer_lost=False)
    assert failing.encryption_context() == grant.refused(NOW, None).encryption_context()


def test_health_without_people_and_doubts() -> None:
    stored = {
        "failures": 5,
        "failing_since": NOW,
        "open_until": NOW + 30,
        "misconfigured_error": "invalid_client",
        "misconfigured_version": 2,
        "misconfigured_until": NOW + 60,
        "version": 9,
    }
    health = health_from_item("northwind", stored)
    assert (health.people, health.doubts, health.version) == ((), (), 9)
    assert health.pause(2, NOW) == 60
    assert health.failed("a person", NOW, None).people == ("a person",)
    assert health.recovered() == ProviderHealth("northwind", version=9)
