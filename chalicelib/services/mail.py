"""Whom mails reach: a person sees it and chooses; what comes back from an address stops mails to it."""

import logging
from collections.abc import Iterable

from chalicelib.domain.audit import AuditEvent, AuditTag, Origin, Outcome
from chalicelib.domain.event import EventKind
from chalicelib.domain.mail import OPTIONAL, MailRefusal, MailStanding
from chalicelib.domain.user import User
from chalicelib.ports import AuditLog, Clock, MailStore

_LOG = logging.getLogger(__name__)


class MailService:
    """Acts of one person, and what the mail service says."""

    def __init__(self, mail: MailStore, audit_log: AuditLog, clock: Clock, *, is_on: bool) -> None:
        self._mail = mail
        self._audit_log = audit_log
        self._clock = clock
        self.is_on = is_on
        """Whether the settings let anybody have mails."""

    def standing(self, user: User) -> MailStanding:
        """As it counts now."""
        found = self._mail.standing(user.id, user.email)
        refusal = found.refusal if found.refusal and found.refusal.counts(self._clock.now()) else None
        return MailStanding(refusal, found.unwanted)

    def choose(self, user: User, wanted: Iterable[EventKind], origin: Origin) -> None:
        """Get these of the mails that one may do without, and no others of them."""
        unwanted = [kind for kind in OPTIONAL if kind not in set(wanted)]
        with self._audit_log.recording(_event(user, origin, {"unwanted": ", ".join(unwanted) or "-"})):
            self._mail.choose(user.id, unwanted)

    def accept(self, user: User, origin: Origin) -> None:
        """Send mails to the person's address again."""
        with self._audit_log.recording(_event(user, origin, {"address": user.email})):
            self._mail.accept(user.email)

    def refused(self, refusals: Iterable[MailRefusal]) -> None:
        """No more mail to these addresses for a while."""
        for refusal in refusals:
            self._mail.refuse(refusal)
            _LOG.warning("mail.refused", extra={"reason": refusal.kind.value})


def _event(user: User, origin: Origin, facts: dict[str, str]) -> AuditEvent:
    name = user.login_name
    return AuditEvent(
        AuditTag.MAIL_CHANGED, Outcome.SUCCESS, user.id, origin, user.id, facts=facts, actor_name=name, user_name=name
    )
