"""Whose a name is where several claim it: the order of trust, the directory's word, and what is written down of it."""

from dataclasses import replace

import pytest

from chalicelib.domain.aliases import Bearing, aliases_of, bearing, meant
from chalicelib.domain.errors import Conflict, InvalidRequest, NotFound
from chalicelib.domain.user import AliasClaim, Called, Departure, User, UserRecord
from chalicelib.services import people
from chalicelib.services.people import PeopleService
from tests.fakes.directory import FakeDirectory, Person
from tests.fakes.services import FakeVault
from tests.samples import ALICE, NOW

NAME, MAIL = "contoso\\smith", "smith@contoso.example"
SMITH = replace(ALICE, login_name="CONTOSO\\Smith", email="Smith@Contoso.example")
JONES = replace(SMITH, login_name="CONTOSO\\jones", email="jones@contoso.example")
NEW = replace(SMITH, id="S-1-5-21-1-2-3-2001")
NAMESAKE = replace(SMITH, id="S-1-5-21-1-2-3-2002", login_name="CONTOSO\\smith2")
OUTSIDER = User(f"openid.{'0' * 40}", MAIL, "Somebody", MAIL)
SECOND = replace(OUTSIDER, id=f"openid.{'1' * 40}")
FIRST, NEXT = (replace(OUTSIDER, id=f"openid.{digit * 40}", email="") for digit in "56")
"""User names that two people may have chosen."""
OWNED = replace(OUTSIDER, id=f"openid.{'3' * 40}", also_called=(MAIL,))
REUSED = replace(OWNED, id=f"openid.{'7' * 40}")
FOREIGN = replace(OUTSIDER, id=f"openid.{'4' * 40}", foreign=(MAIL.upper(),))
NOBODY_ASKED = Called()


def record(user: User, at: int = NOW) -> UserRecord:
    return UserRecord(user, NOW, 1, names=frozenset(aliases_of(user)), proved_at=at)


class TestTrust:
    @pytest.mark.parametrize(
        ("user", "name", "expected"),
        [
            (SMITH, NAME, Bearing.OWN),
            (SMITH, MAIL, Bearing.LISTED),
            (replace(SMITH, email="", also_called=("Smith@Contoso.example",)), MAIL, Bearing.OWN),
            (replace(SMITH, also_called=("Smith",)), "smith", Bearing.LISTED),
            (OUTSIDER, MAIL, Bearing.VERIFIED),
            (replace(OUTSIDER, email=""), MAIL, Bearing.SIGNED_IN),
            (replace(OUTSIDER, also_called=(MAIL,)), MAIL, Bearing.GIVEN),
            (replace(OUTSIDER, foreign=("Smith@Contoso.example",)), MAIL, Bearing.NOT),
            (JONES, NAME, Bearing.NOT),
        ],
    )
    def test_a_directorys_own_name_is_surer_than_an_address_and_that_than_the_sign_in_provider(
        self, user: User, name: str, expected: Bearing
    ) -> None:
        assert bearing(record(user), name) is expected

    def test_a_record_of_before_there_was_a_list_bears_what_its_person_is_called(self) -> None:
        assert bearing(replace(record(SMITH), names=None), NAME) is Bearing.OWN
        assert bearing(replace(record(SMITH), names=frozenset({MAIL})), NAME) is Bearing.NOT
        assert bearing(replace(record(JONES), names=frozenset({NAME})), NAME) is Bearing.NOT

    @pytest.mark.parametrize(
        ("records", "name", "expected"),
        [
            ([], NAME, []),
            ([record(JONES)], NAME, []),
            ([record(SMITH), record(NEW, NOW + 1)], NAME, [NEW.id]),
            ([record(SMITH), record(NEW)], NAME, [SMITH.id, NEW.id]),
            ([record(SMITH), record(NAMESAKE, NOW + 1)], MAIL, [SMITH.id, NAMESAKE.id]),
            ([record(OUTSIDER, NOW + 9), record(SMITH)], MAIL, [SMITH.id]),
            ([record(OUTSIDER), record(SECOND, NOW + 9)], MAIL, [OUTSIDER.id, SECOND.id]),
            ([replace(record(SMITH), departure=Departure.DELETED), record(OUTSIDER)], MAIL, [OUTSIDER.id]),
        ],
    )
    def test_r91_the_surest_is_meant_and_of_own_names_the_latest(
        self, records: list[UserRecord], name: str, expected: list[str]
    ) -> None:
        assert list(meant(name, records, NOBODY_ASKED)) == expected

    @pytest.mark.parametrize(
        ("records", "claims", "expected"),
        [
            ([record(FIRST), record(NEXT, NOW + 9)], [(FIRST, 100), (NEXT, 200)], FIRST),
            ([record(FIRST, NOW + 9), record(NEXT)], [(FIRST, 200), (NEXT, 100)], NEXT),
            ([record(FIRST), record(NEXT)], [(FIRST, 0), (NEXT, 100)], FIRST),
            ([record(FIRST), record(NEXT)], [(FIRST, 300), (FIRST, 100), (NEXT, 200)], FIRST),
            ([record(FIRST), record(OUTSIDER, NOW + 9)], [(FIRST, 100), (OUTSIDER, 200)], OUTSIDER),
            ([record(OUTSIDER), record(OWNED)], [(OUTSIDER, 100), (OWNED, 200)], OWNED),
            ([record(OWNED), record(REUSED, NOW + 9)], [(OWNED, 100), (REUSED, 200)], REUSED),
            ([record(OWNED, NOW + 9), record(SMITH)], [(OWNED, 100), (SMITH, 200)], SMITH),
            ([record(FOREIGN, NOW + 9), record(FIRST)], [(FOREIGN, 100), (FIRST, 200)], FIRST),
        ],
        ids=[
            "chosen: who has it longer", "and not who came first", "an old claim is older",
            "the oldest of one's claims", "verified before chosen", "owned before verified", "owned: the later proof",
            "a directory before all", "foreign: never",
        ],
    )  # fmt: skip
    def test_r91_between_people_of_the_sign_in_provider_a_name_has_one_owner(
        self, records: list[UserRecord], claims: list[tuple[User, int]], expected: User
    ) -> None:
        marks = [AliasClaim(user.id, f"{since}~mark" if since else "mark") for user, since in claims]
        for order in (records, records[::-1]):
            assert meant(MAIL, order, NOBODY_ASKED, marks) == (expected.id,)

    def test_r91_a_directory_that_was_asked_knows_better_than_any_record(self) -> None:
        records = [record(SMITH, NOW + 9), record(OUTSIDER)]
        assert meant(MAIL, records, Called((NEW.id,), frozenset({"contoso"}))) == (NEW.id,)
        assert meant(MAIL, records, Called((), frozenset({"contoso"}))) == (OUTSIDER.id,)
        assert meant(MAIL, records, Called((), frozenset({"fabrikam"}))) == (SMITH.id,)


class World(FakeVault):
    def __init__(self) -> None:
        super().__init__()
        self.directory = FakeDirectory(looks_up=True)
        self.people = PeopleService(self.aliases, self.users, self.directory, self.clock)

    def come(self, *users: User) -> None:
        """They log in one after the other."""
        for user in users:
            self.clock.advance(60)
            self.users.enrol(user, sessions_until=0, at=self.clock.now())

    def are(self, *users: User) -> None:
        """So they are in the directory today."""
        self.directory.hire(*(Person(user, "") for user in users))

    def claimants(self, name: str) -> list[str]:
        return [claim.user_id for claim in self.aliases.claims(name)]

    def released(self, name: str) -> str | None:
        held = self.releases.load("scanner", "northwind", name)
        return held.subject.user_id if held.subject else None


@pytest.fixture
def world() -> World:
    return World()


class TestSettling:
    def test_r91_the_directory_is_the_judge_and_its_word_is_written_down(self, world: World) -> None:
        world.come(NEW, SMITH)
        world.are(NEW, JONES)
        assert world.released(NAME) is None
        assert world.people.settle(NAME)
        assert (world.released(NAME), world.claimants(NAME)) == (NEW.id, [NEW.id])

    def test_r91_a_name_of_somebody_who_never_came_is_nobodys_and_not_an_old_bearers(self, world: World) -> None:
        world.come(SMITH, NAMESAKE)
        world.are(replace(NEW, id="S-1-5-21-1-2-3-9999"))
        assert world.people.settle(MAIL)
        assert (world.released(MAIL), world.claimants(MAIL)) == (None, [])

    def test_without_a_directory_to_ask_the_later_proof_of_an_own_name_counts(self, world: World) -> None:
        world.directory.looks_up = False
        world.come(SMITH, NEW)
        assert world.people.settle(NAME)
        assert world.released(NAME) == NEW.id

    def test_r91_who_gets_the_name_back_has_it_from_the_next_log_in_on(self, world: World) -> None:
        world.directory.looks_up = False
        world.come(SMITH, NEW)
        world.people.settle(NAME)
        world.come(SMITH)
        assert world.people.settle(NAME)
        assert world.released(NAME) == SMITH.id

    def test_r91_an_outsider_does_not_make_a_colleagues_address_ambiguous(self, world: World) -> None:
        world.directory.looks_up = False
        world.come(SMITH, OUTSIDER)
        assert world.people.settle(MAIL)
        assert (world.released(MAIL), world.claimants(MAIL)) == (SMITH.id, [SMITH.id])
        world.come(OUTSIDER)
        assert world.people.settle(MAIL)
        assert world.released(MAIL) == SMITH.id

    def test_an_address_that_people_really_share_is_asked_about_once_a_minute(
        self, world: World, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(people, "_REMEMBERED", 1)
        world.come(SMITH, NAMESAKE)
        world.are(SMITH, NAMESAKE)
        asked: list[str] = []
        called = world.directory.called
        monkeypatch.setattr(world.directory, "called", lambda name: (asked.append(name), called(name))[1])
        assert [world.people.settle(MAIL) for _ in range(3)] == [False] * 3
        assert asked == ["Smith@Contoso.example"], "in the directory's own spelling"
        world.clock.advance(61)
        assert not world.people.settle(MAIL)
        assert (len(asked), len(world.claimants(MAIL))) == (2, 2)

    def test_r91_a_directory_that_does_not_answer_settles_nothing(self, world: World) -> None:
        world.come(SMITH, NEW)
        world.are(NEW)
        world.directory.available = False
        assert not world.people.settle(NAME)
        assert world.claimants(NAME) == [SMITH.id, NEW.id]
        world.directory.available = True
        assert world.people.settle(NAME)

    def test_claims_that_no_record_bears_go_without_any_question(self, world: World) -> None:
        world.come(SMITH)
        world.aliases.claim(NEW.id, (NAME,), NOW)
        world.directory.available = False
        assert world.people.settle(NAME)
        assert (world.released(NAME), world.claimants(NAME)) == (SMITH.id, [SMITH.id])

    def test_who_logs_in_meanwhile_is_not_overrun(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        world.come(SMITH, NEW)
        world.are(NEW)

        def conflict(record: UserRecord, alias: str) -> None:
            raise Conflict

        monkeypatch.setattr(world.users, "disown", conflict)
        assert not world.people.settle(NAME)
        assert world.claimants(NAME) == [SMITH.id, NEW.id]


class TestFind:
    def test_r91_a_person_who_was_called_so_once_is_never_found(self, world: World) -> None:
        world.come(SMITH, JONES)
        with pytest.raises(NotFound):
            world.people.find(NAME)
        world.are(NEW)
        assert world.people.find("CONTOSO\\SMITH").id == NEW.id

    def test_r91_the_directory_is_asked_before_any_record(self, world: World) -> None:
        world.come(SMITH)
        world.are(JONES, NEW)
        assert world.people.find(NAME).id == NEW.id
        assert world.people.find("CONTOSO\\jones").id == SMITH.id

    def test_where_it_cannot_be_asked_the_records_say_it(self, world: World) -> None:
        world.directory.looks_up = False
        world.come(SMITH, OUTSIDER, NEW)
        assert world.people.find(NAME).id == NEW.id
        world.come(NAMESAKE)
        with pytest.raises(InvalidRequest):
            world.people.find(MAIL)
