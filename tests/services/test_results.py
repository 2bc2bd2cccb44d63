"""The inbox of results: a result is recorded once, and its case is told until it has taken it."""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import col, func, select
from temporalio.service import RPCError, RPCStatusCode

import activities.digest
import activities.results
import services.results
import worker
from activities.digest import DigestActivities
from activities.results import relay_results
from policy.requirements import AssessmentScored, TrainingCompleted
from records.database import Database
from records.inbox import Incoming, Receipt, receive, untold
from records.tables import ResultEvent
from services.results import record_results
from tests.conftest import PATIENT
from tests.support.system import (
    LONG_AGO,
    SECRET,
    System,
    eventually,
    facts,
    new_training_id,
    record_people,
)
from workflows.client import tell_case
from workflows.contract import assister_workflow_id

ROOT = Path(__file__).resolve().parents[2]
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
            return await receive(await session.connection(), events, NOW)

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
        await receive(await session.connection(), events, datetime.now(UTC))

    async def relay() -> None:
        settings = system.settings
        await relay_results(system.database, system.client, settings.task_queue, settings.terms)

    begun = datetime.now(UTC)
    await relay()
    for each in healthy:
        assert (await system.status(each)).requirements["training"].met
    async with system.database.snapshot() as session:
        [waits] = await untold(session, datetime.now(UTC))
    assert (waits.training_id, waits.attempts) == (wedged, 1)
    assert waits.last_error == "the case is full"
    pause = timedelta(seconds=1)
    assert waits.next_attempt_at > begun + pause, "it is not tried in a tight loop"

    digest = DigestActivities(system.client, system.database)
    assert assister_workflow_id(wedged) not in (await digest.list_attention()).needs
    monkeypatch.setattr(activities.digest, "LATE", timedelta())
    needs = (await digest.list_attention()).needs
    assert needs[assister_workflow_id(wedged)] == "late:result"
    assert not {assister_workflow_id(person) for person in healthy} & needs.keys()

    monkeypatch.undo()
    async with system.database.transaction() as session:
        waits.next_attempt_at = datetime.now(UTC)
        await session.merge(waits)
    await relay()
    assert (await system.status(wedged)).requirements["training"].met
    async with system.database.snapshot() as session:
        assert await untold(session, datetime.now(UTC)) == []


@pytest.mark.parametrize("passed_first", [True, False])
@pytest.mark.parametrize("by_the_worker", [True, False])
async def test_nobody_is_asked_to_take_again_what_the_same_file_says_they_passed(
    system: System, monkeypatch: pytest.MonkeyPatch, passed_first: bool, by_the_worker: bool
) -> None:
    """The order and the distance of the attempts in the file do not matter."""
    monkeypatch.setattr(services.results, "AT_ONCE", 3)
    monkeypatch.setattr(activities.results, "BATCH", 3)
    ids = [new_training_id() for _ in range(6)]
    await record_people(system.database, *ids)
    for each in ids:
        await system.tell(each, "roster_recorded", facts()["roster_recorded"])

    def attempts(hour: int, score: int) -> list[Incoming]:
        at = LONG_AGO + timedelta(hours=hour)
        return [
            Incoming("lms", f"{each}-{hour}", each,
                     AssessmentScored(event_id=f"{each}-{hour}", occurred_at=at, score=score))
            for each in ids
        ]  # fmt: skip

    events = [*attempts(9, 60), *attempts(16, 85), *attempts(8, 40)]
    if passed_first:
        events.reverse()
    if by_the_worker:
        async with system.database.transaction() as session:
            await receive(await session.connection(), events, datetime.now(UTC))
        settings = system.settings
        for _ in range(6):
            await relay_results(system.database, system.client, settings.task_queue, settings.terms)
    else:
        await record_results(system.connections, events)
    for each in ids:
        status = await system.status(each)
        assert status.requirements["assessment"].met
        assert "assessment_failed" not in [mail.kind for mail in status.mails]


async def test_an_import_that_is_killed_is_whole_or_nothing_and_completes(
    system: System, tmp_path: Path
) -> None:
    ids = [new_training_id() for _ in range(60)]
    export = tmp_path / "results.csv"
    rows = "".join(f"{each},training,2026-02-03\n" for each in ids)
    export.write_text("Training ID,Event,Date\n" + rows)
    environment = {
        "TEMPORAL_ADDRESS": system.client.service_client.config.target_host,
        "ASSISTER_DATABASE_URL": system.settings.database_url,
        "ASSISTER_DATA_DIR": str(tmp_path),
        "ASSISTER_TASK_QUEUE": system.settings.task_queue,
        "ASSISTER_PORTAL_SECRET": SECRET,
    }

    async def start() -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, "-c", PATIENT, "results", "import", str(export),
            cwd=ROOT, env=os.environ | environment, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip

    async def recorded() -> tuple[int, int]:
        async with system.database.snapshot() as session:
            count = select(func.count()).select_from(ResultEvent)
            told = count.where(col(ResultEvent.told_at).is_not(None))
            return (await session.exec(count)).one(), (await session.exec(told)).one()

    killed = await start()
    await eventually(recorded, lambda it: it[0] > 0)
    killed.kill()
    await killed.wait()
    assert (await recorded())[0] == len(ids), "half of the rows are recorded"
    again = await start()
    said, _ = await again.communicate()
    assert again.returncode == 0, said
    assert f"0 results recorded, {len(ids)} known before" in said.decode()
    assert await recorded() == (len(ids), len(ids))
    for each in ids:
        assert (await system.status(each)).requirements["training"].met


async def test_a_worker_tells_what_a_dead_import_left(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    training_id = new_training_id()
    async with system.database.transaction() as session:
        await receive(
            await session.connection(),
            [training(training_id, f"left-{training_id}")],
            datetime.now(UTC),
        )
    monkeypatch.setenv("TEMPORAL_ADDRESS", system.client.service_client.config.target_host)
    stop = asyncio.Event()
    running = asyncio.create_task(worker.run(system.settings, stop))

    async def left() -> bool:
        async with system.database.snapshot() as session:
            return bool(await untold(session, datetime.now(UTC)))

    await eventually(left, lambda it: not it)
    assert (await system.status(training_id)).requirements["training"].met
    stop.set()
    await running
