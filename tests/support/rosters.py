"""Rosters as agencies send them: a row, a file, a submission and its intake."""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bootstrap import arc_holidays
from intake.files import read_roster
from intake.forecast import RosterForecast, forecast_roster
from intake.submission import check
from policy.requirements import AssisterType
from portal.directory import agency_access
from services import rosters
from services.rosters import record_roster
from tests.support.system import (
    AGENCY,
    System,
    contact_of,
)
from workflows.client import open_case
from workflows.contract import roster_workflow_id

HEADER = (
    "First Name,Last Name,Email,Training ID,Current Employment Status,Assister Portal Access,"
    "Public-Facing Phone Number,Public-Facing Email"
)
NOW = datetime(2026, 11, 20, 18, tzinfo=UTC)
ROW = "Ann,Lee,ann@x.org,ABC1234,Active,Yes,651-555-0142,help@x.org"


def roster_row(training_id: str, access: str = "Yes", email: str = "") -> str:
    """The line of one assister."""
    address = email or f"{training_id.lower()}@assisters.example.org"
    return f"Ann,Lee,{address},{training_id},Active,{access},651-555-0142,help@x.org\n"


def roster_text(*rows: str) -> str:
    """A file with these lines."""
    return "".join((HEADER, "\n", *rows))


def roster_of(*training_ids: str) -> str:
    """A file that approves these assisters."""
    return roster_text(*map(roster_row, training_ids))


def write(folder: Path, text: str | bytes, name: str = "roster.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


async def submit_roster(system: System, *rows: str, agency: str = AGENCY) -> str:
    """Records a roster without starting its intake; returns the submission's id."""
    file = write(system.settings.data_dir, roster_text(*rows))
    submitted = await record_roster(
        system.database,
        read_roster(file),
        agency_id=agency,
        roster_type=AssisterType.NAVIGATOR,
        by=contact_of(agency),
        filename=file.name,
    )
    return submitted.submission_id


async def take_in(
    system: System,
    *rows: str,
    agency: str = AGENCY,
    roster_type: AssisterType = AssisterType.NAVIGATOR,
    wait: bool = True,
) -> str:
    """Submits a roster, and by default waits for the end of its intake."""
    file = write(system.settings.data_dir, roster_text(*rows))
    submitted = await rosters.submit_roster(
        system.connections,
        read_roster(file),
        agency_id=agency,
        roster_type=roster_type,
        by=contact_of(agency),
        filename=file.name,
    )
    if wait:
        intake = system.client.get_workflow_handle(roster_workflow_id(submitted.submission_id))
        await intake.result()
    return submitted.submission_id


async def forecast_of(system: System, folder: Path, content: str) -> RosterForecast:
    path = folder / "check.csv"
    path.write_text(roster_text(content))
    having_access = await agency_access(system.database, system.portal, AGENCY)
    async with system.database.transaction() as session:
        verdicts = [
            verdict async for verdict in check(session, read_roster(path), AssisterType.NAVIGATOR)
        ]
        return await forecast_roster(
            session,
            verdicts,
            agency_id=AGENCY,
            roster_type=AssisterType.NAVIGATOR,
            open_case=partial(open_case, system.client),
            having_access=having_access,
            terms=system.settings.terms,
            holidays=arc_holidays(),
            now=datetime.now(UTC),
        )
