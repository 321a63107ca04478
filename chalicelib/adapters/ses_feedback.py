"""What SES says of mails that came back, as EventBridge brings it.

The JSON: "Monitoring SES events using Amazon EventBridge" and "Examples of event data that Amazon SES publishes" in the
developer guide.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from chalicelib.domain.mail import MailRefusal, RefusalKind, is_mail_address

SOURCE = "aws.ses"
DETAIL_TYPES = ("Email Bounced", "Email Complaint Received")
_KINDS = {
    "Bounce": ("bounce", "bouncedRecipients", RefusalKind.BOUNCED),
    "Complaint": ("complaint", "complainedRecipients", RefusalKind.COMPLAINED),
}


def refusals_in(detail: Mapping[str, Any], now: int) -> Iterator[MailRefusal]:
    """The addresses that want no more mail. A bounce counts where SES calls it permanent; what has another form gives
    none.
    """
    part, recipients, kind = _KINDS.get(str(detail.get("eventType")), ("", "", RefusalKind.BOUNCED))
    said = detail.get(part)
    if not isinstance(said, dict) or not isinstance(said.get(recipients), list):
        return
    if kind is RefusalKind.BOUNCED and said.get("bounceType") != "Permanent":
        return
    for one in said[recipients]:
        address = one.get("emailAddress") if isinstance(one, dict) else None
        if isinstance(address, str) and is_mail_address(address):
            yield MailRefusal(address, kind, now)
