"""Mails of the gateway's own: links to sign in."""

import asyncio
import secrets
from datetime import UTC, datetime

from mail.failures import MailFailure
from mail.message import build, message_id
from mail.templates import html_of
from mail.transport import Transport
from settings import Settings

PAUSES = (1.0, 5.0)
"""Seconds between attempts. After the last, whoever asked asks again."""


async def send_mail(
    transport: Transport, settings: Settings, recipient: str, subject: str, text: str
) -> None:
    """Sends a mail, in a few attempts.

    Raises:
        MailFailure: If the last of them fails.
    """
    sender = settings.mail_from
    message = build(
        sender=sender,
        sender_name="MNsure Assister Resource Center",
        reply_to=settings.arc_email,
        recipient=recipient,
        recipient_name="",
        subject=subject,
        text=text,
        html=html_of(subject, text),
        message_id=message_id(secrets.token_hex(16), sender.rpartition("@")[2]),
        date=datetime.now(UTC).replace(microsecond=0),
    )
    for pause in PAUSES:
        try:
            await transport.send(sender=sender, recipient=recipient, message=message)
        except MailFailure:
            await asyncio.sleep(pause)
        else:
            return
    await transport.send(sender=sender, recipient=recipient, message=message)
