"""What every store of client applications does."""

from dataclasses import replace

import pytest

from chalicelib.domain.client_application import ApplicationKey, SubjectMode, TrustedIssuer, Whose
from chalicelib.domain.errors import Conflict, NotFound
from chalicelib.ports import ClientApplicationStore
from chalicelib.stores.client_applications import DynamoClientApplicationStore
from tests.aws import Aws
from tests.fakes.stores import FakeClientApplicationStore
from tests.samples import APPLICATION, NOW, RULE

from .places import STORES, aws_of

FULL = replace(
    APPLICATION,
    subject_mode=SubjectMode.IDENTITY_PROVIDER,
    keys=(
        ApplicationKey("k1", "ES256", {"kty": "EC", "crv": "P-256", "x": "x", "y": "y"}, NOW),
        ApplicationKey("k2", "RS256", {"kty": "RSA", "n": "n", "e": "AQAB"}, NOW, NOW + 9),
    ),
    role_arn="arn:aws:iam::123456789012:role/scanner",
    trusted_issuer=TrustedIssuer("https://idp.example", "https://idp.example/jwks", "scanner", "upn"),
    rules=(replace(RULE, whose=Whose(groups=frozenset({"S-1"}), users=frozenset({"S-2"})), sources=("10.0.0.0/8",)),),
).stopped("lost laptop", NOW, "CONTOSO\\admin")


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> ClientApplicationStore:
    if request.param == "fake":
        return FakeClientApplicationStore()
    aws: Aws = aws_of(request)
    return DynamoClientApplicationStore(aws.table("vault"))


@pytest.mark.parametrize("application", [APPLICATION, FULL], ids=["plain", "full"])
def test_gives_back_what_was_added(store: ClientApplicationStore, application: object) -> None:
    store.add(application)
    assert store.get("scanner") == application


def test_lists_by_name(store: ClientApplicationStore) -> None:
    first = replace(APPLICATION, id="mailer", name="mail poller")
    for application in (APPLICATION, first):
        store.add(application)
    assert store.all() == [first, APPLICATION]


def test_lists_more_than_one_batch(store: ClientApplicationStore) -> None:
    for number in range(120):
        store.add(replace(APPLICATION, id=f"app{number}"))
    assert len(store.all()) == 120


def test_refuses_a_second_one_with_the_same_id(store: ClientApplicationStore) -> None:
    store.add(APPLICATION)
    with pytest.raises(Conflict):
        store.add(FULL)
    assert store.get("scanner") == APPLICATION


def test_the_second_of_two_updates_is_told(store: ClientApplicationStore) -> None:
    store.add(APPLICATION)
    updated = store.update(replace(APPLICATION, name="New name"))
    assert updated == replace(APPLICATION, name="New name", version=2)
    with pytest.raises(Conflict):
        store.update(APPLICATION.stopped("too late", NOW))
    assert store.get("scanner") == updated


def test_what_does_not_exist_is_not_found(store: ClientApplicationStore) -> None:
    with pytest.raises(NotFound):
        store.get("nobody")


def test_deletes_the_version_that_was_read_and_no_other(store: ClientApplicationStore) -> None:
    store.add(APPLICATION)
    updated = store.update(APPLICATION)
    with pytest.raises(Conflict):
        store.delete(APPLICATION)
    for _ in range(2):
        store.delete(updated)
    with pytest.raises(NotFound):
        store.get("scanner")
    assert store.all() == []
