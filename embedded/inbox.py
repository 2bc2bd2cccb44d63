"""A mail inbox for one machine: an SMTP server that keeps each message as a file."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes
from email.errors import MessageError
from email.header import decode_header, make_header
from email.message import EmailMessage, Message
from email.policy import compat32, default
from html import escape
from pathlib import Path
from weakref import WeakSet

from aiosmtpd.smtp import SMTP, Envelope, Session

MAX_MESSAGE = 10 * 2**20
PAGE = "<!doctype html><meta charset=utf-8><title>Inbox</title><h1>Inbox</h1><ol>\n"


@dataclass
class Inbox:
    """Messages as numbered ``.eml`` files, and a page that lists them.

    Attributes:
        refusals: The reply to give to a recipient instead of taking its mail.
        answers: Senders wait for their recipient's answer while this is not set.
    """

    folder: Path
    port: int = 0
    refusals: dict[str, str] = field(default_factory=dict)
    answers: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.answers.set()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        """Takes a recipient, or refuses it."""
        del server, session, options
        await self.answers.wait()
        if address in self.refusals:
            return self.refusals[address]
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope
    ) -> str:
        """Keeps a message: it is on the disk before the sender is told so."""
        del server, session
        assert isinstance(envelope.content, bytes)
        self._keep(envelope.content)
        return "250 2.0.0 kept"

    def messages(self) -> Iterator[EmailMessage]:
        """The messages received, oldest first."""
        for path in sorted(self.folder.glob("*.eml")):
            message = message_from_bytes(path.read_bytes(), policy=default)
            assert isinstance(message, EmailMessage)
            yield message

    def _keep(self, content: bytes) -> None:
        kept = [int(each.stem) for each in self.folder.glob("*.eml") if each.stem.isdecimal()]
        number = 1 + max(kept, default=0)
        draft = self.folder / "incoming.part"
        with open(draft, "wb", opener=_private) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(self.folder / f"{number:05}.eml")
        # The lenient policy: a strange header must not keep a message from being stored.
        message = message_from_bytes(content, policy=compat32)
        line = (
            f"<li>{_header(message, 'Date')} to {_header(message, 'To')}:"
            f" <a href='{number:05}.eml'>{_header(message, 'Subject')}</a>\n"
        )
        with open(self.folder / "index.html", "a", opener=_private) as page:
            page.write(line if page.tell() else f"{PAGE}{line}")


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _header(message: Message, name: str) -> str:
    raw = str(message[name])
    try:
        return escape(str(make_header(decode_header(raw))))
    except (LookupError, ValueError, MessageError):
        return escape(raw.encode(errors="replace").decode())


def body_of(message: EmailMessage) -> str:
    """A message's text."""
    part = message.get_body(("plain",))
    assert part is not None
    text = part.get_content()
    assert isinstance(text, str)
    return text


@asynccontextmanager
async def mail_inbox(folder: Path, port: int = 0) -> AsyncIterator[Inbox]:
    """An inbox for as long as the context is open; port 0 takes a free one."""
    inbox = Inbox(folder)
    loop = asyncio.get_running_loop()
    conversations: WeakSet[SMTP] = WeakSet()

    def conversation() -> SMTP:
        made = SMTP(inbox, data_size_limit=MAX_MESSAGE, loop=loop, ident="inbox")
        conversations.add(made)
        return made

    server = await loop.create_server(
        conversation,
        "127.0.0.1",
        port,
    )
    inbox.port = server.sockets[0].getsockname()[1]
    try:
        yield inbox
    finally:
        server.close()
        for each in list(conversations):
            if each.transport is not None:
                each.transport.close()
