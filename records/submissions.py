"""The order in which rosters came."""

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession

from records.database import lock
from records.tables import Submission


async def next_sequence(session: AsyncSession) -> int:
    """The place of a submission among all, of every agency; the next one waits for this one."""
    await lock(session, "submission-sequence")
    return await newest_sequence(session) + 1


async def newest_sequence(session: AsyncSession) -> int:
    """The place of the submission that came last; 0 where there is none."""
    return (await session.exec(select(func.max(col(Submission.sequence))))).one() or 0
