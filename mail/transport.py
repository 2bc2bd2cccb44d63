"""Handing a message to the relay over pooled SMTP connections.

MAIL, RCPT and DATA are separate commands here: if the connection is lost before DATA, nothing was
sent; if it is lost in DATA, the message may have been.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

import aiosmtplib
from aiosmtplib import SMTP

from mail.addresses import wire_form
from mail.failures import (
    SERVICE_NOT_AVAILABLE,
    FailureKind,
    MailFailure,
    classify,
    codes,
    misconfigured,
    no_utf8,
)

MAX_IDLE = 20.0
"""Seconds after which an idle connection is no longer used."""
MAX_USES = 50
"""The most messages over one connection."""
GOODBYE = 2.0
"""Seconds that a relay has to answer QUIT."""


class Security(StrEnum):
    """How the connection is protected. Opportunistic TLS is not offered: it can be downgraded."""

    NONE = "none"
    STARTTLS = "starttls"
    IMPLICIT = "implicit"


@dataclass(frozen=True)
class Receipt:
    """The relay has taken the message.

    Attributes:
        code: The reply's code.
        reply: The code and the enhanced status. It is safe to keep: it has none of the text.
    """

    code: int
    reply: str


@dataclass
class _Connection:
    client: SMTP
    uses: int = 0
    idle_since: float = 0.0


class Transport:
    """Sends messages through one relay.

    Args:
        timeout: Seconds for a whole delivery, including the wait for a free connection. After that
            no attempt is under way.
        connections: The most connections open at once.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        security: Security = Security.NONE,
        username: str = "",
        password: str = "",
        connections: int = 4,
        timeout: float = 20.0,
        local_hostname: str = "localhost",
    ) -> None:
        self._new_client = partial(
            SMTP,
            hostname=host,
            port=port,
            use_tls=security is Security.IMPLICIT,
            start_tls=security is Security.STARTTLS,
            username=username or None,
            password=password or None,
            timeout=timeout,
            local_hostname=local_hostname,
        )
        self._timeout = timeout
        self._connections = connections
        self._places = asyncio.Semaphore(connections)
        self._under_way = 0
        self._idle: list[_Connection] = []

    @property
    def crowded(self) -> bool:
        """Whether as many deliveries wait for a connection as there are connections."""
        return self._under_way >= 2 * self._connections

    async def send(self, *, sender: str, recipient: str, message: bytes) -> Receipt:
        """Hands one message to the relay.

        Raises:
            MailFailure: If the relay did not certainly take it.
        """
        sender = _usable(sender, misconfigured("the sender's address is not valid"))
        recipient = _usable(
            recipient, MailFailure(FailureKind.ADDRESS, "not a valid address: correct it")
        )
        data_begun = False
        self._under_way += 1
        try:
            async with asyncio.timeout(self._timeout), self._connection() as connection:
                client = await self._begun(connection, sender, recipient, len(message))
                await client.rcpt(recipient, encoding="utf-8")
                data_begun = True
                reply = await client.data(message)
                return Receipt(reply.code, codes(reply.code, reply.message))
        except MailFailure:
            raise
        except Exception as error:
            # The cause holds addresses, and Temporal would keep it in the history.
            raise classify(error, data_begun=data_begun) from None
        finally:
            self._under_way -= 1

    async def close(self) -> None:
        """Ends all idle connections at the same time, within seconds."""
        ending, self._idle = [each.client for each in self._idle], []
        # A relay that never answers QUIT would delay the end of the worker for each connection.
        with suppress(TimeoutError):
            async with asyncio.timeout(GOODBYE):
                await asyncio.gather(*(each.quit() for each in ending), return_exceptions=True)
        for client in ending:
            client.close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[_Connection]:
        async with self._places:
            connection = self._reusable() or _Connection(self._new_client())
            try:
                yield connection
            except BaseException:
                # A reply may still be on its way, and the next command would read it as its own.
                # After a refusal, too, a new connection is safer than checking whether this one is
                # in step.
                connection.client.close()
                raise
            self._put_back(connection)

    async def _begun(self, connection: _Connection, sender: str, recipient: str, size: int) -> SMTP:
        client = connection.client
        if client.is_connected:
            try:
                await self._mail(client, sender, recipient, size)
            except aiosmtplib.SMTPServerDisconnected:
                # The relay closed the connection while it was idle; nothing was sent.
                client.close()
            except aiosmtplib.SMTPSenderRefused as refused:
                if refused.code != SERVICE_NOT_AVAILABLE:
                    raise
                # The relay announces that it closes the connection (RFC 5321, 3.8): not the mail's
                # fault.
                client.close()
            else:
                return client
        await client.connect()
        connection.uses = 0
        await self._mail(client, sender, recipient, size)
        return client

    async def _mail(self, client: SMTP, sender: str, recipient: str, size: int) -> None:
        if not client.last_ehlo_response:
            await client.ehlo()
        options = []
        if client.supports_extension("size"):
            options.append(f"SIZE={size}")
        if client.supports_extension("8bitmime"):
            options.append("BODY=8BITMIME")
        if not (sender + recipient).isascii():
            if not client.supports_extension("smtputf8"):
                raise no_utf8(sender)
            options.append("SMTPUTF8")
        await client.mail(sender, options=options, encoding="utf-8")

    def _reusable(self) -> _Connection | None:
        while self._idle:
            connection = self._idle.pop()
            fresh = time.monotonic() - connection.idle_since < MAX_IDLE
            if fresh and connection.uses < MAX_USES and connection.client.is_connected:
                return connection
            connection.client.close()
        return None

    def _put_back(self, connection: _Connection) -> None:
        if connection.client.is_connected:
            connection.uses += 1
            connection.idle_since = time.monotonic()
            self._idle.append(connection)


def _usable(address: str, failure: MailFailure) -> str:
    try:
        return wire_form(address)
    except ValueError:
        raise failure from None
