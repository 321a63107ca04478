"""Looks at a directory as the settings describe it, and names what would keep people from logging in."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

from chalicelib.domain.directory import DirectorySettings, ServerAddress
from chalicelib.domain.directory_report import DirectoryReport, StepName, Steps
from chalicelib.domain.throttle import Lockout
from chalicelib.ports import Clock

from .domain_controllers import note_failure, note_opened
from .ldap_connection import BindRefused, Entry, LdapConnection, Limits
from .ldap_directory import LdapDirectory
from .ldap_faults import Fault, ServerFailed
from .secrets_manager import SecretsManager, SecretUnreadable

_CLOCK_SECONDS = 120


def check(
    settings: DirectorySettings, directory: LdapDirectory, secrets: SecretsManager, clock: Clock
) -> DirectoryReport:
    """Every server, each on a connection of its own. What cannot be seen without an account is said."""
    steps = Steps(clock.monotonic)
    try:
        directory.tls()
        addresses = directory.controllers.addresses()
        steps.add(StepName.SERVERS, " ".join(map(str, addresses)), code="" if addresses else "no_service_record")
    except ServerFailed as failure:
        note_failure(steps, failure, settings.dns_name)
        addresses = ()
    for address in addresses:
        _Look(settings, directory, secrets, clock, steps).at(address)
    return DirectoryReport(settings.domain, tuple(steps.steps))


class _Look:
    """At one server."""

    def __init__(
        self,
        settings: DirectorySettings,
        directory: LdapDirectory,
        secrets: SecretsManager,
        clock: Clock,
        steps: Steps,
    ) -> None:
        self._settings = settings
        self._directory = directory
        self._secrets = secrets
        self._clock = clock
        self._steps = steps

    def at(self, address: ServerAddress) -> None:
        one = self._settings
        limits = Limits(one.connect_seconds, one.answer_seconds, time.monotonic() + one.total_seconds)
        try:
            with LdapConnection.open(address, self._directory.tls(), limits) as connection:
                note_opened(self._steps, address, connection)
                self._look_around(connection)
        except ServerFailed as failure:
            note_failure(self._steps, failure, str(address))

    def _look_around(self, connection: LdapConnection) -> None:
        root = connection.read("", ("defaultNamingContext", "namingContexts", "currentTime"))
        if root is not None:
            self._clocks(root)
        if not self._settings.can_look_up:
            self._steps.add(StepName.BIND, "no service account: the rest shows when somebody logs in")
        elif self._bind(connection):
            base_dn = self._base(connection, root)
            if base_dn:
                self._groups(connection, base_dn)
                self._lockout(connection, base_dn)

    def _clocks(self, root: Entry) -> None:
        text = root.text("currentTime")
        if not text:
            return
        theirs = datetime.strptime(text[:14], "%Y%m%d%H%M%S").replace(tzinfo=UTC).timestamp()
        apart = round(theirs - self._clock.now())
        self._steps.add(StepName.CLOCK, f"{apart:+d} s", code="clock_off" if abs(apart) > _CLOCK_SECONDS else "")

    def _bind(self, connection: LdapConnection) -> bool:
        account = self._settings.service_account
        try:
            connection.bind(account, self._secrets.read(self._settings.service_secret, anew=True))
        except SecretUnreadable as error:
            self._steps.add(StepName.BIND, f"{error}", code=Fault.SERVICE_SECRET_UNREADABLE.value)
        except BindRefused as refused:
            self._steps.add(StepName.BIND, f"{account}: {refused}", code=Fault.SERVICE_ACCOUNT_REFUSED.value)
        else:
            self._directory.forgive()
            self._steps.add(StepName.BIND, account)
            return True
        return False

    def _base(self, connection: LdapConnection, root: Entry | None) -> str:
        base_dn = self._settings.base_dn
        if not base_dn and root is not None:
            base_dn = root.text("defaultNamingContext") or root.text("namingContexts")
        try:
            people = connection.find(base_dn, self._directory.dialect.anybody, ("objectClass",))
        except ServerFailed as failure:
            self._steps.add(StepName.BASE, base_dn, code=failure.fault.value)
            return ""
        self._steps.add(StepName.BASE, base_dn, code="" if people else "base_empty")
        return base_dn

    def _groups(self, connection: LdapConnection, base_dn: str) -> None:
        for group in dict.fromkeys((*self._settings.allowed_groups, *self._settings.administrator_groups)):
            try:
                detail, code = self._group(connection, base_dn, group)
            except ServerFailed as failure:
                detail, code = f"{group} {failure.detail}", failure.fault.value
            self._steps.add(StepName.GROUPS, detail, code=code)

    def _group(self, connection: LdapConnection, base_dn: str, group: str) -> tuple[str, str]:
        """The whole way of a log-in: find the group, take one of its members, and see the group among hers."""
        dialect = self._directory.dialect
        dn = dialect.group_dn(connection, base_dn, group)
        if not dn:
            return group, "group_not_found"
        member = dialect.a_member(connection, base_dn, dn)
        if not member:
            return f"{group}; no person seen in it", ""
        key = dialect.group_id(connection, dn)
        is_matched = key in dialect.groups(connection, member)
        return f"{group}; tried with {member}", "" if is_matched else "group_not_matched"

    def _lockout(self, connection: LdapConnection, base_dn: str) -> None:
        found = self._directory.dialect.lockouts(connection, base_dn)
        if found:
            _, usual = found[0]
            detail = "; ".join(f"{name}: {policy}" for name, policy in found)
            self._steps.add(StepName.LOCKOUT, detail, code=next(self._differences(usual), ""))

    def _differences(self, usual: Lockout) -> Iterator[str]:
        ours = self._settings.lockout_threshold
        if usual.threshold and (ours == 0 or ours > usual.threshold):
            yield "lockout_differs"
        if usual.threshold and self._settings.lockout_minutes < usual.minutes:
            yield "lockout_forgets_later"
