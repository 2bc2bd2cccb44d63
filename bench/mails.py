"""Measures mails per second to one relay, beside a bare loop of aiosmtplib."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic

import aiosmtplib

from bench.figures import FLOOR, OURS, Figures
from bench.processes import Program
from embedded.web_ui import free_port
from mail.message import build, message_id
from mail.transport import Security, Transport

CONNECTIONS = 4
SENDER, RECIPIENT = "no-reply@portal.example.org", "ann.lee@agency.example.org"
MESSAGE = build(
    sender=SENDER,
    sender_name="MNsure Assister Resource Center",
    reply_to="arc@portal.example.org",
    recipient=RECIPIENT,
    recipient_name="Ann Lee",
    subject="Set up your assister portal account",
    text="A line of text as long as those of an activation mail are.\n" * 20,
    html="<p>A line of text as long as those of an activation mail are.</p>\n" * 20,
    message_id=message_id("bench", "portal.example.org"),
    date=datetime(2026, 1, 5, 15, tzinfo=UTC),
)


async def measure(figures: Figures, *, mails: int, rounds: int) -> None:
    """Measures both in turn, over the same number of connections."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        port = free_port()
        sink = Program(
            ["-m", "bench.sink", str(port)], {}, Path(name) / "sink.log", ready="takes mail"
        )
        await sink.start()
        try:
            for _ in range(rounds):
                for who, sending in ((OURS, _transport), (FLOOR, _bare)):
                    async with sending(port) as send:
                        begun = monotonic()
                        await _all(send, mails)
                        figures.add(f"mails/{who}/mails per s", mails / (monotonic() - begun))
        finally:
            await sink.kill()


Send = Callable[[], Awaitable[object]]


@asynccontextmanager
async def _transport(port: int) -> AsyncIterator[Send]:
    transport = Transport(
        host="127.0.0.1",
        port=port,
        security=Security.NONE,
        username="",
        password="",
        connections=CONNECTIONS,
        timeout=20,
    )
    yield lambda: transport.send(sender=SENDER, recipient=RECIPIENT, message=MESSAGE)
    await transport.close()


@asynccontextmanager
async def _bare(port: int) -> AsyncIterator[Send]:
    idle: asyncio.Queue[aiosmtplib.SMTP] = asyncio.Queue()
    for _ in range(CONNECTIONS):
        smtp = aiosmtplib.SMTP(hostname="127.0.0.1", port=port)
        await smtp.connect()
        idle.put_nowait(smtp)

    async def send() -> None:
        smtp = await idle.get()
        await smtp.sendmail(SENDER, RECIPIENT, MESSAGE)
        idle.put_nowait(smtp)

    yield send
    while not idle.empty():
        await idle.get_nowait().quit()


async def _all(send: Send, mails: int) -> None:
    await asyncio.gather(*(send() for _ in range(mails)))
