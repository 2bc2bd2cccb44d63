"""Receiving Standard Webhooks 1.0.0: who signed a message, and whether it is fresh.

This is stricter than the reference library, whose parsers accept `1e9` as a time and junk in
base64.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

FRESH = timedelta(minutes=5)
PREFIX = "whsec_"
SECRET_BYTES = range(24, 65)
MOST_SIGNATURES = 10
ID = re.compile(r"[A-Za-z0-9_.:-]{1,59}")
"""With the source's name before it, what a case takes for the id of an event."""
TIMESTAMP = re.compile(r"[0-9]{1,12}")
SIGNATURE = re.compile(r"v1,([A-Za-z0-9+/]{43}=)")


class Unsigned(Exception):
    """No valid signature; the text is for the log and for the person who sets up the sender."""


class Envelope(NamedTuple):
    """A message's headers, checked to be well formed and fresh; its body is not read yet."""

    id: str
    timestamp: str
    signatures: Sequence[bytes]

    def signer(self, body: bytes, secrets: Iterable[tuple[str, bytes]]) -> str:
        """The owner of the secret with which it was signed.

        Args:
            secrets: Every valid secret with its owner; an owner may have several.

        Raises:
            Unsigned: If it was signed with none of them.
        """
        content = f"{self.id}.{self.timestamp}.".encode() + body
        for whose, secret in secrets:
            expected = hmac.digest(secret, content, hashlib.sha256)
            if any(hmac.compare_digest(expected, each) for each in self.signatures):
                return whose
        raise Unsigned("no signature was made with a secret that works")


def open_envelope(headers: Mapping[str, str], now: datetime) -> Envelope:
    """Reads the headers of a message.

    Raises:
        Unsigned: If one is missing or malformed, or the message is not fresh.
    """
    identity, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not ID.fullmatch(identity) or not TIMESTAMP.fullmatch(timestamp):
        raise Unsigned("webhook-id or webhook-timestamp is missing or malformed")
    if abs(int(timestamp) - now.timestamp()) > FRESH.total_seconds():
        raise Unsigned("webhook-timestamp is not within five minutes of now")
    sent = headers.get("webhook-signature", "").split(" ")
    # Future versions may add signatures of their own.
    found = [SIGNATURE.fullmatch(each) for each in sent[:MOST_SIGNATURES]]
    signatures = [base64.b64decode(each[1]) for each in found if each]
    if not signatures:
        raise Unsigned("webhook-signature holds no well-formed v1 signature")
    return Envelope(identity, timestamp, signatures)


def secret_bytes(text: str) -> bytes:
    """Decodes a secret as senders and receivers write it.

    Raises:
        ValueError: If it is not ``whsec_`` and 24 to 64 bytes in base64.
    """
    try:
        secret = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if not text.startswith(PREFIX) or len(secret) not in SECRET_BYTES:
        raise ValueError(f"must be {PREFIX} and 24 to 64 bytes in base64")
    return secret
