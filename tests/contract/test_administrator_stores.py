"""What every store of appointed administrators does."""

import pytest

from chalicelib.domain.administrators import Appointment, Appointments
from chalicelib.domain.errors import Conflict
from chalicelib.ports import AdministratorStore
from chalicelib.stores.administrators import DynamoAdministratorStore
from tests.aws import Aws
from tests.fakes.stores import FakeAdministratorStore
from tests.samples import ADMINISTRATOR, BOB, NOW

from .places import STORES, aws_of

ENTRIES = (
    Appointment(BOB.id, False, BOB.login_name, NOW, ADMINISTRATOR),
    Appointment("S-1-5-21-1-2-3-1605", True, "CN=Helpdesk,DC=contoso,DC=example", NOW, ADMINISTRATOR),
)


@pytest.fixture(params=STORES)
def store(request: pytest.FixtureRequest) -> AdministratorStore:
    if request.param == "fake":
        return FakeAdministratorStore()
    aws: Aws = aws_of(request)
    return DynamoAdministratorStore(aws.table("vault"))


def test_nobody_is_appointed_at_first(store: AdministratorStore) -> None:
    assert store.get() == Appointments()


def test_gives_back_what_was_saved(store: AdministratorStore) -> None:
    store.save(Appointments(ENTRIES))
    assert store.get() == Appointments(ENTRIES, version=1)
    store.save(Appointments(ENTRIES[1:], version=1))
    assert store.get() == Appointments(ENTRIES[1:], version=2)


@pytest.mark.parametrize("version", [0, 2])
def test_the_second_of_two_changes_is_told(store: AdministratorStore, version: int) -> None:
    store.save(Appointments(ENTRIES))
    with pytest.raises(Conflict):
        store.save(Appointments((), version=version))
    assert store.get().entries == ENTRIES
