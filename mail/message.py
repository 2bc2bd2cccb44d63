"""Building the message: the same bytes for the same mail, and no header that was not meant."""

import hashlib
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP
from email.utils import format_datetime


class UnsafeHeader(ValueError):
    """A value that would become more than the header it was meant for."""


def message_id(key: str, domain: str) -> str:
    """The Message-ID of the mail with this idempotency key."""
    return f"<{hashlib.sha256(key.encode()).hexdigest()[:32]}@{domain}>"


def build(
    *,
    sender: str,
    sender_name: str,
    reply_to: str,
    recipient: str,
    recipient_name: str,
    subject: str,
    text: str,
    html: str,
    message_id: str,
    date: datetime,
) -> bytes:
    """A transactional mail with a text and an HTML part.

    Raises:
        UnsafeHeader: If a value could inject a header (CVE-2024-6923 and its like).
    """
    for value in (sender, sender_name, reply_to, recipient, recipient_name, subject):
        if "=?" in value or any(each < " " or each == "\x7f" for each in value):
            raise UnsafeHeader("a name, address or subject holds control characters or “=?”")
    message = EmailMessage(policy=SMTP)
    message["Message-ID"] = message_id
    message["Date"] = format_datetime(date)
    message["From"] = Address(sender_name, addr_spec=sender)
    message["To"] = Address(recipient_name, addr_spec=recipient)
    message["Reply-To"] = Address(addr_spec=reply_to)
    message["Subject"] = subject
    # RFC 3834: tells other responders not to answer.
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "OOF, AutoReply"
    message.set_content(text, cte="quoted-printable")
    message.add_alternative(html, subtype="html", cte="quoted-printable")
    message.set_boundary(f"part-{hashlib.sha256(message_id.encode()).hexdigest()[:24]}")
    built = message.as_bytes()
    parsed = BytesParser().parsebytes(built, headersonly=True).keys()
    if parsed != message.keys():
        raise UnsafeHeader("the message would carry headers that were not meant")
    return built
