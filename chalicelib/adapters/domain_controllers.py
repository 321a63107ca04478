"""The servers of one directory: asked in turn, a dead one left alone for a while."""

import logging
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from chalicelib.domain.directory import DirectorySettings, ServerAddress
from chalicelib.domain.directory_report import StepName, Steps
from chalicelib.domain.errors import DirectoryUnavailable

from .ldap_connection import LdapConnection, Limits
from .ldap_faults import Fault, ServerFailed, name_of
from .names import domain_controllers

_LOG = logging.getLogger(__name__)
_Answer = TypeVar("_Answer")

DEAD_SECONDS = 60
"""How long a server that failed is asked last."""
RECORDS_SECONDS = 300
"""How long the names that DNS gave are used."""
_SHARE_SECONDS = 4.5
"""What one server may take while there is another one: the next is asked within five seconds."""
_REMARKABLE_SECONDS = 2.0
_NOT_TRUSTED = (
    "Signing in is unavailable because the servers of the directory are not where they should be. Please contact your "
    "administrator."
)


class DomainControllers:
    """Finds a server that answers. What it remembers is this process's own."""

    def __init__(self, settings: DirectorySettings, tls: ssl.SSLContext) -> None:
        self._settings = settings
        self._tls = tls
        self._dead_until: dict[ServerAddress, float] = {}
        self._records: tuple[ServerAddress, ...] = ()
        self._records_until = 0.0

    def ask(self, question: Callable[[LdapConnection], _Answer], steps: Steps) -> _Answer:
        """The answer of the first server that gives one, on a connection of its own; `steps` are told.

        Raises DirectoryUnavailable, naming each server and its fault, or what `question` raises but ServerFailed.
        """

        def on_its_own_connection(address: ServerAddress, limits: Limits) -> _Answer:
            with LdapConnection.open(address, self._tls, limits) as connection:
                note_opened(steps, address, connection)
                return question(connection)

        return self._in_turn(on_its_own_connection, steps)

    def ask_each(
        self, prepare: Callable[[LdapConnection], None], question: Callable[[LdapConnection], _Answer], most: int
    ) -> tuple[list[_Answer], bool]:
        """What each of the first `most` servers that answer says, and whether that many did, or all there are.

        Raises DirectoryUnavailable where none answers, or what the two callables raise but ServerFailed.
        """
        answers: list[_Answer] = []
        failures: list[str] = []
        waiting = self._by_health(failures)
        wanted = min(most, len(waiting))
        for address in waiting:
            started = time.monotonic()
            try:
                with LdapConnection.open(address, self._tls, self._limits(started + _SHARE_SECONDS)) as connection:
                    prepare(connection)
                    answers.append(question(connection))
            except ServerFailed as failure:
                self._bury(address, failure, started)
                failures.append(f"{address} {failure}")
            if len(answers) == wanted:
                break
        if not answers:
            raise DirectoryUnavailable(detail="; ".join(failures))
        return answers, len(answers) == wanted

    def connect(self, prepare: Callable[[LdapConnection], None]) -> LdapConnection:
        """A connection to keep, prepared (bound) on the first server where that works."""

        def prepared(address: ServerAddress, limits: Limits) -> LdapConnection:
            connection = LdapConnection.connect(address, self._tls, limits)
            try:
                prepare(connection)
            except BaseException:
                connection.close()
                raise
            return connection

        return self._in_turn(prepared)

    def limits(self) -> Limits:
        """For one more question on a connection that was kept."""
        return self._limits(time.monotonic() + self._settings.total_seconds)

    def addresses(self) -> Sequence[ServerAddress]:
        """The servers in the order of the settings or of DNS. Raises ServerFailed."""
        if self._settings.servers:
            return self._settings.addresses
        if time.monotonic() >= self._records_until:
            found = domain_controllers(self._settings.dns_name, self._settings.connect_seconds)
            self._records = tuple(found)
            self._records_until = time.monotonic() + RECORDS_SECONDS
        return self._records

    def _in_turn(self, attempt: Callable[[ServerAddress, Limits], _Answer], steps: Steps | None = None) -> _Answer:
        end = time.monotonic() + self._settings.total_seconds
        failures: list[str] = []
        was_asked = False
        waiting = self._by_health(failures)
        while waiting and time.monotonic() < end:
            address = waiting.pop(0)
            started = time.monotonic()
            try:
                answer = attempt(address, self._limits(min(end, started + _SHARE_SECONDS) if waiting else end))
            except ServerFailed as failure:
                self._bury(address, failure, started)
                if steps:
                    note_failure(steps, failure, str(address))
                failures.append(f"{address} {failure}")
                was_asked = was_asked or failure.was_asked
            else:
                self._dead_until.pop(address, None)
                _report_slowness(address, started)
                return answer
        is_unknown = any(failure.startswith(Fault.FOREIGN_SERVICE_RECORDS) for failure in failures)
        message = _NOT_TRUSTED if is_unknown else None
        raise DirectoryUnavailable(message, detail="; ".join(failures), was_asked=was_asked)

    def _by_health(self, failures: list[str]) -> list[ServerAddress]:
        now = time.monotonic()
        try:
            return sorted(self.addresses(), key=lambda address: self._dead_until.get(address, 0.0) > now)
        except ServerFailed as failure:
            _report(failure, f"{self._settings.dns_name}", now)
            failures.append(str(failure))
            return []

    def _bury(self, address: ServerAddress, failure: ServerFailed, started: float) -> None:
        _report(failure, str(address), started)
        if failure.fault is not Fault.BASE_NOT_FOUND:
            self._dead_until[address] = time.monotonic() + DEAD_SECONDS

    def _limits(self, deadline: float) -> Limits:
        return Limits(self._settings.connect_seconds, self._settings.answer_seconds, deadline)


def note_opened(steps: Steps, address: ServerAddress, connection: LdapConnection) -> None:
    steps.add(StepName.CONNECTION, connection.peer, server=str(address))
    steps.add(StepName.CERTIFICATE, _described(connection.certificate()), server=str(address))


def note_failure(steps: Steps, failure: ServerFailed, server: str) -> None:
    steps.add(failure.step, failure.detail, code=failure.fault.value, server=server)


def _described(certificate: Mapping[str, Any]) -> str:
    """Whose certificate it is, by whom, until when."""
    subject, issuer = (name_of(certificate.get(key, ())) for key in ("subject", "issuer"))
    return f"{subject}; issued by {issuer}; valid until {certificate.get('notAfter', '?')}"


def _report(failure: ServerFailed, server: str, started: float) -> None:
    """One event a fault, so that each can have its own alarm."""
    level = logging.ERROR if failure.fault.is_security else logging.WARNING
    extra = {"server": server, "detail": failure.detail, "milliseconds": round((time.monotonic() - started) * 1000)}
    _LOG.log(level, "directory.%s", failure.fault.value, extra=extra)


def _report_slowness(address: ServerAddress, started: float) -> None:
    seconds = time.monotonic() - started
    if seconds >= _REMARKABLE_SECONDS:
        extra = {"server": str(address), "milliseconds": round(seconds * 1000)}
        _LOG.warning("directory.answers_slowly", extra=extra)
