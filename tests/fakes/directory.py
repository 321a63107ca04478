"""A directory in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from chalicelib.adapters.directory import check_password
from chalicelib.domain.aliases import Bearing, bearing, normalized
from chalicelib.domain.directory import Group, NameForm
from chalicelib.domain.directory_report import DirectoryReport, StepName, Steps
from chalicelib.domain.distinguished_name import folded_dn, is_dn
from chalicelib.domain.errors import DirectoryUnavailable, LoginRefused, NotFound
from chalicelib.domain.secret import Secret
from chalicelib.domain.throttle import Budget, folded_name
from chalicelib.domain.user import Absence, Account, Called, Departure, LoginName, Standing, User, UserRecord

DOMAIN_SID = "S-1-5-21-1004336348-1177238915-682003330"
VAULT_ADMINISTRATORS = f"{DOMAIN_SID}-1601"
VAULT_USERS = f"{DOMAIN_SID}-1603"


@dataclass(frozen=True)
class Person:
    """Somebody who may try to log in. `refusal` is what they get after the right password."""

    user: User
    password: str
    refusal: LoginRefused | None = None


def person(rid: int, login: str, name: str, *groups: str) -> Person:
    """Somebody in CONTOSO with the password `<login>-pass`."""
    user = User(f"{DOMAIN_SID}-{rid}", f"CONTOSO\\{login}", name, f"{login}@contoso.example", frozenset(groups))
    return Person(user, f"{login}-pass")


ALICE = person(1101, "alice", "Alice Adams", VAULT_USERS)
BOB = person(1102, "bob", "Bob Brown", VAULT_USERS)
ADMIN = person(1103, "admin", "Adele Admin", VAULT_USERS, VAULT_ADMINISTRATORS)


class FakeDirectory:
    """ports.Directory. Set `available` to False for one that nobody can reach; `asked` counts the binds.

    `looks_up` makes it know ids before the password, as with a service account. `gone` are departures by user id,
    `changed` what a user of today looks like.
    """

    def __init__(self, *people: Person, domain: str = "CONTOSO", looks_up: bool = False, threshold: int = 5) -> None:
        self._people = {person.user.login_name.casefold(): person for person in people}
        self._domain = domain
        self._budget = Budget.of(threshold, 30)
        self.looks_up = looks_up
        self.available = True
        self.was_asked = False
        self.asked = 0
        self.gone: dict[str, Departure] = {}
        self.changed: dict[str, User] = {}
        self.allowed: frozenset[str] = frozenset()
        """Groups whose members may use the vault; none: everybody may."""
        self.absences: dict[str, Absence] = {}
        """What a look for one person brings, where it is not that they are gone."""
        self.looked_for: list[tuple[str, str]] = []
        self.disagreed: set[str] = set()
        """Of whom another controller says something else than the first."""
        self.places: dict[str, str] = {}
        """Distinguished names by user id."""
        self.named_groups: dict[str, str] = {}
        """Keys of groups by folded distinguished name."""

    def account(self, typed: str) -> Account:
        try:
            name = LoginName.parse(typed)
        except LoginRefused as refused:
            return Account(folded_name(typed), self._budget, refusal=refused.cause)
        if name.form is not NameForm.DOMAIN:
            return Account(folded_name(typed), self._budget, refusal="form_not_allowed")
        if name.domain.casefold() != self._domain.casefold():
            return Account(folded_name(typed), self._budget, refusal="foreign_domain")
        if not self.looks_up:
            return Account(folded_name(str(name)), self._budget, name)
        if not self.available:
            raise DirectoryUnavailable
        person = self._people.get(str(name).casefold())
        if person is None:
            return Account(folded_name(typed), self._budget, refusal="no_such_account")
        return Account(person.user.id, self._budget, name, user_id=person.user.id)

    def check(self) -> list[DirectoryReport]:
        steps = Steps(lambda: 0.0)
        steps.add(StepName.CONNECTION, code="" if self.available else "port_closed", server="ldaps://dc:636")
        return [DirectoryReport(self._domain, tuple(steps.steps))]

    def authenticate(self, account: Account, password: Secret, steps: Steps | None = None) -> User:
        check_password(password)
        if account.refusal:
            raise LoginRefused(account.refusal)
        if not self.available:
            raise DirectoryUnavailable(was_asked=self.was_asked)
        self.asked += 1
        person = self._people.get(str(account.name).casefold())
        if person is None or password != Secret(person.password):
            raise LoginRefused("bad_credentials")
        if person.refusal is not None:
            raise person.refusal
        return self.changed.get(person.user.id, person.user)

    def group(self, named: str) -> Group:
        if not self.available:
            raise DirectoryUnavailable
        if not is_dn(named):
            return Group(named, named)
        for written, key in self.named_groups.items():
            if folded_dn(written) == folded_dn(named):
                return Group(key, written)
        raise NotFound("No directory has a group with this distinguished name.")

    def person(self, user_id: str) -> User:
        if not self.available:
            raise DirectoryUnavailable
        found = [person for person in self._people.values() if person.user.id == user_id]
        if not found:
            cause = "no_such_account" if self.looks_up else "not_asked"
            raise LoginRefused(cause, "The directory does not know your account.")
        if user_id in self.gone:
            raise LoginRefused(self.gone[user_id].value)
        return self.changed.get(user_id, found[0].user)

    def standings(self, users: Sequence[User]) -> Mapping[str, Standing]:
        if not self.available:
            raise DirectoryUnavailable
        return {user.id: self._standing(self.changed.get(user.id, user)) for user in users if user.domain}

    def _standing(self, user: User) -> Standing:
        gone = self.gone.get(user.id)
        named = None if gone is Departure.DELETED else replace(user, groups=frozenset())
        return Standing(user.id, gone, user.password_stamp, self.places.get(user.id, ""), named)

    def called(self, name: str) -> Called:
        if not self.looks_up:
            return Called()
        if not self.available:
            raise DirectoryUnavailable
        here = [self.changed.get(p.user.id, p.user) for p in self._people.values() if self._is_here(p.user.id)]
        own = [one.id for one in here if bearing(UserRecord(one, 0, 1), normalized(name)) is Bearing.OWN]
        listed = [one.id for one in here if bearing(UserRecord(one, 0, 1), normalized(name))]
        is_asked = "@" in name or name.partition("\\")[0].casefold() == self._domain.casefold()
        return Called(tuple(own or listed), frozenset({self._domain.casefold()} if is_asked else ()))

    def _is_here(self, user_id: str) -> bool:
        return self.gone.get(user_id) is not Departure.DELETED

    def hire(self, *people: Person) -> None:
        """Somebody new; a name that others had moves to them."""
        self._people |= {person.user.login_name.casefold(): person for person in people}

    def may_use(self, user: User) -> bool:
        return not self.allowed or not self.allowed.isdisjoint(user.groups)

    def absence(self, user: User, dn: str) -> Absence:
        if not self.available:
            raise DirectoryUnavailable
        self.looked_for.append((user.id, dn))
        is_there = user.id in self.ids and self.gone.get(user.id) is not Departure.DELETED
        return self.absences.get(user.id, Absence() if is_there else Absence(Departure.DELETED, is_certain=True))

    @property
    def ids(self) -> set[str]:
        return {person.user.id for person in self._people.values()}

    def is_back(self, user: User) -> bool:
        return user.id not in self.disagreed

    def groups(self, user: User, standing: Standing) -> frozenset[str]:
        return self.changed.get(standing.user_id, user).groups
