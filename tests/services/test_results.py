"""The inbox of results: recorded once, told to the case until the case has taken it."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from temporalio.service import RPCError, RPCStatusCode

import activities.results
from activities.results import relay_results
from policy.requirements import TrainingCompleted
from records.database import Database
from records.inbox import Incoming, Receipt, receive, untold
from tests.support.system import LONG_AGO, System, new_training_id
from workflows.client import tell_case

NOW = datetime.now(UTC)


def training(training_id: str, event_id: str = "1", at: datetime = LONG_AGO) -> Incoming:
    fact = TrainingCompleted(event_id=event_id, occurred_at=at)
    return Incoming("lms", event_id, training_id, fact)


async def test_a_result_is_recorded_once_and_a_different_one_under_its_id_is_refused(
    records_url: str,
) -> None:
    database = Database(records_url)
    first, other = training("AAA0001"), training("AAA0001", at=NOW)
    elsewhere = first._replace(source="registry")

    async def bring(*events: Incoming) -> list[Receipt]:
        async with database.transaction() as session:
            return await receive(session, events, NOW)

    assert await bring(first, first, other) == [Receipt.NEW, Receipt.REPEAT, Receipt.CONFLICT]
    assert await bring(elsewhere, first) == [Receipt.NEW, Receipt.REPEAT]
    at_once = await asyncio.gather(*(bring(training("AAA0002", "2")) for _ in range(10)))
    assert sorted(each for [each] in at_once) == [Receipt.NEW] + [Receipt.REPEAT] * 9
    many = [training("AAA0003", f"m-{each}") for each in range(450)]
    assert await bring(*many) == [Receipt.NEW] * 450
    async with database.snapshot() as session:
        assert len(await untold(session, NOW + timedelta(hours=1))) == 453
        assert await untold(session, NOW) == []
    await database.close()


async def test_a_case_that_cannot_be_told_holds_up_no_other(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    wedged, *healthy = (new_training_id() for _ in range(4))
    tell = tell_case

    async def refuse(client: Any, queue: str, training_id: str, *rest: Any) -> None:
        if training_id == wedged:
            raise RPCError("the case is full", RPCStatusCode.INVALID_ARGUMENT, b"")
        await tell(client, queue, training_id, *rest)

    monkeypatch.setattr(activities.results, "tell_case", refuse)
    events = [training(each, f"e-{each}") for each in (wedged, *healthy)]
    async with system.database.transaction() as session:
        await receive(session, events, datetime.now(UTC))

    async def relay() -> None:
        settings = system.settings
        await relay_results(system.database, system.client, settings.task_queue, settings.terms)

    await relay()
    for each in healthy:
        assert (await system.status(each)).requirements["training"].met
    async with system.database.snapshot() as session:
        [waits] = await untold(session, datetime.now(UTC))
    assert (waits.training_id, waits.attempts) == (wedged, 1)
    assert waits.last_error == "the case is full"
    assert waits.next_attempt_at > datetime.now(UTC), "it is not tried in a tight loop"

    monkeypatch.undo()
    async with system.database.transaction() as session:
        waits.next_attempt_at = datetime.now(UTC)
        await session.merge(waits)
    await relay()
    assert (await system.status(wedged)).requirements["training"].met
    async with system.database.snapshot() as session:
        assert await untold(session, datetime.now(UTC)) == []
