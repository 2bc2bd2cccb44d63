"""The order in which rosters came."""

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from records.database import lock
from records.tables import Submission


async def next_sequence(session: AsyncSession) -> int:
    """A new submission's place among all; the next submission waits until this one is recorded."""
    await lock(session, "submission-sequence")
    return await newest_sequence(session) + 1


async def newest_sequence(session: AsyncSession) -> int:
    """The place of the last submission; 0 if there is none."""
    return (await session.exec(select(func.max(col(Submission.sequence))))).one() or 0
