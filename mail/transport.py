"""Handing a message to the relay over pooled SMTP connections, and saying exactly what failed.

MAIL, RCPT and DATA are given one by one: a connection lost before DATA has sent nothing, one lost
in DATA may have. Relays repeat addresses in their replies, so no reply text leaves this module.
"""

import asyncio
import re
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from functools import partial

import aiosmtplib
from aiosmtplib import SMTP

from mail.addresses import wire_form

MAX_IDLE = 20.0
"""Seconds after which an unused connection is not trusted any more."""
MAX_USES = 50
"""Messages after which a connection is not used again."""
GREYLISTED = timedelta(minutes=5)
FULL_MAILBOX = timedelta(hours=4)
MISCONFIGURED = timedelta(minutes=5)

BAD_ADDRESS = {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"}
"""Enhanced status codes (RFC 3463) that name the recipient's address."""
FULL = {"5.2.2", "4.2.2"}
OPERATOR_CODES = {530, 534, 535, 538}
SERVICE_NOT_AVAILABLE = 421


class Security(StrEnum):
    """How the connection is protected. Opportunistic TLS is not offered: it can be downgraded."""

    NONE = "none"
    STARTTLS = "starttls"
    IMPLICIT = "implicit"


class FailureKind(StrEnum):
    """Who must act on a failure."""

    ADDRESS = "address"
    """A person must mend the recipient's address."""
    MESSAGE = "message"
    """The relay refuses this message for good."""
    CONFIGURATION = "configuration"
    """The operator must mend the relay's settings; retried until then."""
    TRANSIENT = "transient"
    """Passes by itself."""


class MailFailure(Exception):
    """A message that was not, or not certainly, taken.

    Attributes:
        summary: What went wrong, safe to keep: codes, no addresses.
        ambiguous: The relay may have taken it all the same.
        retry_after: The earliest sensible next try.
    """

    def __init__(
        self,
        kind: FailureKind,
        summary: str,
        *,
        ambiguous: bool = False,
        retry_after: timedelta | None = None,
    ) -> None:
        super().__init__(summary)
        self.kind = kind
        self.summary = summary
        self.ambiguous = ambiguous
        self.retry_after = retry_after


@dataclass(frozen=True)
class Receipt:
    """The relay has taken the message.

    Attributes:
        code: The reply's code.
        reply: The code and the enhanced status, nothing of the text: safe to keep.
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
        timeout: Seconds for a whole delivery, waiting for a free connection included: a caller can
            rely on it that no attempt is under way after that.
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
        self._places = asyncio.Semaphore(connections)
        self._idle: list[_Connection] = []

    async def send(self, *, sender: str, recipient: str, message: bytes) -> Receipt:
        """Hands one message to the relay.

        Raises:
            MailFailure: If the relay did not certainly take it.
        """
        sender = _usable(sender, _misconfigured("the sender's address is not valid"))
        recipient = _usable(
            recipient, MailFailure(FailureKind.ADDRESS, "not a valid address: correct it")
        )
        data_begun = False
        try:
            async with asyncio.timeout(self._timeout), self._connection() as connection:
                client = await self._begun(connection, sender, recipient, len(message))
                await client.rcpt(recipient, encoding="utf-8")
                data_begun = True
                reply = await client.data(message)
                return Receipt(reply.code, _said(reply.code, reply.message))
        except MailFailure:
            raise
        except Exception as error:
            # The cause holds addresses, and Temporal would keep it in the history.
            raise classify(error, data_begun=data_begun) from None

    async def close(self) -> None:
        """Ends every idle connection."""
        while self._idle:
            connection = self._idle.pop()
            with suppress(Exception):
                await connection.client.quit()
            connection.client.close()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[_Connection]:
        async with self._places:
            connection = self._reusable() or _Connection(self._new_client())
            try:
                yield connection
            except BaseException:
                # A reply may still be on its way, and the next command would read it as its own.
                # After a refusal too, a new connection is surer than asking if this is in step.
                connection.client.close()
                raise
            self._put_back(connection)

    async def _begun(self, connection: _Connection, sender: str, recipient: str, size: int) -> SMTP:
        client = connection.client
        if client.is_connected:
            try:
                await self._mail(client, sender, recipient, size)
            except aiosmtplib.SMTPServerDisconnected:
                # The relay closed it while it was idle; nothing was sent.
                client.close()
            except aiosmtplib.SMTPSenderRefused as refused:
                if refused.code != SERVICE_NOT_AVAILABLE:
                    raise
                # The same, announced (RFC 5321, 3.8): it speaks of the connection, not the mail.
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
                raise _no_utf8(sender)
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


def classify(error: Exception, *, data_begun: bool) -> MailFailure:
    """What an exception of a delivery means: who must act, and when to try again.

    Only a refused recipient or message is held against the mail. What the relay says to the
    greeting, EHLO, STARTTLS, AUTH or MAIL it would say to every mail: the operator's to mend.

    Args:
        data_begun: The message was being handed over.
    """
    match error:
        case aiosmtplib.SMTPResponseException(code=code) if not 400 <= code < 600:
            # Garbled, or a yes in the wrong place: nobody can say what became of the message.
            return _unanswered("the relay's answer makes no sense", data_begun)
        case aiosmtplib.SMTPAuthenticationError(code=code) if code < 500:
            return MailFailure(FailureKind.TRANSIENT, f"the relay cannot sign in now ({code})")
        case aiosmtplib.SMTPAuthenticationError(code=code):
            return _misconfigured(f"the relay refuses the user or password ({code})")
        case aiosmtplib.SMTPResponseException(code=code, message=message) if code < 500:
            return _later(code, message)
        case aiosmtplib.SMTPResponseException(code=code) if code in OPERATOR_CODES:
            return _misconfigured(f"the relay wants a sign-in ({code})")
        case aiosmtplib.SMTPRecipientRefused(code=code, message=message):
            return _refused(code, message, of_recipient=True)
        case aiosmtplib.SMTPDataError(code=code, message=message):
            return _refused(code, message, of_recipient=False)
        case aiosmtplib.SMTPSenderRefused(code=code, message=message):
            status = _status(message)
            if status == "5.3.4" or status.startswith(("5.6.", "5.7.")):
                return _refused(code, message, of_recipient=False)
            return _misconfigured(f"the relay refuses the sender ({_said(code, message)})")
        case aiosmtplib.SMTPResponseException(code=code, message=message):
            return _misconfigured(f"the relay turns us away ({_said(code, message)})")
        case ssl.SSLError():
            return _misconfigured("the relay's certificate cannot be verified")
        case aiosmtplib.SMTPServerDisconnected() | aiosmtplib.SMTPTimeoutError() | TimeoutError():
            return _unanswered("no answer from the relay", data_begun)
        case aiosmtplib.SMTPConnectError(__cause__=ssl.SSLError()):
            return MailFailure(
                FailureKind.TRANSIENT, "the relay offers no TLS, or none that can be verified"
            )
        case aiosmtplib.SMTPConnectError() | OSError():
            return _unanswered("the relay cannot be reached", data_begun)
        case aiosmtplib.SMTPException():
            return _misconfigured("the relay does not offer STARTTLS or AUTH as configured")
    return _unanswered(f"unexpected {type(error).__name__}", data_begun)


def _refused(code: int, text: str, *, of_recipient: bool) -> MailFailure:
    status, said = _status(text), _said(code, text)
    if status in FULL:
        return _full(said)
    bare = of_recipient and not status and code in (550, 551, 553)
    if status in BAD_ADDRESS or bare:
        return MailFailure(FailureKind.ADDRESS, f"the address was refused ({said}): correct it")
    return MailFailure(
        FailureKind.MESSAGE, f"the relay refused the message ({said}): ask its operator why"
    )


def _later(code: int, text: str) -> MailFailure:
    said = _said(code, text)
    if _status(text) in FULL:
        return _full(said)
    delay = GREYLISTED if code in (450, 451, 452) else None
    return MailFailure(
        FailureKind.TRANSIENT, f"the relay asks to try later ({said})", retry_after=delay
    )


def _full(said: str) -> MailFailure:
    return MailFailure(
        FailureKind.TRANSIENT, f"the mailbox is full ({said})", retry_after=FULL_MAILBOX
    )


def _misconfigured(summary: str) -> MailFailure:
    return MailFailure(
        FailureKind.CONFIGURATION,
        f"{summary}: check the SMTP settings",
        retry_after=MISCONFIGURED,
    )


def _unanswered(what: str, data_begun: bool) -> MailFailure:
    if data_begun:
        what += " after the message was handed over"
    return MailFailure(FailureKind.TRANSIENT, what, ambiguous=data_begun)


def _no_utf8(sender: str) -> MailFailure:
    if not sender.isascii():
        return _misconfigured("the relay takes no sender with such letters")
    return MailFailure(
        FailureKind.ADDRESS,
        "the relay takes no address with such letters before the @: use another address",
    )


def _usable(address: str, failure: MailFailure) -> str:
    try:
        return wire_form(address)
    except ValueError:
        raise failure from None


def _said(code: int, text: str) -> str:
    """A reply without its text."""
    return f"{code} {_status(text)}".strip()


def _status(text: str) -> str:
    """The enhanced status code (RFC 3463) that a reply begins with, or nothing."""
    enhanced = re.match(r"[245]\.\d{1,3}\.\d{1,3}\b", text, re.ASCII)
    return enhanced[0] if enhanced else ""
