"""What a failed delivery means: who must act, and when to try again.

Relays repeat addresses in their replies, so no reply text leaves this module.
"""

import re
import ssl
from datetime import timedelta
from enum import StrEnum

import aiosmtplib

GREYLISTED = timedelta(minutes=5)
FULL_MAILBOX = timedelta(hours=4)
MISCONFIGURED = timedelta(minutes=5)

BAD_ADDRESS = {"5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"}
"""Enhanced status codes (RFC 3463) that name the recipient's address."""
FULL = {"5.2.2", "4.2.2"}
OPERATOR_CODES = {530, 534, 535, 538}
SERVICE_NOT_AVAILABLE = 421


class FailureKind(StrEnum):
    """Who must act on a failure."""

    ADDRESS = "address"
    """A person must mend the recipient's address."""
    MESSAGE = "message"
    """The relay refuses this message for good."""
    CONFIGURATION = "configuration"
    """The operator must mend the relay's settings; retried until then."""
    TRANSIENT = "transient"
    """It passes without anybody's help."""


class MailFailure(Exception):
    """The relay did not take a message, or may not have taken it.

    Attributes:
        summary: What went wrong. It is safe to keep: it has codes and no addresses.
        ambiguous: The relay may have taken the message.
        retry_after: How long to wait before the next attempt.
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


def classify(error: Exception, *, data_begun: bool) -> MailFailure:
    """What an exception of a delivery means: who must act, and when to try again.

    Only a refusal of the recipient or of the message concerns this mail. A refusal at the greeting,
    EHLO, STARTTLS, AUTH or MAIL would meet every mail: the operator must mend it.

    Args:
        data_begun: The message was being handed over.
    """
    match error:
        case aiosmtplib.SMTPResponseException(code=code) if not 400 <= code < 600:
            # Garbled, or a success code in the wrong place: the fate of the message is unknown.
            return _unanswered("the relay's answer makes no sense", data_begun)
        case aiosmtplib.SMTPAuthenticationError(code=code) if code < 500:
            return MailFailure(FailureKind.TRANSIENT, f"the relay cannot sign in now ({code})")
        case aiosmtplib.SMTPAuthenticationError(code=code):
            return misconfigured(f"the relay refuses the user or password ({code})")
        case aiosmtplib.SMTPResponseException(code=code, message=message) if code < 500:
            return _later(code, message)
        case aiosmtplib.SMTPResponseException(code=code) if code in OPERATOR_CODES:
            return misconfigured(f"the relay wants a sign-in ({code})")
        case aiosmtplib.SMTPRecipientRefused(code=code, message=message):
            return _refused(code, message, of_recipient=True)
        case aiosmtplib.SMTPDataError(code=code, message=message):
            return _refused(code, message, of_recipient=False)
        case aiosmtplib.SMTPSenderRefused(code=code, message=message):
            status = _status(message)
            if status == "5.3.4" or status.startswith(("5.6.", "5.7.")):
                return _refused(code, message, of_recipient=False)
            return misconfigured(f"the relay refuses the sender ({codes(code, message)})")
        case aiosmtplib.SMTPResponseException(code=code, message=message):
            return misconfigured(f"the relay turns us away ({codes(code, message)})")
        case ssl.SSLError():
            return misconfigured("the relay's certificate cannot be verified")
        case aiosmtplib.SMTPServerDisconnected() | aiosmtplib.SMTPTimeoutError() | TimeoutError():
            return _unanswered("no answer from the relay", data_begun)
        case aiosmtplib.SMTPConnectError(__cause__=ssl.SSLError()):
            return MailFailure(
                FailureKind.TRANSIENT, "the relay offers no TLS, or none that can be verified"
            )
        case aiosmtplib.SMTPConnectError() | OSError():
            return _unanswered("the relay cannot be reached", data_begun)
        case aiosmtplib.SMTPException():
            return misconfigured("the relay does not offer STARTTLS or AUTH as configured")
    return _unanswered(f"unexpected {type(error).__name__}", data_begun)


def _refused(code: int, text: str, *, of_recipient: bool) -> MailFailure:
    status, said = _status(text), codes(code, text)
    if status in FULL:
        return _full(said)
    bare = of_recipient and not status and code in (550, 551, 553)
    if status in BAD_ADDRESS or bare:
        return MailFailure(FailureKind.ADDRESS, f"the address was refused ({said}): correct it")
    return MailFailure(
        FailureKind.MESSAGE, f"the relay refused the message ({said}): ask its operator why"
    )


def _later(code: int, text: str) -> MailFailure:
    said = codes(code, text)
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


def misconfigured(summary: str) -> MailFailure:
    """The relay's settings must be mended."""
    return MailFailure(
        FailureKind.CONFIGURATION,
        f"{summary}: check the SMTP settings",
        retry_after=MISCONFIGURED,
    )


def _unanswered(what: str, data_begun: bool) -> MailFailure:
    if data_begun:
        what += " after the message was handed over"
    return MailFailure(FailureKind.TRANSIENT, what, ambiguous=data_begun)


def no_utf8(sender: str) -> MailFailure:
    """The relay takes ASCII addresses only."""
    if not sender.isascii():
        return misconfigured("the relay takes no sender with such letters")
    return MailFailure(
        FailureKind.ADDRESS,
        "the relay takes no address with such letters before the @: use another address",
    )


def codes(code: int, text: str) -> str:
    """A reply without its text."""
    return f"{code} {_status(text)}".strip()


def _status(text: str) -> str:
    """The enhanced status code (RFC 3463) that a reply begins with, or nothing."""
    enhanced = re.match(r"[245]\.\d{1,3}\.\d{1,3}\b", text, re.ASCII)
    return enhanced[0] if enhanced else ""
