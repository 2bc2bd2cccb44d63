"""The steps of ``RosterIntake``: a verdict for every row, a case for every accepted one.

Both may stop between any two rows and be started again: verdicts follow from the records, upserts
and signals repeat without effect, and a row is marked once its case has been told.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass

from sqlmodel import col, func, select
from sqlmodel.ext.asyncio.session import AsyncSession
from temporalio import activity
from temporalio.client import Client

from intake.submission import CHUNK, accepted_of, as_row, taken_mailboxes
from policy.addresses import mailbox_key
from policy.requirements import AssisterType, RosterRecorded
from policy.roster import Collisions, Entry, Reason, Verdict, judge
from policy.terms import Terms
from portal.directory import Portal, agency_access
from records import audit
from records.database import Database
from records.people import holders
from records.tables import Assister, AuditEntry, Submission, SubmissionRow
from workflows import steps
from workflows.client import tell_case
from workflows.contract import assister_workflow_id

SIGNALS_AT_ONCE = 20


@dataclass(frozen=True)
class IntakeActivities:
    """What the intake asks of the records and of the cases."""

    database: Database
    portal: Portal
    client: Client
    task_queue: str

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
            entries = await self._judged(request.submission_id, rows, collisions)
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
        """Tells the next accepted rows' cases, opening those that are not open."""
        async with self.database.transaction() as session:
            submission = await session.get_one(Submission, request.submission_id)
            waiting = select(SubmissionRow).where(
                SubmissionRow.submission_id == submission.id,
                SubmissionRow.verdict == "accepted",
                col(SubmissionRow.opened).is_(False),
            )
            rows = (
                await session.exec(waiting.order_by(col(SubmissionRow.line)).limit(CHUNK))
            ).all()
            # In one order: another roster may name the same people, and each waits for a person.
            rows = sorted(rows, key=lambda each: each.training_id)
            recorded = [each for each in rows if await _record_assister(session, submission, each)]
        places = asyncio.Semaphore(SIGNALS_AT_ONCE)

        async def tell(row: SubmissionRow) -> None:
            async with places:
                await self._tell(submission, row, request.terms)
                activity.heartbeat(row.line)

        await asyncio.gather(*(tell(each) for each in recorded))
        async with self.database.transaction() as session:
            for each in recorded:
                each.opened = True
                await session.merge(each)
            await session.flush()
            return await _opened(session, submission.id)

    async def _tell(self, submission: Submission, row: SubmissionRow, terms: Terms) -> None:
        entry = _entry(row, submission)
        fact = RosterRecorded(
            event_id=f"{submission.id}.{row.line}",
            occurred_at=submission.submitted_at,
            agency_id=submission.agency_id,
            assister_type=AssisterType(submission.roster_type),
            approved=entry.approved,
            employed=entry.employed,
            contact_changed=row.contact_changed,
        )
        await tell_case(
            self.client, self.task_queue, entry.training_id, "roster_recorded", fact, terms
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
        self, submission_id: str, rows: Sequence[SubmissionRow], collisions: Collisions
    ) -> list[Entry]:
        async with self.database.transaction() as session:
            submission = await session.get_one(Submission, submission_id)
            roster_type = AssisterType(submission.roster_type)
            read = [as_row(row) for row in rows]
            taken = await taken_mailboxes(session, read)
            accepted = await accepted_of(session, read)
            verdicts = [judge(row, roster_type, collisions, taken, accepted) for row in read]
            for recorded, verdict in zip(rows, verdicts, strict=True):
                await session.merge(_with_verdict(recorded, verdict))
        return [each.entry for each in verdicts if each.entry is not None]


def _with_verdict(row: SubmissionRow, verdict: Verdict) -> SubmissionRow:
    row.verdict = verdict.verdict
    row.training_id = verdict.training_id
    row.reasons = [reason._asdict() for reason in verdict.reasons]
    return row


def _entry(row: SubmissionRow, submission: Submission) -> Entry:
    verdict = judge(as_row(row), AssisterType(submission.roster_type), Collisions(), {}, None)
    assert verdict.entry is not None, "an accepted row stays acceptable"
    return verdict.entry


async def _record_assister(
    session: AsyncSession, submission: Submission, row: SubmissionRow
) -> bool:
    """Takes a row's data over; False where another roster took the mailbox meanwhile."""
    entry = _entry(row, submission)
    key = mailbox_key(entry.email)
    holder = (await holders(session, [key])).get(key, entry.training_id)
    if holder != entry.training_id:
        reason = Reason("Email", "belongs to another assister since this roster came", "1.2a")
        session.add(_with_verdict(row, Verdict(row.line, entry.training_id, [reason])))
        return False
    known = await session.get(Assister, entry.training_id, with_for_update=True)
    case_id = assister_workflow_id(entry.training_id)
    told = [
        each for each in await audit.entries_of(session, case_id) if each.act == "roster_recorded"
    ]
    if not any(each.details["submission_id"] == submission.id for each in told):
        await audit.append(
            session,
            case_id,
            "roster_recorded",
            at=submission.submitted_at,
            by=f"contact-{submission.contact_id}",
            clause="1.1",
            agency_id=submission.agency_id,
            submission_id=submission.id,
            line=row.line,
            approved=entry.approved,
            employed=entry.employed,
        )
    if known is not None and not _speaks(submission, entry, known, told):
        return True
    # Kept with the row: after a crash the comparison would find the address already taken over.
    if known is not None and known.mailbox_key != key:
        row.contact_changed = True
        session.add(row)
    await session.merge(
        Assister(
            training_id=entry.training_id,
            agency_id=submission.agency_id,
            assister_type=submission.roster_type,
            first_name=entry.first_name,
            last_name=entry.last_name,
            email=entry.email,
            mailbox_key=key,
            public_phone=entry.public_phone,
            public_email=entry.public_email,
            business_address=entry.business_address,
            languages=entry.languages,
            counties=entry.counties,
            submission_id=submission.id,
            updated_at=submission.submitted_at,
        )
    )
    await session.flush()
    return True


def _speaks(
    submission: Submission, entry: Entry, known: Assister, told: Iterable[AuditEntry]
) -> bool:
    """Whether this roster may say who the assister is, as the case decides it (clause 1.1).

    That is the agency that approved last, in whatever order rosters are recorded.

    Args:
        told: What rosters said before, whether they spoke or not.
    """
    if known.agency_id == submission.agency_id:
        return submission.submitted_at >= known.updated_at
    approvals = (
        each.at
        for each in told
        if each.details["agency_id"] == known.agency_id
        and each.details["approved"]
        and each.details["employed"]
    )
    return entry.grants and all(each < submission.submitted_at for each in approvals)


async def _opened(session: AsyncSession, submission_id: str) -> steps.Opened:
    counts = (
        select(SubmissionRow.opened, func.count())
        .where(SubmissionRow.submission_id == submission_id, SubmissionRow.verdict == "accepted")
        .group_by(col(SubmissionRow.opened))
    )
    by_state = {opened: count for opened, count in await session.exec(counts)}
    return steps.Opened(opened=by_state.get(True, 0), remaining=by_state.get(False, 0))
