"""A directory in memory."""

from dataclasses import dataclass

from chalicelib.adapters.directory import check_password
from chalicelib.domain.errors import DirectoryUnavailable, LoginRefused
from chalicelib.domain.secret import Secret
from chalicelib.domain.user import LoginName, User

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
    """ports.Directory. Set `available` to False for one that nobody can reach; `asked` counts the binds."""

    def __init__(self, *people: Person, domain: str = "CONTOSO") -> None:
        self._people = {person.user.login_name.casefold(): person for person in people}
        self._domain = domain
        self.available = True
        self.asked = 0

    def authenticate(self, name: LoginName, password: Secret) -> User:
        if name.domain.casefold() != self._domain.casefold():
            raise LoginRefused("foreign_domain")
        check_password(password)
        if not self.available:
            raise DirectoryUnavailable
        self.asked += 1
        person = self._people.get(str(name).casefold())
        if person is None or password != Secret(person.password):
            raise LoginRefused("bad_credentials")
        if person.refusal is not None:
            raise person.refusal
        return person.user
