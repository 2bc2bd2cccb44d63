"""Results: what certification records and training systems say of an assister."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, Parameter
from pydantic import ValidationError
from temporalio.service import RPCError, RPCStatusCode

from commands import console
from commands.session import (
    At,
    Encoding,
    Json,
    ThisAssister,
    answered_unless_busy,
    interrupted_says,
    print_json,
    session,
    training_id_of,
)
from intake.files import MissingColumns
from intake.results import BadValue, event_id, judge_results, read_results, read_score
from policy.requirements import (
    AssessmentScored,
    CertificationRecorded,
    Fact,
    ResultVoided,
    TrainingCompleted,
)
from policy.terms import PORTAL_COURSE
from policy.text import counted
from records.inbox import SIGNALS, Receipt, untold
from services import Refused, mistakes
from services.connections import Connections
from services.results import import_results, record_result
from workflows.client import case_status

certification = App(name="certification", help="Record the state of a certification.")
training = App(name="training", help="Record completed trainings.")
assessment = App(name="assessment", help="Record assessment attempts.")
File = Annotated[Path, Parameter(help="CSV or XLSX, one result a row.")]
Course = Annotated[str, Parameter(help="Our id of the course.")]
Event = Annotated[str, Parameter(help="The result's event id: the case's details name it.")]
REPEAT = "Interrupted. All of it was recorded or nothing: do it again to be sure, it counts once."

results = App(name="results", help="Import a training system's export, take a result back.")


@certification.command(name="record")
async def certification_record(
    training_id: ThisAssister,
    *,
    status: Literal["certified", "not-certified"],
    valid_through: Annotated[date | None, Parameter(help="The last valid day.")] = None,
    at: At = None,
    json: Json = False,
) -> None:
    """Record an assister's certification (policy, second requirement).

    Example: starter.py certification record NAV1001 --status certified --valid-through 2027-10-15
    """
    facts = {"certified": status == "certified", "valid_through": valid_through}
    await _record(training_id, CertificationRecorded, facts, at, json)


@training.command(name="record")
async def training_record(
    training_id: ThisAssister, *, course: Course = PORTAL_COURSE, at: At = None, json: Json = False
) -> None:
    """Record a completed training (policy, third requirement).

    Example: starter.py training record NAV1001 --at 2026-11-02T15:04-06:00
    """
    await _record(training_id, TrainingCompleted, {"course": course}, at, json)


@assessment.command(name="record")
async def assessment_record(
    training_id: ThisAssister,
    *,
    score: Annotated[str, Parameter(help="In percent, such as 82.5.")],
    course: Course = PORTAL_COURSE,
    at: At = None,
    json: Json = False,
) -> None:
    """Record an attempt at the assessment (policy 2.2); 70 percent pass.

    Example: starter.py assessment record NAV1001 --score 82.5
    """
    try:
        facts = {"score": read_score(score), "course": course}
    except BadValue as bad:
        raise Refused(f"--score {bad}") from None
    await _record(training_id, AssessmentScored, facts, at, json)


@results.command(name="import")
async def results_import(
    file: File, *, encoding: Encoding = "utf-8-sig", json: Json = False
) -> None:
    """Import a training system's export; every row gets a verdict, every accepted row counts.

    Rejected rows change nothing. The accepted rows are recorded all together or, if something
    fails, not at all. You may import the file again.

    Columns: Training ID, Event (certification, training, assessment), Date; Course, Score, Status,
    Valid Through if the event needs them.

    Example: starter.py results import export.csv
    """
    try:
        table = read_results(file, encoding)
    except MissingColumns as missing:
        raise Refused(f"{missing} The layout: starter.py results import --help") from None
    verdicts = list(judge_results(table, datetime.now(UTC)))
    async with session() as here:
        to = await here.connections()
        with console.err.status("Recording …") as shown_count:
            async with interrupted_says(REPEAT):
                receipts = await import_results(
                    to,
                    verdicts,
                    lambda told: shown_count.update(f"Results that reached their case: {told:,} …"),
                )
        told = next((each.training_id for each in verdicts if each.fact is not None), None)
        if told is not None:
            await _told(to, told, "The results are recorded.")
    shown = [each.public() for each in verdicts]
    new = receipts.count(Receipt.NEW)
    if json:
        known = len(receipts) - new
        print_json({"new": new, "known": known, "notes": table.notes, "rows": shown})
        return
    repeated = f", {len(receipts) - new} known before" if len(receipts) > new else ""
    summary = f"{counted(new, 'result')} recorded{repeated}."
    console.out.print(*console.verdicts(shown), *console.notes(table), summary, sep="\n")


@results.command(name="waiting")
async def results_waiting(*, json: Json = False) -> None:
    """List results that have not reached their case yet, and why; each is tried again by itself."""
    async with session() as here, here.database.snapshot() as records:
        waiting = await untold(records, datetime.now(UTC))
    if json:
        print_json([each.model_dump(mode="json", exclude={"payload"}) for each in waiting])
        return
    rows = [
        (e.training_id, e.signal, e.source, e.received_at, e.attempts, e.last_error)
        for e in waiting
    ]
    columns = ("Training ID", "result", "source", "received", "attempts", "error")
    console.out.print(console.table(f"Waiting: {counted(len(rows), 'result')}", columns, rows))


@results.command(name="void")
async def results_void(
    training_id: ThisAssister, *, event: Event, at: At = None, json: Json = False
) -> None:
    """Take back a result that was recorded by mistake.

    Example: starter.py results void NAV1001 --event 4f0c1d7a2b9e4f0c1d7a2b9e
    """
    await _record(training_id, ResultVoided, {"voids": event}, at, json)


async def _told(to: Connections, training_id: str, so_far: str) -> None:
    """Asks the case of a result, which only a living worker can answer."""
    try:
        await answered_unless_busy(to, case_status(to.client, training_id), f"{so_far} ")
    except RPCError as error:
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise
        # Temporal turned the signal away that would have opened the case.
        console.err.print(f"{so_far} It reaches its case later: starter.py results waiting")


async def _record(
    training_id: str,
    kind: type[Fact],
    facts: dict[str, Any],
    at: datetime | None,
    as_json: bool,
) -> None:
    training_id = training_id_of(training_id)
    if at is not None and at.tzinfo is None:
        raise Refused("--at needs an offset, such as 2026-11-02T15:04:00-06:00")
    now = datetime.now(UTC)
    if at is not None and at > now:
        raise Refused("--at lies in the future")
    occurred_at = at or now
    try:
        fact = kind(
            event_id=event_id(training_id, SIGNALS[kind], occurred_at, facts),
            occurred_at=occurred_at,
            **facts,
        )
    except ValidationError as error:
        raise Refused(mistakes(error)) from None
    async with session() as here:
        to = await here.connections()
        async with interrupted_says(REPEAT):
            await record_result(to, training_id, fact)
        await _told(to, training_id, "The result is recorded.")
    if as_json:
        print_json({"training_id": training_id, "event_id": fact.event_id})
        return
    console.out.print(f"Recorded for {training_id}; event {fact.event_id}.")
