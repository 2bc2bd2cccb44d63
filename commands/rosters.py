"""Rosters: submit one, check one, look at its verdicts, decide on one that is on hold."""

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlmodel.ext.asyncio.session import AsyncSession

from bootstrap import arc_holidays
from commands import console
from commands.session import (
    INPUT,
    By,
    Encoding,
    Json,
    Session,
    Why,
    as_json,
    print_json,
    session,
)
from commands.staff import give
from intake.files import read_roster
from intake.forecast import forecast_roster
from intake.submission import check
from policy.requirements import AssisterType
from policy.roster import Verdict
from records.people import holders
from records.tables import Agency
from services import Refused
from services.rosters import submit_roster, verdicts
from workflows.client import open_case
from workflows.contract import IntakeProgress, roster_workflow_id

app = App(
    name="rosters", help="Submit an agency's roster, check one, look at its verdicts.", group=INPUT
)

ACCEPTED: dict[str, Any] = {"verdict": "accepted", "reasons": []}
"""What is kept of an accepted row while a roster of any size is checked."""


@app.command(name="submit")
async def rosters_submit(
    file: Path,
    *,
    agency: str,
    type: AssisterType,
    by: By,
    encoding: Encoding = "utf-8-sig",
    wait: bool = False,
    json: Json = False,
) -> None:
    """Submit an agency's roster, as one of its authorized contacts (policy 1).

    Example: starter.py rosters submit roster.csv --agency AG-100 --type navigator
    --by pat@agency.example.org --wait
    """
    roster = read_roster(file, encoding)
    async with session() as here:
        to = await here.connections()
        done = await submit_roster(
            to, roster, agency_id=agency, roster_type=type, by=by, filename=file.name
        )
        if wait:
            handle = to.client.get_workflow_handle(roster_workflow_id(done.submission_id))
            with console.err.status("Judging rows and opening cases …"):
                await handle.result()
        if json:
            print_json({**done._asdict(), **await _roster(here, done.submission_id)})
            return
        if done.new:
            console.out.print(f"Submission {done.submission_id}: {done.rows} rows.")
        else:
            console.out.print(
                f"This is the same roster as submission {done.submission_id}: nothing changes."
            )
        if wait:
            shown = await _roster(here, done.submission_id)
            console.out.print(*console.verdicts(shown["rows"]), sep="\n")
        else:
            console.out.print(f"Verdicts: starter.py rosters show {done.submission_id}")


@app.command(name="check")
async def rosters_check(
    file: Path,
    *,
    type: AssisterType,
    agency: Annotated[str, Parameter(help="Forecast also what would happen to its cases.")] = "",
    encoding: Encoding = "utf-8-sig",
    json: Json = False,
) -> None:
    """Show the verdicts a roster would get, without submitting anything.

    With --agency also: which cases would open or change, which mails would go out today, the next
    deadlines, who is on record and missing from the file, and whether the roster would be held.
    """
    roster = read_roster(file, encoding)
    count = 0
    shown: list[dict[str, Any]] = []
    judged: list[Verdict] = []
    with console.err.status("Checking rows …") as progress:
        async with session() as here, _existing_records(here) as records:
            if agency and (records is None or await records.get(Agency, agency) is None):
                raise Refused(
                    f"agency {agency} is not on record. Agencies are recorded with: starter.py"
                    " agencies import FILE"
                )
            client = await here.client() if agency else None
            if json:
                sys.stdout.write(f'{{"file": {as_json(file.name)}, "rows": [')
            async for verdict in check(records, roster, type):
                if json:
                    sys.stdout.write(f"{',' if count else ''}\n{as_json(verdict.public())}")
                else:
                    shown.append(verdict.public() if verdict.reasons else ACCEPTED)
                if agency:
                    judged.append(verdict)
                count += 1
                if count % 1000 == 0:
                    progress.update(f"Checking rows … {count:,}")
            forecast = None
            if client is not None and records is not None:
                forecast = await forecast_roster(
                    records,
                    judged,
                    agency_id=agency,
                    roster_type=type,
                    open_case=partial(open_case, client),
                    terms=here.settings.terms,
                    holidays=arc_holidays(),
                    now=datetime.now(UTC),
                )
    if json:
        ending = f', "forecast": {forecast.model_dump_json()}' if forecast else ""
        sys.stdout.write(f"\n]{ending}}}\n")
        return
    console.out.print(*console.verdicts(shown), sep="\n")
    if roster.ignored:
        console.out.print(f"Columns not used: {', '.join(roster.ignored)}", markup=False)
    if forecast is not None:
        console.out.print(*console.forecast(forecast), sep="\n")


@app.command(name="show")
async def rosters_show(submission: str, *, json: Json = False) -> None:
    """Show a submission's progress and verdicts."""
    async with session() as here:
        shown = await _roster(here, submission)
        client = await here.client()
        handle = client.get_workflow_handle(roster_workflow_id(submission))
        progress = await handle.query("progress", result_type=IntakeProgress)
    if json:
        print_json({**shown, "stage": progress.stage})
        return
    console.out.print(*console.verdicts(shown["rows"]), sep="\n")
    console.out.print(f"Stage {progress.stage}: {progress.opened} cases told.")


@app.command(name="release")
async def rosters_release(submission: str, *, by: By, reason: Why, json: Json = False) -> None:
    """Let a roster that is on hold go on."""
    await give(roster_workflow_id(submission), "release", by, reason, json)


@app.command(name="discard")
async def rosters_discard(submission: str, *, by: By, reason: Why, json: Json = False) -> None:
    """Drop a roster that is on hold; it changes nothing."""
    await give(roster_workflow_id(submission), "discard", by, reason, json)


async def _roster(here: Session, submission_id: str) -> dict[str, Any]:
    return {
        "submission_id": submission_id,
        "rows": await verdicts(here.database, submission_id),
    }


@asynccontextmanager
async def _existing_records(here: Session) -> AsyncIterator[AsyncSession | None]:
    """The records; None where there are none yet, and then nobody holds a mailbox either."""
    try:
        async with here.database.snapshot() as records:
            await holders(records, [])
    except (OperationalError, ProgrammingError):
        yield None
        return
    async with here.database.snapshot() as records:
        yield records
