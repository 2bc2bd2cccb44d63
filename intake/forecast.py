"""The forecast of a roster: what would happen if it were submitted now."""

import asyncio
from collections.abc import Awaitable, Callable, Container, Iterable, Set
from datetime import date, datetime

from pydantic import BaseModel
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from intake.submission import chunks
from policy.addresses import mailbox_key
from policy.case import Case, Earlier
from policy.forecast import CaseForecast, foresee, known_agencies
from policy.requirements import AssisterType, RosterRecorded
from policy.roster import Entry, Verdict
from policy.terms import Terms
from records.closed_cases import earlier_of
from records.submissions import newest_sequence
from records.tables import Affiliation, ClosedCase, Mailbox

QUERIES_AT_ONCE = 20
FORECAST = "forecast"
NEW_MAILBOX = 2**31 - 1


class RosterForecast(BaseModel):
    """What would happen.

    Attributes:
        cases: The cases that would open or change.
        unchanged: How many accepted rows would change nothing.
        missing: Training IDs on record for this agency and type that the roster does not name.
            Nothing changes for them.
        held: The mass-change fuse would hold the roster for a person.
    """

    cases: list[CaseForecast] = []
    unchanged: int = 0
    missing: list[str] = []
    suspensions: int = 0
    with_access: int = 0
    held: bool = False


async def forecast_roster(
    session: AsyncSession,
    verdicts: Iterable[Verdict],
    *,
    agency_id: str,
    roster_type: AssisterType,
    open_case: Callable[[str], Awaitable[Case | None]],
    having_access: Set[str],
    terms: Terms,
    holidays: Container[date],
    now: datetime,
    for_agency: bool = False,
) -> RosterForecast:
    """Plays every accepted row on a copy of its case.

    Args:
        verdicts: Of all rows, because a rejected row names its assister, too.
        open_case: Returns an assister's case as it stands; None if none is open.
        having_access: The agency's assisters who have access now.
        for_agency: The agency reads it. For an assister whose case does not know the agency, the
            forecast is then that of an unknown person: otherwise a row with any Training ID would
            show that case.
    """
    forecast = RosterForecast()
    places = asyncio.Semaphore(QUERIES_AT_ONCE)

    newest = await newest_sequence(session) + 1

    async def one(entry: Entry, mailbox: int, earlier: Earlier) -> CaseForecast:
        async with places:
            case = await open_case(entry.training_id)
        known = known_agencies(case, earlier)
        if for_agency and known and agency_id not in known:
            case, earlier = None, Earlier()
        row = RosterRecorded(
            event_id=FORECAST,
            occurred_at=now,
            agency_id=agency_id,
            assister_type=roster_type,
            approved=entry.approved,
            employed=entry.employed,
            sequence=newest,
            mailbox=mailbox,
        )
        unopened = Case(training_id=entry.training_id, opened_at=now, terms=terms)
        return foresee(case or unopened, row, earlier, now, holidays)

    judged = list(verdicts)
    named = {each.training_id for each in judged}
    for chunk in chunks(each.entry for each in judged if each.entry is not None):
        ids = [each.training_id for each in chunk]
        mailboxes = await _mailboxes(session, chunk)
        closed = {
            each.training_id: each
            for each in await session.exec(
                select(ClosedCase).where(col(ClosedCase.training_id).in_(ids))
            )
        }
        foreseen = await asyncio.gather(
            *(
                one(each, mailboxes[each.training_id], earlier_of(closed.get(each.training_id)))
                for each in chunk
            )
        )
        forecast.cases += [each for each in foreseen if each.changes]
        forecast.unchanged += sum(not each.changes for each in foreseen)
        forecast.suspensions += sum(not e.grants and e.training_id in having_access for e in chunk)
    on_record = select(Affiliation.training_id).where(
        Affiliation.agency_id == agency_id, Affiliation.assister_type == roster_type
    )
    forecast.missing = sorted(each for each in await session.exec(on_record) if each not in named)
    forecast.with_access = len(having_access)
    forecast.held = terms.holds(forecast.suspensions, forecast.with_access)
    return forecast


async def _mailboxes(session: AsyncSession, entries: Iterable[Entry]) -> dict[str, int]:
    """The mailboxes' ids by Training ID; a new mailbox gets an id that no other has."""
    keys = {mailbox_key(each.email): each.training_id for each in entries}
    found = select(Mailbox).where(col(Mailbox.mailbox_key).in_(sorted(keys)))
    known = {each.mailbox_key: each for each in await session.exec(found)}
    return {
        training_id: mailbox.id
        if (mailbox := known.get(key)) is not None
        and mailbox.training_id == training_id
        and mailbox.id is not None
        else NEW_MAILBOX
        for key, training_id in keys.items()
    }
