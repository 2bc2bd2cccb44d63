"""The steps of ``RosterIntake``: a verdict for every row, a case for every accepted one.

Both may stop between any two rows and start again: a row is judged once, a repeated upsert or
signal has no effect, and a row is marked as told only after its case was told.
"""

import asyncio
from collections.abc import AsyncIterator, Collection, Container, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime

from sqlmodel import col, func, select, update
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from activities.results import TELL_TIMEOUT
from intake.submission import CHUNK, accepted_of, as_entry, as_row, taken_mailboxes
from policy import calendar
from policy.requirements import AssisterType, RosterRecorded
from policy.roster import Collisions, Entry, Reason, Verdict, judge
from policy.terms import Terms
from portal.directory import Portal, agency_access
from records import audit
from records.affiliations import record_affiliations
from records.closed_cases import with_earlier
from records.database import Database
from records.tables import Submission, SubmissionRow
from workflows import steps
from workflows.client import tell_case
from workflows.contract import FirstCase, assister_workflow_id

SIGNALS_AT_ONCE = 20


@dataclass(frozen=True)
class IntakeActivities:
    """The steps of ``RosterIntake``, mail excepted."""

    database: Database
    portal: Portal
    client: Client
    task_queue: str
    holidays: Container[date]

    @activity.defn(name=steps.JUDGE_ROSTER.name)
    async def judge_roster(self, request: steps.SubmissionRequest) -> steps.Judged:
        """Gives every row its verdict (clauses 1.1 to 1.3b)."""
        async with self.database.transaction() as session:
            submission = await session.get_one(Submission, request.submission_id)
        collisions = Collisions()
        async for rows in self._chunks(request.submission_id):
            for row in rows:
                collisions.add(as_row(row))
        having = await agency_access(self.database, self.portal, submission.agency_id)
        accepted = suspensions = 0
        async for rows in self._chunks(request.submission_id):
            entries = await self._judged(submission, rows, collisions)
            accepted += len(entries)
            suspensions += sum(not e.grants and e.training_id in having for e in entries)
        return steps.Judged(
            agency_id=submission.agency_id,
            rows=submission.rows,
            accepted=accepted,
            rejected=submission.rows - accepted,
            suspensions=suspensions,
            with_access=len(having),
        )

    @activity.defn(name=steps.OPEN_CASES.name)
    async def open_cases(self, request: steps.SubmissionRequest) -> steps.Opened:
        """Tells the next accepted rows' cases, opening those that are not open.

        A case that cannot be told keeps its row for a later attempt, after all the others.

        Raises:
            ApplicationError: If none of the cases that are left could be told.
        """
        async with self.database.transaction() as session:
            submission = await session.get_one(Submission, request.submission_id)
            recorded = await _record_rows(session, submission)
        people = [row.training_id for row, _ in recorded]
        first = await first_cases(self.database, self.portal, people, request.terms, self.holidays)
        places = asyncio.Semaphore(SIGNALS_AT_ONCE)
        failures: dict[int, str] = {}

        async def tell(row: SubmissionRow, mailbox: int) -> None:
            async with places:
                try:
                    async with asyncio.timeout(TELL_TIMEOUT):
                        case = first.get(row.training_id)
                        await self._tell(submission, row, mailbox, request.terms, case)
                except (RPCError, TimeoutError) as error:
                    failures[row.line] = str(error).partition("\n")[0] or "no answer in time"
                activity.heartbeat(row.line)

        await asyncio.gather(*(tell(row, mailbox) for row, mailbox in recorded))
        told = [row.line for row, _ in recorded if row.line not in failures]
        rows = update(SubmissionRow).where(col(SubmissionRow.submission_id) == submission.id)
        line = col(SubmissionRow.line)
        async with self.database.transaction() as session:
            await session.exec(rows.where(line.in_(told)).values(opened=True))
            again = rows.where(line.in_(list(failures)))
            await session.exec(again.values(attempts=col(SubmissionRow.attempts) + 1))
            opened = await _opened(session, submission.id)
        if failures and not told:
            why = next(iter(failures.values()))
            raise ApplicationError(f"{opened.remaining} cases cannot be told: {why}")
        return opened

    async def _tell(
        self,
        submission: Submission,
        row: SubmissionRow,
        mailbox: int,
        terms: Terms,
        first: FirstCase | None,
    ) -> None:
        entry = as_entry(row)
        fact = RosterRecorded(
            event_id=f"{submission.id}.{row.line}",
            # The sender's clock may be ahead, and a case refuses a fact from the future.
            occurred_at=min(submission.submitted_at, datetime.now(UTC)),
            agency_id=submission.agency_id,
            assister_type=AssisterType(submission.roster_type),
            approved=entry.approved,
            employed=entry.employed,
            sequence=submission.sequence,
            mailbox=mailbox,
        )
        await tell_case(
            self.client, self.task_queue, entry.training_id, "roster_recorded", fact, terms, first
        )

    async def _chunks(self, submission_id: str) -> AsyncIterator[Sequence[SubmissionRow]]:
        line = 0
        while True:
            async with self.database.transaction() as session:
                after = select(SubmissionRow).where(
                    SubmissionRow.submission_id == submission_id, SubmissionRow.line > line
                )
                rows = await session.exec(after.order_by(col(SubmissionRow.line)).limit(CHUNK))
                chunk = rows.all()
            if not chunk:
                return
            yield chunk
            line = chunk[-1].line
            activity.heartbeat(line)

    async def _judged(
        self, submission: Submission, rows: Sequence[SubmissionRow], collisions: Collisions
    ) -> list[Entry]:
        """Judges the rows that have no verdict yet; returns what the accepted ones say."""
        roster_type = AssisterType(submission.roster_type)
        waiting = [each for each in rows if each.verdict is None]
        read = [as_row(each) for each in waiting]
        async with self.database.transaction() as session:
            taken = await taken_mailboxes(session, read)
            accepted = await accepted_of(session, read)
            for row, cells in zip(waiting, read, strict=True):
                verdict = judge(cells, roster_type, collisions, taken, accepted)
                session.add(_with_verdict(row, verdict))
        return [as_entry(each) for each in rows if each.verdict == "accepted"]


async def first_cases(
    database: Database,
    portal: Portal,
    training_ids: Collection[str],
    terms: Terms,
    holidays: Container[date],
) -> dict[str, FirstCase]:
    """What opens a case of each assister of whom neither records nor portal know an earlier one.

    An account whose case Temporal has lost must be found: its access would not end with the new
    case.
    """
    now = datetime.now(UTC)
    async with database.snapshot() as session:
        earlier = await with_earlier(session, training_ids)
    earlier |= await portal.commanded(training_ids)
    reminders = calendar.reminders(now, terms.requirement_reminder_days, holidays)
    first = FirstCase(as_of=now, reminders_at=reminders)
    return {each: first for each in training_ids if each not in earlier}


def _with_verdict(row: SubmissionRow, verdict: Verdict) -> SubmissionRow:
    row.verdict = verdict.verdict
    row.training_id = verdict.training_id
    row.reasons = [reason._asdict() for reason in verdict.reasons]
    row.entry = asdict(verdict.entry) if verdict.entry is not None else None
    return row


async def _record_rows(
    session: AsyncSession, submission: Submission
) -> list[tuple[SubmissionRow, int]]:
    """Takes over the next rows whose cases wait to be told; returns them with their mailboxes.

    If another roster took its mailbox meanwhile, a row is rejected after all.
    """
    waiting = select(SubmissionRow).where(
        SubmissionRow.submission_id == submission.id,
        SubmissionRow.verdict == "accepted",
        col(SubmissionRow.opened).is_(False),
    )
    first = waiting.order_by(col(SubmissionRow.attempts), col(SubmissionRow.line))
    # Another roster may lock the same people at the same time: one order prevents a deadlock.
    rows = sorted(await session.exec(first.limit(CHUNK)), key=lambda each: each.training_id)
    entries = {each.line: as_entry(each) for each in rows}
    mailboxes = await record_affiliations(session, submission, entries)
    for row in rows:
        if row.line not in mailboxes:
            reason = Reason("Email", "belongs to another assister since this roster came", "1.2a")
            session.add(_with_verdict(row, Verdict(row.line, row.training_id, [reason])))
    recorded = [(each, mailboxes[each.line]) for each in rows if each.line in mailboxes]
    await audit.append_each(
        await session.connection(),
        "roster_recorded",
        {
            assister_workflow_id(row.training_id): {
                "agency_id": submission.agency_id,
                "submission_id": submission.id,
                "line": row.line,
                "approved": entries[row.line].approved,
                "employed": entries[row.line].employed,
            }
            for row, _ in recorded
        },
        key=f"roster-{submission.id}",
        at=submission.submitted_at,
        by=f"contact-{submission.contact_id}",
        clause="1.1",
    )
    return recorded


async def _opened(session: AsyncSession, submission_id: str) -> steps.Opened:
    counts = (
        select(SubmissionRow.opened, func.count())
        .where(SubmissionRow.submission_id == submission_id, SubmissionRow.verdict == "accepted")
        .group_by(col(SubmissionRow.opened))
    )
    by_state = {opened: count for opened, count in await session.exec(counts)}
    return steps.Opened(opened=by_state.get(True, 0), remaining=by_state.get(False, 0))
