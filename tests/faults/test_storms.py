"""Storms: events that come often, at once and in any order have the same effect as once."""

import asyncio
import random
from collections import Counter
from contextlib import suppress
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select
from temporalio.api.enums.v1 import EventType
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Replayer, UnsandboxedWorkflowRunner

from intake.files import read_roster
from policy.case import Case
from policy.requirements import (
    AssessmentScored,
    AssisterType,
    CertificationRecorded,
    Fact,
    ResultVoided,
    RosterRecorded,
    TrainingCompleted,
)
from portal.directory import ActivationRefused, StaleCommand
from portal.tables import PortalAccount
from records import audit
from records.database import Database
from records.people import record_agency
from records.tables import Affiliation, AuditEntry, Submission, SubmissionRow
from services.rosters import record_roster, submit_roster
from tests.faults.trials import without_worker
from tests.faults.workers import WorkerProcess
from tests.support.conditions import mailed, met
from tests.support.rosters import roster_of, roster_row, roster_text
from tests.support.system import (
    AGENCY,
    CONTACT,
    LONG_AGO,
    System,
    eventually,
    new_training_id,
    record_people,
)
from workflows import presentation
from workflows.assister_access import AssisterAccess
from workflows.client import open_case, start_intake
from workflows.contract import roster_workflow_id
from workflows.converter import DATA_CONVERTER

EVENTS = 1000
CLIENTS = 20
BURST = 500
OTHER = "AG-200"
OTHER_CONTACT = "sam@south.example.org"


def history() -> list[tuple[str, Fact]]:
    """A year of contradictory facts: the last of each kind counts, and some results are voided."""
    told: list[tuple[str, Fact]] = []
    for number in range(40):
        at = LONG_AGO + timedelta(hours=number)
        last = number == 39
        told += [
            ("roster_recorded", RosterRecorded(
                event_id=f"r{number}", occurred_at=at, agency_id=AGENCY, employed=True,
                assister_type=AssisterType.NAVIGATOR, approved=last or number % 2 == 0,
            )),
            ("certification_recorded", CertificationRecorded(
                event_id=f"c{number}", occurred_at=at, certified=last or number % 3 == 0,
            )),
        ]  # fmt: skip
    for number in range(10):
        at = LONG_AGO + timedelta(days=number)
        passed = number == 9
        told += [
            ("training_completed", TrainingCompleted(event_id=f"t{number}", occurred_at=at)),
            ("assessment_scored", AssessmentScored(
                event_id=f"a{number}", occurred_at=at, score=Decimal(70 if passed else 50 + number),
            )),
        ]  # fmt: skip
        if number < 5:
            told.append(("result_voided", ResultVoided(
                event_id=f"v{number}", occurred_at=at, voids=f"t{number}",
            )))  # fmt: skip
    return told


async def tell(
    system: System, training_id: str, told: list[tuple[str, Fact]], at_once: int
) -> None:
    places = asyncio.Semaphore(at_once)

    async def one(signal: str, fact: Fact) -> None:
        async with places:
            await system.tell(training_id, signal, fact)

    await asyncio.gather(*(one(*fact) for fact in told))


async def test_a_thousand_events_in_any_order_end_as_each_once_in_order(
    system: System, caplog: pytest.LogCaptureFixture
) -> None:
    stormy, calm = new_training_id(), new_training_id()
    await record_people(system.database, stormy, calm)
    events = history()
    chance = random.Random(7)
    storm = [*events, *(chance.choice(events) for _ in range(EVENTS - len(events)))]
    chance.shuffle(storm)
    await tell(system, stormy, storm, 50)
    await tell(system, calm, sorted(events, key=lambda each: each[1].occurred_at), 1)
    ends = [await activated_in_the_end(system, person) for person in (stormy, calm)]
    assert ends[0] == ends[1]
    async with system.database.transaction() as session:
        assert (await audit.verify(session)).breaks == []
    await system.until(stormy, mailed("confirmation"))
    subjects = Counter(subject for subject, _ in system.mails(to=stormy.lower()))
    assert subjects["Your MNsure assister portal account has been created"] == 1
    assert subjects["Your assister portal assessment: please take it again"] <= 9, "each once"
    logged = [line for line in caplog.messages if line.startswith("Ignored ")]
    counts = [int(line.split()[1]) for line in logged]
    assert counts
    assert len(counts) < sum(counts), "one line for all that came together"


async def activated_in_the_end(system: System, training_id: str) -> dict[str, Any]:
    """Uses the registration number that is valid after the storm; returns the final state."""

    async def activate() -> bool:
        status = await system.status(training_id)
        if status.stage == "active":
            return True
        async with system.database.transaction() as session:
            account = await session.get(PortalAccount, training_id)
        with suppress(StaleCommand, ActivationRefused):
            await system.activate(training_id, account.registration if account else 0)
        return False

    await eventually(activate, bool, seconds=100)
    snapshot = await system.case(training_id).query("snapshot")
    assert snapshot["attention"] == {}
    evidence: dict[str, Any] = snapshot["evidence"]
    for kind in ("trainings", "assessments"):
        evidence[kind] = sorted(evidence[kind], key=lambda fact: str(fact["event_id"]))
    return {**evidence, "voided": sorted(evidence["voided"])}


async def record_agencies(database: Database) -> None:
    await record_people(database)
    async with database.transaction() as session:
        await record_agency(session, OTHER, "South", [("Sam", OTHER_CONTACT)])


async def submitted(system: System, path: Path, agency: str, by: str) -> str:
    """Submits a roster as `rosters submit --wait` does."""
    done = await submit_roster(
        system.connections,
        read_roster(path),
        agency_id=agency,
        roster_type=AssisterType.NAVIGATOR,
        by=by,
        filename=path.name,
    )
    await system.client.get_workflow_handle(roster_workflow_id(done.submission_id)).result()
    return done.submission_id


async def test_one_roster_from_many_clients_at_once_is_one_submission(
    each_system: System, tmp_path: Path
) -> None:
    system = each_system
    ids = [new_training_id() for _ in range(20)]
    path = tmp_path / "roster.csv"
    path.write_text(roster_of(*ids))
    told = await asyncio.gather(*(submitted(system, path, AGENCY, CONTACT) for _ in range(CLIENTS)))
    assert len(set(told)) == 1
    async with system.database.transaction() as session:
        assert len((await session.exec(select(Submission))).all()) == 1
        assert len((await session.exec(select(SubmissionRow))).all()) == len(ids)
        acts = Counter(entry.act for entry in (await session.exec(select(AuditEntry))).all())
        assert (await audit.verify(session)).breaks == []
    assert (acts["roster_submitted"], acts["roster_recorded"]) == (1, len(ids))
    for each in ids:
        history = await system.case(each).fetch_history()
        signals = [
            event for event in history.events
            if event.HasField("workflow_execution_signaled_event_attributes")
        ]  # fmt: skip
        assert len(signals) == 1
    assert len(system.mails(to=CONTACT)) == 1, "one summary"


@pytest.mark.parametrize("agencies", [(AGENCY,), (AGENCY, OTHER)], ids=["one", "two"])
async def test_contradictory_rosters_racing_end_as_the_latest_says(
    each_system: System, tmp_path: Path, agencies: tuple[str, ...]
) -> None:
    system = each_system
    await record_agencies(system.database)
    ids = [new_training_id() for _ in range(5)]

    async def send(number: int) -> None:
        agency = agencies[number % len(agencies)]
        access = "Yes" if number // len(agencies) % 2 == 0 else "No"
        path = tmp_path / f"{number}.csv"
        # Each roster has another phone number, so that none repeats another.
        rows = "".join(roster_row(person, access) for person in ids)
        path.write_text(roster_text(rows.replace("555-0142", f"555-01{number:02}")))
        await submitted(system, path, agency, CONTACT if agency == AGENCY else OTHER_CONTACT)

    await asyncio.gather(*(send(number) for number in range(8)))
    async with system.database.transaction() as session:
        every = (await session.exec(select(Submission))).all()
        rows = (await session.exec(select(SubmissionRow))).all()
        people = (await session.exec(select(Affiliation))).all()
        assert (await audit.verify(session)).breaks == []
    assert len(every) == 8
    access = {
        row.submission_id: row.cells["access"] == "Yes" for row in rows
    }  # fmt: skip
    by_order = sorted(every, key=lambda submission: submission.sequence)
    says = {submission.agency_id: submission for submission in by_order}
    for training_id in ids:
        # The first agency that named a person counts; another one's approval waits for staff.
        case = await open_case(system.client, training_id)
        assert case is not None
        assert len(case.evidence.known) == 1
        speaker, status = case.evidence.known[0], await system.status(training_id)
        assert status.agency_id == speaker
        assert status.requirements["approval"].met == access[says[speaker].id]
        others = [agency for agency in agencies if agency != speaker]
        assert status.changes == [agency for agency in others if access[says[agency].id]]
    for person in people:
        newest = says[person.agency_id]
        assert person.submission_id == newest.id, "an agency's newest roster is what it says"
        assert person.approved == access[newest.id]
        assert person.public_phone[-2:] == newest.filename.removesuffix(".csv").zfill(2)


async def test_a_roster_told_late_is_still_an_agencys_older_word(
    each_system: System, tmp_path: Path
) -> None:
    """An agency approves, then says No; the case is told the approval later, as after a hold."""
    system, mine = each_system, new_training_id()
    await record_agencies(system.database)
    started = []
    for number, access in enumerate(("Yes", "No")):
        path = tmp_path / f"{number}.csv"
        path.write_text(roster_text(roster_row(mine, access)))
        done = await record_roster(
            system.database, read_roster(path), agency_id=AGENCY, by=CONTACT, filename=path.name,
            roster_type=AssisterType.NAVIGATOR,
        )  # fmt: skip
        started.append(done.submission_id)
    for submission_id in reversed(started):
        handle = await start_intake(
            system.client, system.settings.task_queue, submission_id, system.settings.terms
        )
        await handle.result()
    async with system.database.transaction() as session:
        person = await session.get_one(Affiliation, (mine, AGENCY))
    assert not person.approved
    assert not (await system.status(mine)).requirements["approval"].met


async def test_a_burst_that_waited_for_a_worker_is_shown_once(
    temporal: WorkflowEnvironment,
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Making the details page for each signal would exceed the time limit of a workflow task."""
    training_id, shown = new_training_id(), Counter[str]()
    async with without_worker(temporal.client, sqlite_url, tmp_path) as system:
        await record_people(system.database, training_id)
        worker = WorkerProcess(system)
        training = TrainingCompleted(event_id="t", occurred_at=LONG_AGO)
        await tell(system, training_id, [("training_completed", training)], 1)
        # The step that opens the case also shows it, so the burst starts after that step.
        await system.until(training_id, lambda status: status.next_deadline is not None)
        worker.kill()
        scored = AssessmentScored(event_id="a", occurred_at=LONG_AGO, score=Decimal(80))
        await tell(system, training_id, [("assessment_scored", scored)] * BURST, 50)
        worker = WorkerProcess(system)
        await system.until(training_id, met("assessment"))
        taken = EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED
        history = await eventually(
            system.case(training_id).fetch_history,
            lambda h: taken in {event.event_type for event in h.events[BURST:]},
        )
        worker.kill()
    show = presentation.details

    def counted(case: Case, now: datetime) -> str:
        shown["times"] += 1
        return show(case, now)

    monkeypatch.setattr(presentation, "details", counted)
    await Replayer(
        workflows=[AssisterAccess],
        data_converter=DATA_CONVERTER,
        workflow_runner=UnsandboxedWorkflowRunner(),
    ).replay_workflow(history)
    assert shown["times"] < BURST / 10
