"""Telling the cases of results from the inbox, until every one has been told."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlmodel import col, update
from temporalio.client import Client
from temporalio.service import RPCError

from policy.terms import Terms
from records.database import Database
from records.inbox import FACTS, waiting
from records.tables import ResultEvent
from workflows.client import tell_case

AT_ONCE = 20
"""Cases told at the same time."""
BATCH = 200
"""Results read at a time."""
LONGEST_PAUSE = timedelta(minutes=1)
TELL_TIMEOUT = 10.0
"""Seconds for one case."""


async def relay_results(database: Database, client: Client, task_queue: str, terms: Terms) -> int:
    """Tells the cases of the oldest results that wait; returns how many were told.

    A case that cannot be told keeps its result, with the error, for a later attempt; the others are
    told all the same.
    """
    async with database.snapshot() as session:
        events = await waiting(session, datetime.now(UTC), BATCH)
    return await tell_results(database, client, task_queue, terms, events)


async def tell_results(
    database: Database, client: Client, task_queue: str, terms: Terms, events: Sequence[ResultEvent]
) -> int:
    """Tells the cases of these results; returns how many were told."""
    places = asyncio.Semaphore(AT_ONCE)
    told: list[int | None] = []
    failed: list[tuple[ResultEvent, str]] = []

    async def tell(event: ResultEvent) -> None:
        async with places:
            try:
                fact = FACTS[event.signal].model_validate(event.payload)
                async with asyncio.timeout(TELL_TIMEOUT):
                    await tell_case(
                        client, task_queue, event.training_id, event.signal, fact, terms
                    )
            except (RPCError, TimeoutError, ValueError) as error:
                failed.append((event, str(error).partition("\n")[0] or "no answer in time"))
            else:
                told.append(event.id)

    await asyncio.gather(*(tell(each) for each in events))
    if not events:
        return 0
    now = datetime.now(UTC)
    async with database.transaction() as session:
        rows = update(ResultEvent)
        await session.exec(rows.where(col(ResultEvent.id).in_(told)).values(told_at=now))
        for event, error in failed:
            pause = min(timedelta(seconds=2 ** min(event.attempts + 1, 6)), LONGEST_PAUSE)
            await session.exec(
                rows.where(col(ResultEvent.id) == event.id).values(
                    attempts=event.attempts + 1,
                    last_error=error[:200],
                    next_attempt_at=now + pause,
                )
            )
    return len(told)
