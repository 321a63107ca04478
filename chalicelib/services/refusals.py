"""Requests that were refused before anything was done with them, where that means something: recorded, and folded.

A form without its token sent by a signed-in browser, a page of a role that is not there, a callback that fits nothing:
somebody may be trying. A flood of them costs one counted write each, and few entries of the log.
"""

import logging
from collections.abc import Sequence

from chalicelib.domain.audit import AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.errors import VaultError
from chalicelib.domain.secret import fingerprint
from chalicelib.domain.user import User
from chalicelib.ports import AuditLog, Clock, UsageStore

_LOG = logging.getLogger(__name__)

_MINUTE = 60
TOLD: Sequence[int] = (1, 10, 100, 1000)
"""Which refusals of one minute, person and kind get an entry: the first, and then the log says how they grow."""


class RefusalService:
    """Implements `web.endpoint.Refusals`."""

    def __init__(self, *, usage: UsageStore, audit_log: AuditLog, clock: Clock) -> None:
        self._usage = usage
        self._audit_log = audit_log
        self._clock = clock
        # Only what this process has counted beyond the last that is told: the rest of the minute costs nothing
        self._full = ""

    def note(self, code: str, route: str, user: User | None, origin: Origin) -> None:
        """Count a refusal of this minute by person, or by address for who is not signed in; record what is told.

        Never raises: the refusal stands, whether or not it could be recorded.
        """
        who = user.id if user else origin.source
        window = f"refused {fingerprint(f'{who} {code} {route}')} {self._clock.now() // _MINUTE}"
        if window == self._full:
            return
        try:
            count = self._usage.add_call(window, self._clock.now() + 2 * _MINUTE)
            if count in TOLD:
                self._audit_log.record(_event(code, route, user, origin, count))
        except VaultError as error:
            _LOG.error("refusal.unrecorded", extra={"code": error.code, "detail": error.detail})
        else:
            self._full = window if count >= TOLD[-1] else self._full


def _event(code: str, route: str, user: User | None, origin: Origin, count: int) -> AuditEvent:
    user_id, name = (user.id, user.login_name) if user else ("", "")
    facts = {"code": code, "route": route, "in_this_minute": str(count)}
    return AuditEvent(AuditTag.REQUEST_DENIED, Outcome.FAILURE, user_id or "-", origin, user_id, "", facts, name, name)
