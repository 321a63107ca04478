"""Mails through Amazon SES, built here as MIME so that no text of others can become a header."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime

from chalicelib.domain.event import Channel, Event
from chalicelib.ports import Clock
from chalicelib.web.mails import Mail, MailWriter

from .aws import AwsClients, delivery_errors

_FROM_NAME = "Token Vault"


class SesMailer:
    """Implements `ports.Mailer` with SendEmail of SES's second API."""

    def __init__(self, aws: AwsClients, sender: str, writer: MailWriter, clock: Clock) -> None:
        self._aws = aws
        self._sender = sender
        self._writer = writer
        self._clock = clock

    def send(self, events: Sequence[Event], channel: Channel, address: str) -> None:
        message = self._message(self._writer.write(events, channel), address)
        with delivery_errors("SES"):
            self._aws.mail.send_email(
                FromEmailAddress=self._sender,
                Destination={"ToAddresses": [address]},
                Content={"Raw": {"Data": message.as_bytes(policy=SMTP)}},
            )

    def _message(self, mail: Mail, address: str) -> EmailMessage:
        message = EmailMessage(policy=SMTP)
        message["From"] = f"{_FROM_NAME} <{self._sender}>"
        message["To"] = address
        message["Subject"] = mail.subject
        message["Date"] = format_datetime(datetime.fromtimestamp(self._clock.now(), UTC))
        # So that nobody's absence answers (RFC 3834)
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(mail.text)
        message.add_alternative(mail.html, subtype="html")
        return message
