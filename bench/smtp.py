"""Sends short mails over open connections, for the floor and the peers."""

import asyncio
import os
from email.message import EmailMessage

import aiosmtplib

CONNECTIONS = 4


class Mails:
    """Sends mails to the relay that the environment names."""

    def __init__(self) -> None:
        port = int(os.environ["ASSISTER_SMTP_PORT"])
        self._idle: asyncio.Queue[aiosmtplib.SMTP] = asyncio.Queue()
        for _ in range(CONNECTIONS):
            self._idle.put_nowait(aiosmtplib.SMTP(hostname="127.0.0.1", port=port))

    async def send(self, person: str, kind: str) -> None:
        """Sends one mail."""
        message = EmailMessage()
        message["From"] = "no-reply@portal.example.org"
        message["To"] = f"{person.lower()}@assisters.example.org"
        message["Subject"] = kind
        message.set_content("A line of text.\n")
        smtp = await self._idle.get()
        try:
            if not smtp.is_connected:
                await smtp.connect()
            await smtp.send_message(message)
        finally:
            self._idle.put_nowait(smtp)
