"""The inbox of results: each is recorded once and kept until its case has been told of it.

A file's import, a command or the gateway records results in a transaction; the relay in
``activities/results.py`` tells the cases. A sender may repeat its results as often as it likes.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import Row, tuple_
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from policy.requirements import (
    AssessmentScored,
    CertificationRecorded,
    Fact,
    ResultVoided,
    TrainingCompleted,
)
from records.database import insert_new
from records.tables import ResultEvent


class AccountClosed(Fact):
    """The portal reports that it closed the account; only staff may give access back."""


SIGNALS: dict[type[Fact], str] = {
    CertificationRecorded: "certification_recorded",
    TrainingCompleted: "training_completed",
    AssessmentScored: "assessment_scored",
    ResultVoided: "result_voided",
    AccountClosed: "account_closed",
}
FACTS = {signal: kind for kind, signal in SIGNALS.items()}
KEY = tuple_(col(ResultEvent.source), col(ResultEvent.event_id))
AT_ONCE = 200
"""The most events in one statement."""


class Incoming(NamedTuple):
    """A result as a sender brings it.

    Attributes:
        source: Who sends it. Events of two sources never collide.
        event_id: The source's own id; a repetition carries the same.
    """

    source: str
    event_id: str
    training_id: str
    fact: Fact


class Receipt(StrEnum):
    """What became of a result that was received."""

    NEW = "new"
    REPEAT = "repeat"
    CONFLICT = "conflict"
    """The same source and event id came earlier with other content; this one is not recorded."""


# Two senders may bring one event at the same moment; the unique key admits one of them.
_INSERT = insert_new(ResultEvent, col(ResultEvent.source), col(ResultEvent.event_id))


async def receive(
    connection: AsyncConnection, events: Sequence[Incoming], now: datetime
) -> list[Receipt]:
    """Records results in the connection's transaction; a receipt for each, in the same order.

    One result is recorded by one statement.
    """
    receipts: list[Receipt] = []
    for start in range(0, len(events), AT_ONCE):
        receipts += await _receive(connection, events[start : start + AT_ONCE], now)
    return receipts


async def _receive(
    connection: AsyncConnection, events: Sequence[Incoming], now: datetime
) -> list[Receipt]:
    values = [
        {
            "source": each.source,
            "event_id": each.event_id,
            "training_id": each.training_id,
            "signal": SIGNALS[type(each.fact)],
            "payload": each.fact.model_dump(mode="json"),
            "received_at": now,
            "next_attempt_at": now,
        }
        for each in events
    ]
    inserted = await connection.execute(_INSERT[connection.dialect.name], values)
    new = {tuple(each) for each in inserted}
    if len(new) == len(events):
        return [Receipt.NEW] * len(events)
    named = [(each.source, each.event_id) for each in events]
    found = await connection.execute(select(ResultEvent).where(KEY.in_(named)))
    recorded = {(each.source, each.event_id): each for each in found}
    receipts = []
    for value in values:
        known = recorded[str(value["source"]), str(value["event_id"])]
        if not _same(known, value):
            receipts.append(Receipt.CONFLICT)
        elif (known.source, known.event_id) in new:
            new.discard((known.source, known.event_id))
            receipts.append(Receipt.NEW)
        else:
            receipts.append(Receipt.REPEAT)
    return receipts


def _same(known: Row[Any], value: Mapping[str, Any]) -> bool:
    if (known.training_id, known.signal) != (value["training_id"], value["signal"]):
        return False
    payload = dict(value["payload"])
    if datetime.fromisoformat(known.payload["occurred_at"]) == known.received_at:
        # The sender's clock was ahead, so the moment of receipt was taken, as it is now again.
        payload["occurred_at"] = known.payload["occurred_at"]
    return bool(known.payload == payload)


async def waiting(session: AsyncSession, now: datetime, limit: int) -> Sequence[ResultEvent]:
    """The oldest results that are to be told now, with all others of the same people."""
    ready = select(ResultEvent).where(
        col(ResultEvent.told_at).is_(None), ResultEvent.next_attempt_at <= now
    )
    oldest = (await session.exec(ready.order_by(col(ResultEvent.id)).limit(limit))).all()
    people = {each.training_id for each in oldest}
    return (await session.exec(ready.where(col(ResultEvent.training_id).in_(people)))).all()


async def waiting_of(session: AsyncSession, events: Sequence[Incoming]) -> Sequence[ResultEvent]:
    """Those of these results that still wait, with all others of the same people."""
    named = [(each.source, each.event_id) for each in events]
    waits = select(ResultEvent).where(col(ResultEvent.told_at).is_(None))
    found = await session.exec(waits.where(KEY.in_(named)))
    people = {each.training_id for each in found}
    return (await session.exec(waits.where(col(ResultEvent.training_id).in_(people)))).all()


async def untold(session: AsyncSession, received_before: datetime) -> Sequence[ResultEvent]:
    """Results whose case could not be told, oldest first: a person should look at them."""
    found = select(ResultEvent).where(
        col(ResultEvent.told_at).is_(None), ResultEvent.received_at < received_before
    )
    return (await session.exec(found.order_by(col(ResultEvent.id)))).all()
