"""The command line: starts workflows, sends signals and updates, and asks for status.

Exit codes: 0 done, 1 refused or failed for a reason that is printed, 2 wrong usage.
"""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import cached_property, partial
from pathlib import Path
from typing import Annotated, Any, NoReturn

import structlog
from cyclopts import App, CycloptsError, Parameter
from pydantic import TypeAdapter, ValidationError
from pydantic_settings import SettingsError
from rich.console import Group
from rich.live import Live
from sqlalchemy.exc import OperationalError, ProgrammingError
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio.client import (
    Client,
    WorkflowQueryFailedError,
    WorkflowUpdateFailedError,
)
from temporalio.service import RPCError, RPCStatusCode

import console
from activities.relay import relay_activations
from embedded.demo import run_demo
from embedded.stack import PortInUse, run_stack
from policy.addresses import BadAddress, clean_address, has_controls, is_generic, mailbox_key
from policy.case import Stage
from policy.requirements import (
    AgencyId,
    AssessmentScored,
    AssisterType,
    CertificationRecorded,
    Fact,
    ResultVoided,
    TrainingCompleted,
    TrainingId,
)
from policy.roster import Verdict
from policy.terms import PORTAL_COURSE
from portal.directory import ActivationRefused
from records import audit
from records.database import Database, UnsupportedDatabase
from records.people import (
    NotAuthorized,
    assister_of,
    authorized_contact,
    holders,
    record_agency,
    staff_id,
)
from records.schema import migrate as migrate_records
from records.tables import Agency, Assister, Submission, SubmissionRow
from rosters.files import UnreadableFile, read_roster, read_table
from rosters.forecast import forecast_roster
from rosters.results import BadValue, event_id, judge_results, read_results, read_score
from rosters.submission import check, submit
from settings import Settings
from worker import arc_holidays, connect, make_portal
from workflows.client import act, case_status, open_case, start_intake, tell_case
from workflows.contract import (
    IntakeProgress,
    StaffAct,
    assister_workflow_id,
    roster_workflow_id,
)
from workflows.lists import link, ready_made

app = App(
    name="starter.py",
    help="Runs MNsure's Assister Portal Access policy: rosters, results, activations, status."
    " Begin with `starter.py demo` to see it, or `starter.py up` to use it.",
)
rosters = App(name="rosters", help="Submit an agency's roster, check one, look at its verdicts.")
certification = App(name="certification", help="Record what certification records say.")
training = App(name="training", help="Record completed trainings.")
assessment = App(name="assessment", help="Record assessment attempts.")
results = App(name="results", help="Import a learning centre's export, or take a result back.")
agencies = App(name="agencies", help="Agencies and their authorized contacts.")
assister = App(name="assister", help="What is on record of a person.")
trail = App(name="audit", help="The audit trail of every act.")
for each in (rosters, certification, training, assessment, results, agencies, assister, trail):
    app.command(each)

Json = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON object.")]
By = Annotated[str, Parameter(name="--by", help="Your e-mail address.")]
Why = Annotated[str, Parameter(name="--reason", help="Why; no names or addresses in it.")]
At = Annotated[
    datetime | None, Parameter(name="--at", help="When it happened; default now. Needs an offset.")
]
Encoding = Annotated[str, Parameter(help="The file's encoding, where it is not UTF-8.")]


MAX_WORD = 4096
"""Characters of one value: what it is, it may be shown again."""
WATCH_PAUSE = 1.0
"""Seconds between two looks at a case."""


class Refused(Exception):
    """The command did not do what was asked; the text says why and what to do."""


@dataclass
class Session:
    """What a command works with; nothing is opened before it is needed."""

    settings: Settings

    @cached_property
    def database(self) -> Database:
        """The records."""
        return Database(self.settings.records_url)

    async def client(self) -> Client:
        """Temporal.

        Raises:
            Refused: If it cannot be reached.
        """
        try:
            return await connect()
        except RuntimeError:
            raise Refused(
                "Temporal cannot be reached. Start the embedded stack with `starter.py up`, or name"
                " a server in TEMPORAL_ADDRESS."
            ) from None


@asynccontextmanager
async def session() -> AsyncIterator[Session]:
    """Settings and connections for one command."""
    try:
        opened = Session(Settings())
    except ValidationError as error:
        raise Refused(f"The configuration cannot be used: {_mistakes(error)}") from None
    except SettingsError as error:
        raise Refused(f"The configuration cannot be used: {error}") from None
    try:
        yield opened
    finally:
        if "database" in vars(opened):
            await opened.database.close()


# Rosters


@rosters.command(name="submit")
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
        client = await here.client()
        done = await submit(
            here.database, roster, agency_id=agency, roster_type=type, by=by, filename=file.name
        )
        await start_intake(
            client, here.settings.task_queue, done.submission_id, here.settings.terms
        )
        if wait:
            handle = client.get_workflow_handle(roster_workflow_id(done.submission_id))
            with console.err.status("Judging rows and opening cases …"):
                await handle.result()
        if json:
            _print_json({**done._asdict(), **await _roster(here, done.submission_id)})
            return
        if done.new:
            console.out.print(f"Submission {done.submission_id}: {done.rows} rows.")
        else:
            console.out.print(
                f"This is the same roster as submission {done.submission_id}: nothing changes."
            )
        if wait:
            shown = await _roster(here, done.submission_id)
            console.out.print(console.verdicts(shown["rows"]))
        else:
            console.out.print(f"Verdicts: starter.py rosters show {done.submission_id}")


@rosters.command(name="check")
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
    rejected: list[dict[str, Any]] = []
    verdicts: list[Verdict] = []
    with console.err.status("Checking rows …") as progress:
        async with session() as here, _existing_records(here) as records:
            if agency and (records is None or await records.get(Agency, agency) is None):
                raise Refused(
                    f"agency {agency} is not on record. Agencies are recorded with: starter.py"
                    " agencies import FILE"
                )
            client = await here.client() if agency else None
            if json:
                sys.stdout.write(f'{{"file": {_json(file.name)}, "rows": [')
            async for verdict in check(records, roster, type):
                if json:
                    sys.stdout.write(f"{',' if count else ''}\n{_json(verdict.public())}")
                elif verdict.reasons:
                    rejected.append(verdict.public())
                if agency:
                    verdicts.append(verdict)
                count += 1
                if count % 1000 == 0:
                    progress.update(f"Checking rows … {count:,}")
            forecast = None
            if client is not None and records is not None:
                forecast = await forecast_roster(
                    records,
                    verdicts,
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
    if rejected:
        console.out.print(console.verdicts(rejected))
    if roster.ignored:
        console.out.print(f"Columns not used: {', '.join(roster.ignored)}", markup=False)
    console.out.print(f"{count} rows: {count - len(rejected)} accepted, {len(rejected)} rejected.")
    if forecast is not None:
        console.out.print(*console.forecast(forecast), sep="\n")


@rosters.command(name="show")
async def rosters_show(submission: str, *, json: Json = False) -> None:
    """Show a submission's progress and verdicts."""
    async with session() as here:
        shown = await _roster(here, submission)
        client = await here.client()
        handle = client.get_workflow_handle(roster_workflow_id(submission))
        progress = await handle.query("progress", result_type=IntakeProgress)
    if json:
        _print_json({**shown, "stage": progress.stage})
        return
    console.out.print(console.verdicts(shown["rows"]))
    console.out.print(
        f"Stage {progress.stage}: {progress.accepted} accepted, {progress.rejected} rejected,"
        f" {progress.opened} cases told."
    )


@rosters.command(name="release")
async def rosters_release(submission: str, *, by: By, reason: Why, json: Json = False) -> None:
    """Let a roster that is on hold go on."""
    await _update(roster_workflow_id(submission), "release", by, reason, json)


@rosters.command(name="discard")
async def rosters_discard(submission: str, *, by: By, reason: Why, json: Json = False) -> None:
    """Drop a roster that is on hold; it changes nothing."""
    await _update(roster_workflow_id(submission), "discard", by, reason, json)


# Results


@certification.command(name="record")
async def certification_record(
    training_id: str,
    *,
    status: Annotated[str, Parameter(help="certified or not-certified.")],
    valid_through: date | None = None,
    at: At = None,
) -> None:
    """Record an assister's certification (policy before.2)."""
    if status not in ("certified", "not-certified"):
        raise Refused("--status is certified or not-certified")
    facts = {"certified": status == "certified", "valid_through": valid_through}
    await _record(training_id, "certification_recorded", CertificationRecorded, facts, at)


@training.command(name="record")
async def training_record(training_id: str, *, course: str = PORTAL_COURSE, at: At = None) -> None:
    """Record a completed training (policy before.3)."""
    await _record(training_id, "training_completed", TrainingCompleted, {"course": course}, at)


@assessment.command(name="record")
async def assessment_record(
    training_id: str, *, score: str, course: str = PORTAL_COURSE, at: At = None
) -> None:
    """Record an attempt at the assessment, in percent (policy before.4, 2.2)."""
    try:
        facts = {"score": read_score(score), "course": course}
    except BadValue as bad:
        raise Refused(f"--score {bad}") from None
    await _record(training_id, "assessment_scored", AssessmentScored, facts, at)


@results.command(name="import")
async def results_import(
    file: Path, *, encoding: Encoding = "utf-8-sig", json: Json = False
) -> None:
    """Import a learning centre's export; every row gets a verdict.

    Columns: Training ID, Event (certification, training, assessment), Date; Course, Score, Status,
    Valid Through as the event needs them.
    """
    table = read_results(file, encoding)
    shown = []
    async with session() as here:
        client = await here.client()
        with console.err.status("Importing …"):
            for verdict in judge_results(table, datetime.now(UTC)):
                if verdict.fact is not None:
                    await tell_case(
                        client,
                        here.settings.task_queue,
                        verdict.training_id,
                        verdict.signal,
                        verdict.fact,
                        here.settings.terms,
                    )
                shown.append(verdict.public())
    if json:
        _print_json({"rows": shown})
        return
    console.out.print(console.verdicts(shown))


@results.command(name="void")
async def results_void(training_id: str, *, event: str, at: At = None) -> None:
    """Take back a result, by its event id."""
    await _record(training_id, "result_voided", ResultVoided, {"voids": event}, at)


# Accounts


@app.command
async def activate(*, registration_number: str) -> None:
    """Use a registration number, as the portal's page does (policy 3.2)."""
    async with session() as here:
        client = await here.client()
        portal = make_portal(here.settings, here.database)
        activated = await portal.activate(registration_number)
        await relay_activations(portal, client, here.settings.task_queue, here.settings.terms)
    console.out.print(f"The account of {activated.training_id} is active.")


@app.command
async def resend(training_id: str, *, by: By, reason: Why, json: Json = False) -> None:
    """Repeat the activation mail."""
    await _act(training_id, "resend_activation", by, reason, json)


@app.command
async def reissue(training_id: str, *, by: By, reason: Why, json: Json = False) -> None:
    """Void the registration number and mail a new one."""
    await _act(training_id, "reissue_activation", by, reason, json)


@app.command
async def suspend(training_id: str, *, by: By, reason: Why, json: Json = False) -> None:
    """End access until it is reinstated."""
    await _act(training_id, "suspend_access", by, reason, json)


@app.command
async def reinstate(training_id: str, *, by: By, reason: Why, json: Json = False) -> None:
    """End a suspension by staff; the four requirements are checked again."""
    await _act(training_id, "reinstate_access", by, reason, json)


@app.command
async def close(training_id: str, *, by: By, reason: Why, json: Json = False) -> None:
    """End a case and its access."""
    await _act(training_id, "close_case", by, reason, json)


@assister.command(name="correct-email")
async def assister_correct_email(
    training_id: str, *, email: str, by: By, reason: Why, json: Json = False
) -> None:
    """Correct an assister's certification e-mail; mails that waited for it go out."""
    training_id = _training_id(training_id)
    try:
        address = clean_address(email)
    except BadAddress as bad:
        raise Refused(f"{email} {bad}") from None
    if is_generic(address):
        raise Refused(f"{address} is generic; an address of the assister's own is needed (1.2b)")
    async with session() as here, here.database.transaction() as records:
        person = await records.get(Assister, training_id)
        if person is None:
            raise Refused(f"no roster has named {training_id} yet")
        key = mailbox_key(address)
        holder = (await holders(records, [key])).get(key, training_id)
        if holder != training_id:
            raise Refused(f"{address} belongs to another assister already (policy 1.2a)")
        person.email, person.mailbox_key = address, key
        records.add(person)
        await audit.append(
            records,
            assister_workflow_id(training_id),
            "email_corrected",
            at=datetime.now(UTC),
            by=await staff_id(records, by),
            clause="1.2a",
            reason=reason,
        )
    await _act(training_id, "email_corrected", by, reason, json)


# Lookups


@app.command
async def status(training_id: str, *, json: Json = False) -> None:
    """Show what a case waits for, who must act, and by when."""
    training_id = _training_id(training_id)
    async with session() as here:
        shown = await case_status(await here.client(), training_id)
    if json:
        _print_json(shown.model_dump(mode="json"))
        return
    console.out.print(*console.status(shown), sep="\n")


@app.command(name="list")
async def list_(
    *, stage: Stage | None = None, agency: str | None = None, json: Json = False
) -> None:
    """List the cases, by stage or agency."""
    query = ["WorkflowType = 'AssisterAccess'", "ExecutionStatus != 'ContinuedAsNew'"]
    if stage is not None:
        query.append(f"AssisterStage = '{stage}'")
    if agency is not None:
        query.append(f"AgencyId = '{TypeAdapter(AgencyId).validate_python(agency)}'")
    async with session() as here:
        client = await here.client()
        found = [
            {
                "training_id": each.id.removeprefix("assister-"),
                **{
                    name: values[0] if name != "WaitingOn" else list(values)
                    for name, values in each.search_attributes.items()
                    if values and not name.startswith(("Temporal", "Build"))
                },
            }
            async for each in client.list_workflows(" AND ".join(query))
        ]
    if json:
        _print_json(found)
        return
    names = ("AssisterStage", "AssisterType", "AgencyId", "WaitingOn", "NeedsAttention")
    rows = [
        (
            each["training_id"],
            *(_joined(each.get(name)) for name in names),
            each.get("NextDeadline"),
        )
        for each in found
    ]
    columns = ("Training ID", "stage", "type", "agency", "waiting on", "attention", "deadline")
    console.out.print(console.table(f"{len(rows)} cases", columns, rows))


@app.command
async def links(*, agency: str = "", json: Json = False) -> None:
    """Print links to the ready-made lists of the Temporal UI; --agency narrows them to one."""
    agency_id = TypeAdapter(AgencyId).validate_python(agency) if agency else None
    async with session() as here:
        namespace = (await here.client()).namespace
        shown = {
            each.name: link(here.settings.ui_url, namespace, each.query)
            for each in ready_made(datetime.now(UTC), agency_id)
        }
    if json:
        _print_json(shown)
        return
    for name, address in shown.items():
        console.out.print(f"[link={address}]{name}[/link]", style="bold", highlight=False)
        console.out.print(address, highlight=False, markup=False, soft_wrap=True)


@app.command
async def watch(training_id: str) -> None:
    """Show one case as it goes on, until it is closed or Ctrl-C."""
    training_id = _training_id(training_id)
    async with session() as here:
        client = await here.client()
        shown = await case_status(client, training_id)
        with Live(Group(*console.status(shown)), console=console.out) as live:
            while shown.stage != Stage.CLOSED:
                await asyncio.sleep(WATCH_PAUSE)
                shown = await case_status(client, training_id)
                live.update(Group(*console.status(shown)))


@app.command
async def lookup(training_id: str, *, agency: str, by: By, json: Json = False) -> None:
    """Look up an assister's reference number, as a contact of their agency (policy 3.3)."""
    training_id = _training_id(training_id)
    async with session() as here:
        async with here.database.transaction() as records:
            await authorized_contact(records, agency, by)
            await assister_of(records, agency, training_id)
        portal = make_portal(here.settings, here.database)
        number = await portal.reference_number(training_id)
    if number is None:
        raise Refused(f"{training_id} has no account yet")
    if json:
        _print_json({"training_id": training_id, "reference_number": number})
        return
    console.out.print(f"Reference number of {training_id}: {number}")


@trail.command(name="show")
async def audit_show(training_id: str, *, json: Json = False) -> None:
    """Show every act in an assister's case."""
    async with session() as here, here.database.transaction() as records:
        entries = await audit.entries_of(records, assister_workflow_id(_training_id(training_id)))
    if json:
        _print_json([each.model_dump(mode="json") for each in entries])
        return
    rows = [(e.sequence, e.at, e.act, e.by, e.clause, e.details) for e in entries]
    columns = ("", "at", "act", "by", "policy", "details")
    console.out.print(console.table(f"Audit trail of {training_id}", columns, rows))


@trail.command(name="verify")
async def audit_verify(*, heads: Path | None = None, json: Json = False) -> None:
    """Check that no entry was altered, removed or inserted.

    Not to be seen in the trail itself: that the newest entries of a case, or all of them, were
    removed, or that somebody wrote a case anew with hashes that fit. So keep the heads elsewhere,
    `audit verify --json > heads.json`, and compare later: `audit verify --heads heads.json`.
    """
    kept = _read_heads(heads) if heads else None
    async with session() as here, here.database.transaction() as records:
        found = await audit.verify(records, kept)
    if json:
        breaks = [each._asdict() for each in found.breaks]
        _print_json({"entries": found.entries, "heads": found.heads, "breaks": breaks})
    elif found.breaks:
        rows = [tuple(each) for each in found.breaks]
        console.out.print(console.table("Breaks", ("case", "entry", "problem"), rows))
    else:
        newest = list(found.heads.items())
        console.out.print(console.table("Heads", ("case", "hash of the newest entry"), newest))
        console.out.print(f"{found.entries} entries: every chain holds.")
    if found.breaks:
        raise Refused(f"The trail is broken in {len(found.breaks)} places.")


# Operation

AGENCY_COLUMNS = {
    "agency_id": "Agency ID",
    "agency_name": "Agency Name",
    "contact_name": "Contact Name",
    "contact_email": "Contact Email",
}


@agencies.command(name="import")
async def agencies_import(file: Path, *, encoding: Encoding = "utf-8-sig") -> None:
    """Import agencies and their authorized contacts.

    Columns: Agency ID, Agency Name, Contact Name, Contact Email.
    """
    table = read_table(file, AGENCY_COLUMNS, AGENCY_COLUMNS, encoding)
    count = 0
    async with session() as here:
        await migrate_records(here.settings.records_url)
        async with here.database.transaction() as records:
            for row in table:
                try:
                    agency_id = TypeAdapter(AgencyId).validate_python(
                        row.cells["agency_id"].strip()
                    )
                    email = clean_address(row.cells["contact_email"])
                except (ValidationError, BadAddress):
                    raise Refused(
                        f"line {row.line}: Agency ID or Contact Email cannot be used; nothing was"
                        " imported"
                    ) from None
                name, contact = row.cells["agency_name"].strip(), row.cells["contact_name"].strip()
                await record_agency(records, agency_id, name, [(contact, email)])
                count += 1
    console.out.print(f"{count} contacts imported.")


@app.command
async def migrate() -> None:
    """Bring the records' database to the newest schema."""
    async with session() as here:
        await migrate_records(here.settings.records_url)
    console.out.print("The records' schema is up to date.")


@app.command
async def up() -> None:
    """Run the embedded stack until Ctrl-C; its data stays in the data folder."""
    async with session() as here:
        await run_stack(here.settings)


@app.command
async def demo(*, keep: bool = False) -> None:
    """Show the whole policy at work on a roster of its own; leaves nothing running.

    With --keep the stack stays up until Ctrl-C, for a look at the Temporal UI.
    """
    await run_demo(keep=keep)


# Private parts


def _training_id(text: str) -> str:
    try:
        return TypeAdapter(TrainingId).validate_python(text.strip().upper())
    except ValidationError:
        raise Refused(f"{text!r} is not a Training ID: seven letters or digits") from None


async def _record(
    training_id: str, signal_name: str, kind: type[Fact], facts: dict[str, Any], at: datetime | None
) -> None:
    training_id = _training_id(training_id)
    if at is not None and at.tzinfo is None:
        raise Refused("--at needs an offset, such as 2026-11-02T15:04:00-06:00")
    now = datetime.now(UTC)
    if at is not None and at > now:
        raise Refused("--at lies in the future")
    occurred_at = at or now
    try:
        fact = kind(
            event_id=event_id(training_id, signal_name, occurred_at, facts),
            occurred_at=occurred_at,
            **facts,
        )
    except ValidationError as error:
        raise Refused(_mistakes(error)) from None
    async with session() as here:
        client = await here.client()
        await tell_case(
            client, here.settings.task_queue, training_id, signal_name, fact, here.settings.terms
        )
    console.out.print(f"Recorded for {training_id}; event {fact.event_id}.")


async def _act(training_id: str, update: str, by: str, reason: str, as_json: bool) -> None:
    await _update(assister_workflow_id(_training_id(training_id)), update, by, reason, as_json)


async def _update(workflow_id: str, update: str, by: str, reason: str, as_json: bool) -> None:
    async with session() as here:
        async with here.database.transaction() as records:
            who = await staff_id(records, by)
        try:
            order = StaffAct(by=who, reason=reason)
        except ValidationError as error:
            raise Refused(_mistakes(error)) from None
        client = await here.client()
        answer = await act(client, workflow_id, update, order)
    if as_json:
        _print_json({"workflow_id": workflow_id, "answer": answer})
        return
    console.out.print(answer)


def _read_heads(path: Path) -> dict[str, str]:
    """The heads that `audit verify --json` printed."""
    try:
        return TypeAdapter(dict[str, str]).validate_python(json.loads(path.read_text())["heads"])
    except (OSError, ValueError, LookupError, TypeError):
        raise Refused(f"{path} is not what `audit verify --json` printed") from None


async def _roster(here: Session, submission_id: str) -> dict[str, Any]:
    async with here.database.transaction() as records:
        if await records.get(Submission, submission_id) is None:
            raise Refused(f"there is no submission {submission_id}")
        found = select(SubmissionRow).where(SubmissionRow.submission_id == submission_id)
        rows = (await records.exec(found.order_by(col(SubmissionRow.line)))).all()
    return {
        "submission_id": submission_id,
        "rows": [
            {
                "line": each.line,
                "training_id": each.training_id,
                "verdict": each.verdict,
                "reasons": each.reasons,
            }
            for each in rows
        ],
    }


def _mistakes(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, each['loc']))}: {each['msg']}"
        for each in error.errors(include_url=False, include_input=False)
    )


@asynccontextmanager
async def _existing_records(here: Session) -> AsyncIterator[AsyncSession | None]:
    """The records; None where there are none yet, and then nobody holds a mailbox either."""
    try:
        async with here.database.transaction() as records:
            await holders(records, [])
    except (OperationalError, ProgrammingError):
        yield None
        return
    async with here.database.transaction() as records:
        yield records


def _json(value: object) -> str:
    return json.dumps(value, default=str)


def _joined(value: object) -> object:
    return ", ".join(value) if isinstance(value, list) else value


def _print_json(value: object) -> None:
    sys.stdout.write(json.dumps(value, indent=2, default=str) + "\n")


def _reason(error: Exception) -> str | None:
    """What to tell a person of an error that is theirs to mend; None for one that is ours."""
    match error:
        case WorkflowUpdateFailedError():
            return getattr(error.cause, "message", str(error))
        case RPCError(status=RPCStatusCode.NOT_FOUND):
            return "There is no such case. `starter.py list` shows those there are."
        case RPCError():
            return f"Temporal did not answer as expected: {error.message}"
        case WorkflowQueryFailedError():
            return str(error)
        case OperationalError() | ProgrammingError():
            return (
                "The records cannot be used. Is the database up, and was `starter.py migrate` run?"
            )
        case (
            Refused()
            | NotAuthorized()
            | UnreadableFile()
            | ActivationRefused()
            | UnsupportedDatabase()
            | PortInUse()
        ):
            return str(error)
        case ValidationError():
            return _mistakes(error)
    return None


def main(arguments: Iterable[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(30))
    words = list(sys.argv[1:] if arguments is None else arguments)
    if any(len(each) > MAX_WORD or has_controls(each) for each in words):
        console.err.print("A value holds control characters, or is far too long.", style="red")
        return 2
    try:
        app(words, exit_on_error=False, print_error=True, result_action="return_value")
    except CycloptsError:
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        reason = _reason(error)
        if reason is None:
            raise
        console.err.print(reason, style="red", markup=False)
        return 1
    return 0


def _leave(code: int) -> NoReturn:
    # The SDK may abort in the interpreter's own exit (sdk-python 300); all is closed by now.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    # Being told to end is like Ctrl-C: what was started is taken down.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _leave(main())
