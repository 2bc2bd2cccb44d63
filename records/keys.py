"""Keys of the programs that call the gateway; the records keep only a hash of each secret.

A key belongs to one training system, or to one agency and the authorized contact who answers for
what is sent with it.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from sqlalchemy import bindparam
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import Field, SQLModel, col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from records import audit
from records.database import UtcDateTime

SECRET_BYTES = 32
ROTATION = timedelta(days=1)
"""How long a replaced key still works beside the new one."""
NOBODY = hashlib.sha256(secrets.token_bytes(SECRET_BYTES)).hexdigest()


class Kind(StrEnum):
    """What a key may be used for."""

    TRAINING = "training"
    AGENCY = "agency"
    EVENTS = "events"
    """A training system's secret, with which it signs events instead of sending it."""
    PORTAL = "portal"
    """The portal's secret, with which it signs events."""

    @property
    def signs(self) -> bool:
        """Whether its holder signs with it instead of sending it."""
        return self in (Kind.EVENTS, Kind.PORTAL)


class UnknownKey(Exception):
    """There is no key with this id."""


class ApiKey(SQLModel, table=True):
    """A program's key.

    Attributes:
        holder: The training system's name, or the agency's id.
        contact_id: The agency's contact for whom the program acts; None for a training system.
        digest: SHA-256 of the secret: with 256 random bits there is nothing to guess.
        ends_at: When it stops working; None if no end is set.
    """

    id: str = Field(primary_key=True)
    kind: str
    holder: str = Field(index=True)
    contact_id: int | None = None
    digest: str
    made_at: datetime = Field(sa_type=UtcDateTime)
    ends_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    def works(self, now: datetime) -> bool:
        """Whether it still works at ``now``."""
        return _works(self.ends_at, now)


_OF_KIND = select(ApiKey.id, ApiKey.holder, ApiKey.ends_at).where(
    col(ApiKey.kind) == bindparam("kind")
)


async def make_key(
    session: AsyncSession, kind: Kind, holder: str, contact_id: int | None, now: datetime
) -> tuple[ApiKey, str]:
    """A new key, and what its holder sends, which is shown only once.

    A key that signs is not sent: its holder signs with `signing_secret`.
    """
    secret = secrets.token_urlsafe(SECRET_BYTES)
    key = ApiKey(
        id=secrets.token_hex(6),
        kind=kind,
        holder=holder,
        contact_id=contact_id,
        digest=_digest(secret),
        made_at=now,
    )
    session.add(key)
    await _record(session, key, "key_made", now, holder=holder, kind=kind.value)
    return key, f"{key.id}.{secret}"


async def key_sent(session: AsyncSession, sent: str, now: datetime) -> ApiKey | None:
    """The key that a caller sent; None unless it is known, complete and works."""
    key_id, _, secret = sent.partition(".")
    key = await session.get(ApiKey, key_id)
    # An unknown id is compared, too, so that the time taken does not tell which ids exist.
    same = hmac.compare_digest(key.digest if key else NOBODY, _digest(secret))
    return key if key is not None and same and key.works(now) else None


def signing_secret(system_secret: str, key_id: str) -> str:
    """The secret of a key that signs, as Standard Webhooks writes one.

    To check a signature takes the secret itself, so it is derived from ours and not kept.
    """
    derived = hmac.digest(system_secret.encode(), f"events|{key_id}".encode(), hashlib.sha256)
    return f"whsec_{base64.b64encode(derived).decode()}"


async def working_keys(
    connection: AsyncConnection, kind: Kind, now: datetime
) -> list[tuple[str, str]]:
    """The ids of the keys of a kind that work, each with the key's holder."""
    found = await connection.execute(_OF_KIND, {"kind": kind})
    return [(key_id, holder) for key_id, holder, ends_at in found if _works(ends_at, now)]


async def rotate_key(session: AsyncSession, key_id: str, now: datetime) -> tuple[ApiKey, str]:
    """A new key for the same holder; the old one works for another day.

    Raises:
        UnknownKey: If there is none with this id, or it has ended.
    """
    old = await _known(session, key_id)
    if not old.works(now):
        raise UnknownKey(f"key {key_id} has ended; make a new one")
    old.ends_at = min(old.ends_at or now + ROTATION, now + ROTATION)
    session.add(old)
    await _record(session, old, "key_rotated", now)
    return await make_key(session, Kind(old.kind), old.holder, old.contact_id, now)


async def revoke_key(session: AsyncSession, key_id: str, now: datetime) -> None:
    """Ends a key at once.

    Raises:
        UnknownKey: If there is none with this id.
    """
    key = await _known(session, key_id)
    if key.works(now):
        key.ends_at = now
        session.add(key)
        await _record(session, key, "key_revoked", now)


async def all_keys(session: AsyncSession) -> Sequence[ApiKey]:
    """Every key, ended ones included, by holder; without secrets."""
    return (
        await session.exec(select(ApiKey).order_by(col(ApiKey.holder), col(ApiKey.made_at)))
    ).all()


async def _known(session: AsyncSession, key_id: str) -> ApiKey:
    key = await session.get(ApiKey, key_id, with_for_update=True)
    if key is None:
        raise UnknownKey(f"there is no key {key_id}; `starter.py keys list` shows those there are")
    return key


async def _record(
    session: AsyncSession, key: ApiKey, act: str, now: datetime, **details: Any
) -> None:
    await audit.append(
        await session.connection(), f"key-{key.id}", act, at=now, by="operator", **details
    )


def _works(ends_at: datetime | None, now: datetime) -> bool:
    return ends_at is None or now < ends_at


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
