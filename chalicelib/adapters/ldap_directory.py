"""One directory over LDAP: its servers, its dialect, and who asks there."""

import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from enum import Enum, auto
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from chalicelib.domain.directory import DirectoryKind, DirectorySettings, Group, group_key
from chalicelib.domain.directory_report import StepName, Steps
from chalicelib.domain.distinguished_name import folded_dn, is_below, is_dn, parent_dn
from chalicelib.domain.errors import DirectoryUnavailable, LoginRefused
from chalicelib.domain.secret import Secret
from chalicelib.domain.throttle import Budget
from chalicelib.domain.user import Absence, Account, Departure, LoginName, Standing, User

from .active_directory import ActiveDirectory
from .domain_controllers import DomainControllers
from .ldap_connection import BindRefused, LdapConnection, tls_context
from .ldap_faults import Fault, ServerFailed
from .openldap import OpenLdap
from .secrets_manager import SecretsManager, SecretUnreadable

_LOG = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

GROUPS_SECONDS = 300
"""How long a group's SID is remembered where the settings name the group by its DN."""
REFUSED_SECONDS = 5
"""How long a service account that was refused is not tried again, while no further try could lock it."""
_IDLE_SECONDS = 60
_LOOKS = 2
"""Servers that must agree, where there are so many, before somebody counts as gone or as back."""
_ANYTHING = "(objectClass=*)"
_BATCH = 100
"""People asked about in one search; domain controllers answer up to 1,000 entries."""
_SERVICE = Account("service account", Budget.of(0, 1))
_CLOSED_ACCOUNT = "This account cannot log in. Please contact your administrator."
_NOT_ALLOWED = (
    "You have logged in to {domain}, but you may not use this application. Please contact your administrator."
)


class _Sight(Enum):
    """What a look for one person brought."""

    HERE = auto()
    ELSEWHERE = auto()
    """In the directory, but not below the base DN."""
    GONE = auto()
    """Nowhere, while others are seen where they were."""
    ALONE = auto()
    """Nowhere, and nothing else is seen where they were, or nobody knows where that was."""
    HIDDEN = auto()
    """Where they were cannot be read."""


class LdapDirectory:
    """What `Directories` asks one directory. Any method may raise DirectoryUnavailable."""

    def __init__(self, settings: DirectorySettings, secrets: SecretsManager) -> None:
        self._settings = settings
        self._secrets = secrets
        self._base_dn = settings.base_dn
        self._groups: dict[str, str | None] = {}
        self._groups_until = 0.0
        self._service = threading.local()
        self._refused_secret = Secret("")
        self._refused_until = 0.0
        self._refusals = 0
        self.domain = settings.domain
        self.dialect = (OpenLdap if settings.kind == DirectoryKind.OPENLDAP else ActiveDirectory)(settings)

    @cached_property
    def controllers(self) -> DomainControllers:
        try:
            return DomainControllers(self._settings, self.tls())
        except ServerFailed as failure:
            problem = f"{self.domain} {failure}"
        _LOG.error("directory.%s", Fault.CA_FILE_UNUSABLE.value, extra={"server": self.domain, "detail": problem})
        raise DirectoryUnavailable(detail=problem)

    def tls(self) -> ssl.SSLContext:
        """Trusting whom the settings say, and nobody else. Raises ServerFailed."""
        ca_file = self._settings.ca_file
        try:
            return tls_context(Path(ca_file).read_text() if ca_file else None)
        except (OSError, ValueError) as error:
            problem = type(error).__name__
        raise ServerFailed(Fault.CA_FILE_UNUSABLE, problem)

    def authenticate(self, account: Account, password: Secret, steps: Steps | None = None) -> User:
        """Bind once as the person and read on the same connection who that is (R24). Raises LoginRefused."""
        steps = steps or Steps(time.monotonic)

        def log_in(connection: LdapConnection) -> User:
            connection.bind(self.dialect.bind_name(account), password)
            steps.add(StepName.BIND, self.dialect.bind_name(account))
            user = self._readable(lambda: self.dialect.identify(connection, self._base_dn, account))
            steps.add(StepName.ENTRY, f"{user.login_name} {user.id}")
            return self._with_named_groups(connection, user)

        try:
            user = self.controllers.ask(log_in, steps)
        except BindRefused as refused:
            refusal, detail = self.dialect.refusal(refused, account), str(refused)
        else:
            return self._allowed(user, steps)
        steps.add(StepName.BIND, detail, code=refusal.cause)
        raise refusal

    def look_up(self, name: LoginName) -> list[Account]:
        """The accounts a name means, found by the service account."""
        return self._as_service(lambda connection: self.dialect.look_up(connection, self.base_dn(connection), name))

    def called(self, name: str) -> list[tuple[str, int]]:
        """The ids of all who are called so; the lower the number beside one, the surer it is this person's alone."""
        return self._as_service(lambda connection: self.dialect.called(connection, self.base_dn(connection), name))

    def person(self, user_id: str, now: int) -> User | None:
        """Whoever has this id; None when nobody has. Raises LoginRefused for an account that may not log in."""

        def read(connection: LdapConnection) -> tuple[User, Departure | None] | None:
            found = self.dialect.person(connection, self.base_dn(connection), user_id, now)
            return found and (self._with_named_groups(connection, found[0]), found[1])

        found = self._as_service(read)
        if found is None:
            return None
        user, departure = found
        if departure:
            raise LoginRefused(departure.value, _CLOSED_ACCOUNT)
        return self._allowed(user, Steps(time.monotonic))

    def standings(self, user_ids: Sequence[str], now: int) -> Iterable[Standing]:
        """How each of them stands, `DELETED` who is not found; some hundred people a search."""
        for start in range(0, len(user_ids), _BATCH):
            yield from self._standings(user_ids[start : start + _BATCH], now)

    def groups(self, dn: str, before: frozenset[str] = frozenset()) -> frozenset[str]:
        """All groups of an entry now, as a log-in would read them.

        A group of the settings that is not to be found neither gives nor takes: it is as it was `before`.
        """

        def read(connection: LdapConnection) -> frozenset[str]:
            groups = self._all_groups(connection, dn)
            if not self.may_use(groups):
                self.dialect.confirm_outside(connection, dn, self._settings.allowed_groups)
            return groups

        groups = self._as_service(read)
        return groups | before.intersection(self._lost())

    def absence(self, user_id: str, dn: str) -> Absence:
        """Look for one person who was last seen at `dn`, wherever they may be, at two servers where there are two."""
        seen, is_enough = self._each_as_service(lambda connection: self._sight(connection, user_id, dn))
        if _Sight.HERE in seen:
            return Absence()
        if _Sight.ELSEWHERE in seen:
            return Absence(Departure.NOT_ALLOWED, is_certain=True)
        if _Sight.HIDDEN in seen:
            _LOG.error("directory.container_hidden", extra={"server": self.domain, "detail": parent_dn(dn)})
            return Absence()
        return Absence(Departure.DELETED, is_certain=is_enough and _Sight.ALONE not in seen)

    def is_back(self, user_id: str, now: int) -> bool:
        """Whether two servers, where there are two, agree that this account is open and may use the vault."""

        def is_open(connection: LdapConnection) -> bool:
            found = list(self.dialect.standings(connection, self.base_dn(connection), [user_id], now))
            return (
                bool(found) and found[0].departure is None and self.may_use(self._all_groups(connection, found[0].dn))
            )

        return all(self._each_as_service(is_open)[0])

    def may_use(self, groups: frozenset[str]) -> bool:
        """Whether somebody with these groups may use the vault."""
        allowed = {group_key(group) for group in self._settings.allowed_groups}
        return not allowed or not allowed.isdisjoint(groups)

    def group(self, dn: str) -> Group | None:
        """The group with that DN; None when there is no such entry."""

        def read(connection: LdapConnection) -> Group | None:
            key, entry = self.dialect.group_id(connection, dn), connection.read(dn, ("objectClass",))
            return Group(key, entry.dn) if key and entry else None

        return self._as_service(read)

    def base_dn(self, connection: LdapConnection) -> str:
        """Where people are searched: of the settings, or the domain's own root."""
        if not self._base_dn:
            root = connection.read("", ("defaultNamingContext", "namingContexts"))
            self._base_dn = (root and (root.text("defaultNamingContext") or root.text("namingContexts"))) or ""
        return self._base_dn

    def _standings(self, user_ids: Sequence[str], now: int) -> list[Standing]:
        def read(connection: LdapConnection) -> list[Standing]:
            return list(self.dialect.standings(connection, self.base_dn(connection), user_ids, now))

        found = self._as_service(read)
        missing = set(user_ids) - {standing.user_id for standing in found}
        return [*found, *(Standing(user_id, Departure.DELETED) for user_id in sorted(missing))]

    def _sight(self, connection: LdapConnection, user_id: str, dn: str) -> "_Sight":
        base_dn = self.base_dn(connection)
        found = self.dialect.dn_of(connection, self.dialect.root(connection, base_dn), user_id)
        if found:
            return _Sight.HERE if is_below(found, base_dn) else _Sight.ELSEWHERE
        above = parent_dn(dn)
        container = connection.read(above, ("objectClass",)) if above else None
        if container is None:
            return _Sight.HIDDEN if above else _Sight.ALONE
        if not container.all("objectClass"):
            return _Sight.HIDDEN
        # The container itself, and one more: whoever may not list what is in it sees the container alone
        return _Sight.GONE if len(connection.find(above, _ANYTHING, ("objectClass",))) > 1 else _Sight.ALONE

    def _all_groups(self, connection: LdapConnection, dn: str) -> frozenset[str]:
        groups = self.dialect.groups(connection, dn)
        return groups | self._named(connection, groups)

    def _each_as_service(self, question: Callable[[LdapConnection], _Answer]) -> tuple[list[_Answer], bool]:
        """Ask two servers, on connections of their own. A server that refuses the service account says nothing."""
        secret = self._service_secret(anew=False)

        def bind(connection: LdapConnection) -> None:
            try:
                connection.bind(self._settings.service_account, secret)
            except BindRefused as refused:
                sub_code = refused.sub_code
            else:
                return
            raise ServerFailed(Fault.SERVICE_ACCOUNT_REFUSED, sub_code)

        return self.controllers.ask_each(bind, lambda connection: self._readable(lambda: question(connection)), _LOOKS)

    def _as_service(self, question: Callable[[LdapConnection], _Answer]) -> _Answer:
        """Ask on this thread's own connection, which is kept; once more on a new one where it has died."""
        kept: LdapConnection | None = getattr(self._service, "connection", None)
        if kept is not None and time.monotonic() - self._service.used < _IDLE_SECONDS:
            kept.allow(self.controllers.limits())
            try:
                answer = self._readable(lambda: question(kept))
            except ServerFailed:
                _LOG.info("directory.connection_renewed", extra={"server": self.domain})
            else:
                self._service.used = time.monotonic()
                return answer
        self._forget_service()
        self._service.connection = fresh = self._service_connection()
        self._service.used = time.monotonic()
        try:
            return self._readable(lambda: question(fresh))
        except ServerFailed as failure:
            problem = str(failure)
        self._forget_service()
        raise DirectoryUnavailable(detail=f"{self.domain} {problem}")

    def _service_connection(self) -> LdapConnection:
        """Bound; where the password was changed a moment ago, with the secret as it is now.

        A secret that was refused is tried again some seconds later: the account may have been unlocked or enabled. As
        a wrong password it is tried no more often than a person's, or the vault itself would lock the account.
        """
        for anew in (False, True):
            secret = self._service_secret(anew=anew)
            if secret == self._refused_secret and time.monotonic() < self._refused_until:
                continue
            try:
                connection = self.controllers.connect(self._bind_service(secret))
            except BindRefused as refused:
                self._note_refusal(secret, refused)
                extra = {"server": self.domain, "detail": str(refused)}
                _LOG.error("directory.%s", Fault.SERVICE_ACCOUNT_REFUSED.value, extra=extra)
            else:
                self.forgive()
                return connection
        raise DirectoryUnavailable(detail=f"{self.domain} {Fault.SERVICE_ACCOUNT_REFUSED}")

    def forgive(self) -> None:
        """The service account has just bound: whatever was refused before is over."""
        self._refused_secret, self._refusals = Secret(""), 0

    def _note_refusal(self, secret: Secret, refused: BindRefused) -> None:
        if secret != self._refused_secret:
            self._refused_secret, self._refusals = secret, 0
        refusal = self.dialect.refusal(refused, _SERVICE)
        # Beside a right password the server says what is wrong with the account, and counts nothing
        self._refusals += refusal.is_judged and not refusal.followed_right_password and refusal.cause != "locked_out"
        budget = self._settings.budget
        pause = REFUSED_SECONDS if self._refusals < budget.tries else budget.seconds
        self._refused_until = time.monotonic() + pause

    def _bind_service(self, secret: Secret) -> Callable[[LdapConnection], None]:
        return lambda connection: connection.bind(self._settings.service_account, secret)

    def _service_secret(self, *, anew: bool) -> Secret:
        try:
            return self._secrets.read(self._settings.service_secret, anew=anew)
        except SecretUnreadable as error:
            problem = f"{self.domain} {Fault.SERVICE_SECRET_UNREADABLE} {error}"
            _LOG.error("directory.%s", Fault.SERVICE_SECRET_UNREADABLE.value, extra={"detail": problem})
        raise DirectoryUnavailable(detail=problem)

    def _forget_service(self) -> None:
        kept: LdapConnection | None = getattr(self._service, "connection", None)
        if kept is not None:
            self._service.connection = None
            kept.close()

    def _with_named_groups(self, connection: LdapConnection, user: User) -> User:
        named = self._named(connection, user.groups)
        return replace(user, groups=user.groups | named)

    def _named(self, connection: LdapConnection, groups: frozenset[str]) -> frozenset[str]:
        """The folded DNs, among those of the settings, of groups that are in `groups`."""
        dns = {g for g in (*self._settings.allowed_groups, *self._settings.administrator_groups) if is_dn(g)}
        if time.monotonic() >= self._groups_until:
            self._groups = {dn: self.dialect.group_id(connection, dn) for dn in dns}
            self._groups_until = time.monotonic() + GROUPS_SECONDS
            for dn in (dn for dn, group in self._groups.items() if group is None):
                _LOG.error("directory.group_not_found", extra={"server": self.domain, "detail": dn})
        return frozenset(folded_dn(dn) for dn, group in self._groups.items() if group in groups)

    def _lost(self) -> frozenset[str]:
        """Keys of groups of the settings that were not found."""
        return frozenset(folded_dn(dn) for dn, group in self._groups.items() if group is None)

    def _allowed(self, user: User, steps: Steps) -> User:
        is_allowed = self.may_use(user.groups)
        steps.add(StepName.GROUPS, " ".join(sorted(user.groups)), code="" if is_allowed else "not_allowed")
        if not is_allowed:
            refusal = LoginRefused("not_allowed", _NOT_ALLOWED.format(domain=self.domain))
            # Where an allowed group is not to be found, nobody knows whether this person is in it
            refusal.user_id = (
                "" if self._lost().intersection(map(group_key, self._settings.allowed_groups)) else user.id
            )
            raise refusal
        return user

    @staticmethod
    def _readable(read: Callable[[], _Answer]) -> _Answer:
        """What is no text or no SID where one must be is a fault of the server's."""
        try:
            return read()
        except (ValueError, LookupError) as error:
            problem = type(error).__name__
        raise ServerFailed(Fault.UNUSABLE_ANSWER, problem)
