"""Telling the cases of results from the inbox, until each case has taken its own."""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlmodel import col, update
from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.exceptions import TemporalError
from temporalio.service import RPCError, RPCStatusCode

from policy.case import Order
from policy.terms import Terms
from records.closed_cases import hold_closed
from records.database import Database
from records.inbox import FACTS, AccountClosed, waiting
from records.tables import ResultEvent
from workflows.client import act, open_case, tell_case
from workflows.contract import StaffAct, assister_workflow_id

AT_ONCE = 20
"""Cases told at the same time."""
BATCH = 200
"""Results read at a time."""
LONGEST_PAUSE = timedelta(minutes=1)
CLOSED = StaffAct(by="portal", reason="The portal has closed the account")
TELL_TIMEOUT = 10.0
"""Seconds for one case."""


async def relay_results(database: Database, client: Client, task_queue: str, terms: Terms) -> int:
    """Tells the cases of the oldest results that wait; returns how many were told.

    A result whose case cannot be told stays in the inbox, with the error, for a later attempt. It
    does not delay the others.
    """
    async with database.snapshot() as session:
        events = await waiting(session, datetime.now(UTC), BATCH)
    return await tell_results(database, client, task_queue, terms, events)


async def tell_results(
    database: Database, client: Client, task_queue: str, terms: Terms, events: Sequence[ResultEvent]
) -> int:
    """Tells the cases of these results; returns how many were told.

    A case is told one result after the other, the best attempt at the assessment first. If it were
    told of a failed attempt first, it would ask the assister to repeat what they have passed.
    """
    places = asyncio.Semaphore(AT_ONCE)
    told: list[int | None] = []
    failed: list[tuple[ResultEvent, str]] = []
    people: defaultdict[str, list[ResultEvent]] = defaultdict(list)
    for each in events:
        people[each.training_id].append(each)

    async def tell(event: ResultEvent) -> None:
        fact = FACTS[event.signal].model_validate(event.payload)
        async with asyncio.timeout(TELL_TIMEOUT):
            if isinstance(fact, AccountClosed):
                await _end_access(database, client, event)
            else:
                await tell_case(client, task_queue, event.training_id, event.signal, fact, terms)

    async def tell_all(of_one: list[ResultEvent]) -> None:
        problem = ""
        async with places:
            for event in sorted(of_one, key=_best_attempt_first):
                try:
                    if not problem:
                        await tell(event)
                except ValueError as error:
                    failed.append((event, str(error).partition("\n")[0]))
                    continue
                except (TemporalError, TimeoutError) as error:
                    # The person's other results wait with it: a worse attempt must not be told
                    # alone.
                    problem = str(error).partition("\n")[0] or "no answer in time"
                if problem:
                    failed.append((event, problem))
                else:
                    told.append(event.id)

    await asyncio.gather(*map(tell_all, people.values()))
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


def _best_attempt_first(event: ResultEvent) -> tuple[Decimal, int]:
    return (-Decimal(event.payload.get("score", -1)), event.id or 0)


async def _end_access(database: Database, client: Client, event: ResultEvent) -> None:
    """Suspends until staff reinstate, in the open case or in the one that opens next.

    Raises:
        WorkflowUpdateFailedError: While the case closes; its evidence is saved last.
    """
    case, order = assister_workflow_id(event.training_id), f"{event.source}:{event.event_id}"
    for _ in range(2):
        try:
            await act(client, case, "suspend_access", CLOSED, order)
        except WorkflowUpdateFailedError:
            known = await open_case(client, event.training_id)
            if known is None or known.hold is None:
                raise
            return
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            async with database.transaction() as session:
                held, now = Order(by=CLOSED.by, reason=CLOSED.reason), datetime.now(UTC)
                await hold_closed(session, event.training_id, held, order, now)
            # Then once more: a case may have opened before it could read this.
        else:
            return
