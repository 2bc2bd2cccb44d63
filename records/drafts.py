"""Rosters that a contact has chosen on the page and not submitted yet; kept for an hour."""

import secrets
from datetime import datetime, timedelta

from sqlmodel import Field, SQLModel, col, delete, select
from sqlmodel.ext.asyncio.session import AsyncSession

from records.database import UtcDateTime

KEPT = timedelta(hours=1)
MOST = 10
"""Of one agency: a file has megabytes, and whoever has signed in could fill the disk."""


class RosterDraft(SQLModel, table=True):
    """A roster file as it was chosen."""

    id: str = Field(primary_key=True)
    agency_id: str = Field(foreign_key="agency.id")
    roster_type: str
    encoding: str
    filename: str
    content: bytes
    ends_at: datetime = Field(sa_type=UtcDateTime, index=True)


async def keep_draft(
    session: AsyncSession,
    agency_id: str,
    roster_type: str,
    encoding: str,
    filename: str,
    content: bytes,
    now: datetime,
) -> str:
    """Keeps a file and returns the draft's id; deletes drafts that are too old."""
    newest = (
        select(RosterDraft.id)
        .where(RosterDraft.agency_id == agency_id)
        .order_by(col(RosterDraft.ends_at).desc())
        .limit(MOST - 1)
    )
    too_many = (col(RosterDraft.agency_id) == agency_id) & col(RosterDraft.id).not_in(newest)
    await session.exec(delete(RosterDraft).where((col(RosterDraft.ends_at) < now) | too_many))
    draft = RosterDraft(
        id=secrets.token_hex(8),
        agency_id=agency_id,
        roster_type=roster_type,
        encoding=encoding,
        filename=filename,
        content=content,
        ends_at=now + KEPT,
    )
    session.add(draft)
    return draft.id


async def draft_of(
    session: AsyncSession, agency_id: str, draft_id: str, now: datetime
) -> RosterDraft | None:
    """The agency's own draft with this id; None if there is none."""
    draft = await session.get(RosterDraft, draft_id)
    if draft is None or draft.agency_id != agency_id or now >= draft.ends_at:
        return None
    return draft


async def drop_ended(session: AsyncSession, now: datetime) -> None:
    """Deletes drafts that are too old: they hold people's data."""
    await session.exec(delete(RosterDraft).where(col(RosterDraft.ends_at) < now))


async def drop_draft(session: AsyncSession, draft_id: str) -> None:
    """Deletes a draft that was submitted."""
    await session.exec(delete(RosterDraft).where(col(RosterDraft.id) == draft_id))
