"""Mails of the gateway's own: links to sign in. The answer to a request never waits for one."""

import asyncio
import secrets
from datetime import UTC, datetime

import structlog

from mail.message import build, message_id
from mail.templates import html_of
from mail.transport import MailFailure, Transport
from settings import Settings

PAUSES = (1.0, 5.0)
"""Seconds between attempts. After the last, whoever asked asks again."""


class Post:
    """Sends mails beside everything else that is going on."""

    def __init__(self, transport: Transport, settings: Settings) -> None:
        self._transport = transport
        self._settings = settings
        self._sending: set[asyncio.Task[None]] = set()

    def send(self, recipient: str, subject: str, text: str) -> None:
        """Sends a mail, soon."""
        task = asyncio.create_task(self._send(recipient, subject, text))
        self._sending.add(task)
        task.add_done_callback(self._sending.discard)

    async def close(self) -> None:
        """Lets what is on its way arrive."""
        await asyncio.gather(*self._sending)
        await self._transport.close()

    async def _send(self, recipient: str, subject: str, text: str) -> None:
        sender = self._settings.mail_from
        message = build(
            sender=sender,
            sender_name="MNsure Assister Resource Center",
            reply_to=self._settings.arc_email,
            recipient=recipient,
            recipient_name="",
            subject=subject,
            text=text,
            html=html_of(subject, text),
            message_id=message_id(secrets.token_hex(16), sender.rpartition("@")[2]),
            date=datetime.now(UTC).replace(microsecond=0),
        )
        for pause in (*PAUSES, None):
            try:
                await self._transport.send(sender=sender, recipient=recipient, message=message)
            except MailFailure as failure:
                if pause is None:
                    structlog.get_logger().warning("mail not sent", reason=failure.kind.value)
                    return
                await asyncio.sleep(pause)
            else:
                return
