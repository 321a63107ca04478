"""Mails through Amazon SES, built here as MIME so that no text of others can become a header."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime
from hashlib import sha256

from chalicelib.domain.errors import Undeliverable
from chalicelib.domain.event import Channel, Event
from chalicelib.ports import Clock
from chalicelib.web.mails import Mail, MailWriter

from .aws import AwsClients, delivery_errors

_SEVEN_BITS = SMTP.clone(cte_type="7bit")
"""All but ASCII is encoded (API reference, RawMessage): a server on the way that does it breaks the signature."""
_LOG = logging.getLogger(__name__)

_FROM_NAME = "Token Vault"
_SLOWEST = 1.0
"""Mails a second, where SES does not say: what it allows an account in its sandbox."""


@dataclass(frozen=True, slots=True)
class MailSender:
    """Who mails come from, and the configuration set of SES that they are sent with (empty: the identity's own)."""

    address: str
    configuration_set: str = ""
    reply_to: str = ""
    list_host: str = "localhost"
    """Host of the vault's public address; the list is named by it (RFC 2919)."""


class SesMailer:
    """Implements `ports.Mailer` with SendEmail of SES's second API."""

    def __init__(self, aws: AwsClients, sender: MailSender, writer: MailWriter, clock: Clock) -> None:
        self._aws = aws
        self._sender = sender
        self._writer = writer
        self._clock = clock

    def rate(self) -> float:
        try:
            with delivery_errors("SES"):
                quota = self._aws.mail.get_account()["SendQuota"]
            return float(quota["MaxSendRate"]) or _SLOWEST
        except (Undeliverable, KeyError):
            return _SLOWEST

    def send(self, events: Sequence[Event], channel: Channel, address: str) -> None:
        message = self._message(self._writer.write(events, channel), events[0].id, address)
        named = self._sender.configuration_set
        configured = {"ConfigurationSetName": named} if named else {}
        with delivery_errors("SES"):
            answer = self._aws.mail.send_email(
                FromEmailAddress=self._sender.address,
                Destination={"ToAddresses": [address]},
                Content={"Raw": {"Data": message.as_bytes()}},
                **configured,
            )
        facts = {"event": events[0].id, "channel": channel.value, "message": str(answer.get("MessageId", ""))}
        _LOG.info("mail.sent", extra={"facts": facts})

    def _message(self, mail: Mail, event_id: str, address: str) -> EmailMessage:
        message = EmailMessage(policy=_SEVEN_BITS)
        message["From"] = f"{_FROM_NAME} <{self._sender.address}>"
        message["To"] = address
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(datetime.fromtimestamp(self._clock.now(), UTC))
        if self._sender.reply_to:
            message["Reply-To"] = self._sender.reply_to
        # One for each mail; SES puts its own in its place ("Amazon SES header fields"), so ours stands beside it
        reader = sha256(address.casefold().encode()).hexdigest()[:8]
        message["Message-ID"] = f"<{event_id}.{reader}@{self._sender.address.rpartition('@')[2]}>"
        message["X-Token-Vault-Event"] = event_id
        message["List-Id"] = f"{_FROM_NAME} <token-vault.{self._sender.list_host}>"
        # So that nobody's absence answers (RFC 3834; [MS-OXCMAIL] 2.2.3.2.14 for Exchange)
        message["Auto-Submitted"] = "auto-generated"
        message["X-Auto-Response-Suppress"] = "All"
        message.set_content(mail.text)
        message.add_alternative(mail.html, subtype="html")
        return message
