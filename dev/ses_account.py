"""What moto lacks of SES: how many mails an account may send."""

import json

from moto.sesv2.responses import SESV2Response

RATE = 14.0
"""Mails a second, as AWS gives an account that leaves the sandbox."""


def answer() -> None:
    """Let moto answer GetAccount."""
    quota = {"Max24HourSend": 50_000.0, "MaxSendRate": RATE, "SentLast24Hours": 0.0}
    account = json.dumps({"SendQuota": quota, "SendingEnabled": True, "ProductionAccessEnabled": True})
    SESV2Response.get_account = lambda _: account  # type: ignore[attr-defined]
