"""Building the message: the same mail has the same bytes, and no value can add a header."""

import hashlib
import re
from datetime import datetime
from email.charset import QP, Charset
from email.headerregistry import Address, HeaderRegistry
from email.message import EmailMessage
from email.policy import EmailPolicy
from email.utils import format_datetime
from functools import cache, lru_cache
from typing import Any

from mail.addresses import wire_form
from policy.text import unprintable


class _Headers(HeaderRegistry):
    """Makes a class for each name once, and reads once what all mails have.

    The library makes a class for every header, which takes longer than all else about it.
    """

    __getitem__ = cache(HeaderRegistry.__getitem__)
    __call__ = lru_cache(64)(HeaderRegistry.__call__)


class _Policy(EmailPolicy):
    """Folds once what all mails have; the same header has the same bytes."""

    fold_binary = lru_cache(64)(EmailPolicy.fold_binary)


_HEADERS = _Headers()
_ASCII, _UTF8 = (
    _Policy(linesep="\r\n", utf8=utf8, header_factory=_HEADERS) for utf8 in (False, True)
)
_QUOTED_PRINTABLE = Charset("utf-8")
_QUOTED_PRINTABLE.body_encoding = QP


class UnsafeHeader(ValueError):
    """A value cannot go into its header, or would add another one."""


def message_id(key: str, domain: str) -> str:
    """The Message-ID of the mail with this idempotency key.

    The key is hashed, because Python cuts a Message-ID at a ``:`` or ``/``, and keys hold both.
    """
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

    Args:
        message_id: Made by `message_id`; the boundary of the parts is derived from it.
        date: Aware, in whole seconds. The outbox keeps it, so that a repetition has the same.

    Raises:
        UnsafeHeader: If a value could inject a header (as in CVE-2024-6923), an address is
            invalid, or the text cannot be encoded.
    """
    for value in (sender, sender_name, reply_to, recipient, recipient_name, subject, message_id):
        if "=?" in value or unprintable(value):
            raise UnsafeHeader("a name, address or subject holds control characters or “=?”")
    if re.search("[\ud800-\udfff]", text + html):
        raise UnsafeHeader("the text holds half a character")
    addresses = [_wire_form(each) for each in (sender, recipient, reply_to)]
    # Headers stay ASCII (RFC 2047) unless an address needs RFC 6532, which not every relay takes.
    policy = _ASCII if "".join(addresses).isascii() else _UTF8
    boundary = f"part-{hashlib.sha256(message_id.encode()).hexdigest()[:24]}"
    sender, recipient, reply_to = addresses
    message = EmailMessage(policy=policy)
    message["Message-ID"] = message_id
    message["Date"] = format_datetime(date)
    message["From"] = _address(sender_name, sender)
    message["To"] = _address(recipient_name, recipient)
    message["Reply-To"] = _address("", reply_to)
    message["Subject"] = subject
    # RFC 3834: tells automatic responders not to answer.
    message["Auto-Submitted"] = "auto-generated"
    message["X-Auto-Response-Suppress"] = "OOF, AutoReply"
    message["MIME-Version"] = "1.0"
    message["Content-Type"] = f'multipart/alternative; boundary="{boundary}"'
    message.attach(_part(policy, "plain", text))
    message.attach(_part(policy, "html", html))
    built = message.as_bytes()
    if _header_names(built) != message.keys():
        raise UnsafeHeader("the message would carry headers that were not meant")
    return built


def _header_names(message: bytes) -> list[str]:
    """The names of the headers, as a relay would read them that takes any line end for one."""
    head, _, _ = message.partition(b"\r\n\r\n")
    lines = re.split(rb"\r\n|\r|\n", head)
    begun = [line for line in lines if not line.startswith((b" ", b"\t"))]
    return [line.partition(b":")[0].decode("ascii", "replace") for line in begun]


def _address(name: str, address: str) -> str:
    local, _, domain = address.rpartition("@")
    return str(Address(name, local, domain))


def _part(policy: "EmailPolicy[Any]", subtype: str, text: str) -> EmailMessage:
    part = EmailMessage(policy=policy)
    part["Content-Type"] = f'text/{subtype}; charset="utf-8"'
    part["Content-Transfer-Encoding"] = "quoted-printable"
    part.set_payload(_QUOTED_PRINTABLE.body_encode(text))
    return part


def _wire_form(address: str) -> str:
    try:
        return wire_form(address)
    except ValueError as error:
        raise UnsafeHeader(str(error)) from None
