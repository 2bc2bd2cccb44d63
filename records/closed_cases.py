"""What closed cases leave to later ones."""

from collections.abc import Collection
from datetime import datetime

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from policy.case import Earlier, Order, Outcome
from policy.requirements import Evidence, case_id
from records import audit
from records.tables import ClosedCase


def earlier_of(closed: ClosedCase | None) -> Earlier:
    """What the records know of an assister before a case opens."""
    if closed is None:
        return Earlier()
    return Earlier(
        outcome=Outcome(closed.outcome) if closed.outcome else None,
        evidence=Evidence.model_validate(closed.evidence),
        hold=Order.model_validate(closed.hold) if closed.hold else None,
        reference_number=closed.reference_number,
        fence=closed.fence,
    )


async def with_earlier(session: AsyncSession, training_ids: Collection[str]) -> set[str]:
    """Those assisters of whom the records have an earlier case."""
    found = select(ClosedCase.training_id).where(col(ClosedCase.training_id).in_(training_ids))
    return set(await session.exec(found))


async def hold_closed(
    session: AsyncSession, training_id: str, order: Order, order_id: str, at: datetime
) -> None:
    """Has the case that opens next begin suspended; nothing if no case was closed or one is held.

    Args:
        order_id: The order's own id: a repetition carries the same.
    """
    closed = await session.get(ClosedCase, training_id, with_for_update=True)
    if closed is None or closed.hold is not None:
        return
    closed.hold = order.model_dump(mode="json")
    session.add(closed)
    await audit.append_order(
        await session.connection(),
        case_id(training_id),
        "suspend_access",
        order_id,
        at=at,
        by=order.by,
        reason=order.reason,
    )
