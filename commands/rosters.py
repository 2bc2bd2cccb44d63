"""Rosters: submitting and checking one, its verdicts, and deciding on one that is on hold."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlmodel.ext.asyncio.session import AsyncSession

from bootstrap import arc_holidays, make_portal
from commands import console
from commands.session import (
    By,
    Encoding,
    Json,
    Session,
    ThisAgency,
    Why,
    answered,
    answered_unless_busy,
    as_json,
    interrupted_says,
    print_json,
    session,
)
from commands.staff import give
from intake.files import read_roster
from intake.forecast import forecast_roster
from intake.submission import check
from policy.requirements import AssisterType
from policy.roster import Verdict
from policy.text import counted
from portal.directory import agency_access
from records.people import holders
from records.tables import Agency
from services import Refused
from services.rosters import progress, submit_roster, verdicts
from workflows.client import open_case
from workflows.contract import roster_workflow_id

app = App(name="rosters", help="Submit an agency's roster, check one, look at its verdicts.")

File = Annotated[Path, Parameter(help="CSV or XLSX, one assister a row.")]
Kind = Annotated[
    AssisterType, Parameter(help="Whom it lists; cac: certified application counselors.")
]
Wait = Annotated[
    bool, Parameter(negative="", show_default=False, help="Wait for the verdicts and show them.")
]
Roster = Annotated[str, Parameter(help="The submission's id, as `rosters submit` printed it.")]
SETTLED = ("done", "discarded", "held", "wants_contact")
"""Stages in which a roster waits for a person or is done."""
WAIT_PAUSE = 0.3
ACCEPTED: dict[str, Any] = {"verdict": "accepted", "reasons": []}
"""What is kept of an accepted row while a roster of any size is checked."""


@app.command(name="submit")
async def rosters_submit(
    file: File,
    *,
    agency: ThisAgency,
    type: Kind,
    by: By,
    encoding: Encoding = "utf-8-sig",
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Submit an agency's roster, as one of its authorized contacts (policy 1).

    Every row gets a verdict. Rejected rows change nothing; each accepted one opens or updates a
    case.

    Columns: First Name, Last Name, Email, Training ID, Current Employment Status, Assister Portal
    Access, Public-Facing Phone Number, Public-Facing Email; optional are Business Address,
    Languages Spoken and Counties Served.

    Example: starter.py rosters submit roster.csv --agency AG-100 --type navigator
    --by pat@agency.example.org --wait
    """
    roster = read_roster(file, encoding)
    async with session() as here:
        to = await here.connections()
        async with interrupted_says(
            "Interrupted. All of the roster was recorded or nothing: submit it again to be sure."
        ):
            done = await submit_roster(
                to, roster, agency_id=agency, roster_type=type, by=by, filename=file.name
            )
        said = f"Roster {done.submission_id} is recorded. "
        at = await answered_unless_busy(to, progress(to.client, done.submission_id), said)
        with console.err.status("Judging rows …") as shown:
            while wait and (at is None or at.stage not in SETTLED):
                await asyncio.sleep(WAIT_PAUSE)
                asking = progress(to.client, done.submission_id)
                at = await answered_unless_busy(to, asking, said)
                if at is not None and at.accepted:
                    shown.update(f"Cases updated: {at.opened:,} of {at.accepted:,} …")
        rows = await verdicts(here.database, done.submission_id) if wait or json else []
    if json:
        answer = {**done._asdict(), "stage": at and at.stage, "notes": roster.notes, "rows": rows}
        print_json(answer)
        return
    for note in console.notes(roster):
        console.out.print(note)
    if done.new:
        console.out.print(f"Submission {done.submission_id}: {counted(done.rows, 'row')}.")
    else:
        console.out.print(
            f"This is the same roster as submission {done.submission_id}: nothing changes."
        )
    if at is None or not wait:
        console.out.print(f"Verdicts: starter.py rosters show {done.submission_id}")
        return
    console.out.print(*console.verdicts(rows), *console.intake(at), sep="\n")


@app.command(name="check")
async def rosters_check(
    file: File,
    *,
    type: Kind,
    agency: Annotated[
        str, Parameter(help="Show also what would happen to this agency's cases.")
    ] = "",
    encoding: Encoding = "utf-8-sig",
    json: Json = False,
) -> None:
    """Show the verdicts that a roster would get, without submitting anything.

    It also says what of the file was not read, such as a hidden sheet or a title.

    With --agency it shows, too, which cases would open or change, which mails would go out today,
    the next deadlines, who is on record and missing from the file, and whether the roster would be
    put on hold.

    Example: starter.py rosters check roster.csv --type navigator --agency AG-100
    """
    roster = read_roster(file, encoding)
    count = 0
    shown: list[dict[str, Any]] = []
    judged: list[Verdict] = []
    with console.err.status("Checking rows …") as shown_count:
        async with session() as here, _existing_records(here) as records:
            if agency and (records is None or await records.get(Agency, agency) is None):
                raise Refused(
                    f"agency {agency} is not on record. Agencies are recorded with: starter.py"
                    " agencies import FILE"
                )
            client = await here.client() if agency else None
            # Written with the first verdict: a file that breaks off leaves no partial answer.
            before = f'{{"file": {as_json(file.name)}, "notes": {as_json(roster.notes)}, "rows": ['
            async for verdict in check(records, roster, type):
                if agency:
                    judged.append(verdict)
                elif json:
                    sys.stdout.write(f"{',' if count else before}\n{as_json(verdict.public())}")
                if not json:
                    shown.append(verdict.public() if verdict.reasons else ACCEPTED)
                count += 1
                if count % 1000 == 0:
                    shown_count.update(f"Checking rows … {count:,}")
            forecast = None
            if client is not None and records is not None:
                portal = make_portal(here.settings, here.database)
                forecast = await forecast_roster(
                    records,
                    judged,
                    agency_id=agency,
                    roster_type=type,
                    open_case=lambda each: answered(open_case(client, each)),
                    having_access=await agency_access(here.database, portal, agency),
                    terms=here.settings.terms,
                    holidays=arc_holidays(),
                    now=datetime.now(UTC),
                )
    if json:
        # With a forecast they are written now: where no worker answers there is none.
        for at, verdict in enumerate(judged):
            sys.stdout.write(f"{',' if at else before}\n{as_json(verdict.public())}")
        ending = f', "forecast": {forecast.model_dump_json()}' if forecast else ""
        sys.stdout.write(f"{'' if count else before}\n]{ending}}}\n")
        return
    console.out.print(*console.verdicts(shown), *console.notes(roster), sep="\n")
    if forecast is not None:
        console.out.print(*console.forecast(forecast), sep="\n")


@app.command(name="show")
async def rosters_show(submission: Roster, *, json: Json = False) -> None:
    """Show how far a roster is, and its verdicts.

    Example: starter.py rosters show 1f2e3d4c5b6a
    """
    async with session() as here:
        client = await here.client()
        rows = await verdicts(here.database, submission)
        at = await answered(progress(client, submission))
    if json:
        print_json({"submission_id": submission, "stage": at.stage, "rows": rows})
        return
    console.out.print(*console.verdicts(rows), *console.intake(at), sep="\n")


@app.command(name="release")
async def rosters_release(submission: Roster, *, by: By, reason: Why, json: Json = False) -> None:
    """Let a roster that is on hold go on, once the agency has confirmed it.

    A roster is put on hold if it would end the access of many of the agency's assisters.

    Example: starter.py rosters release 1f2e3d4c5b6a --by sam@arc.example.org
    --reason "the agency confirmed it"
    """
    await give(roster_workflow_id(submission), "release", by, reason, json)


@app.command(name="discard")
async def rosters_discard(submission: Roster, *, by: By, reason: Why, json: Json = False) -> None:
    """Drop a roster that is on hold; it changes nothing.

    Example: starter.py rosters discard 1f2e3d4c5b6a --by sam@arc.example.org
    --reason "the agency sent the wrong file"
    """
    await give(roster_workflow_id(submission), "discard", by, reason, json)


@asynccontextmanager
async def _existing_records(here: Session) -> AsyncIterator[AsyncSession | None]:
    """The records; None if there are none yet, and then no mailbox is taken either."""
    try:
        async with here.database.snapshot() as records:
            await holders(records, [])
    except (OperationalError, ProgrammingError):
        yield None
        return
    async with here.database.snapshot() as records:
        yield records
