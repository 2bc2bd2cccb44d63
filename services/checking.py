"""The verdicts and the forecast of a roster, without submitting it."""

from collections.abc import Container, Sequence
from datetime import UTC, date, datetime
from functools import partial
from typing import NamedTuple

from intake.forecast import RosterForecast, forecast_roster
from intake.submission import check
from policy.requirements import AssisterType
from policy.roster import Row, Verdict
from portal.directory import agency_access
from services.connections import Connections
from workflows.client import open_case


class Checked(NamedTuple):
    """A roster's verdicts as they would be now, and what would happen."""

    verdicts: Sequence[Verdict]
    forecast: RosterForecast


async def check_roster(
    to: Connections,
    roster: Sequence[Row],
    *,
    agency_id: str,
    roster_type: AssisterType,
    holidays: Container[date],
) -> Checked:
    """Judges every row and forecasts its effect on a copy of its case; changes nothing."""
    having_access = await agency_access(to.database, to.portal, agency_id)
    async with to.database.snapshot() as session:
        verdicts = [each async for each in check(session, roster, roster_type)]
        forecast = await forecast_roster(
            session,
            verdicts,
            agency_id=agency_id,
            roster_type=roster_type,
            open_case=partial(open_case, to.client),
            having_access=having_access,
            terms=to.terms,
            holidays=holidays,
            now=datetime.now(UTC),
            for_agency=True,
        )
    return Checked(verdicts, forecast)
