"""Whether a roster that an agency sends again would change anything."""

from sqlmodel import col, exists, or_, select
from sqlmodel.ext.asyncio.session import AsyncSession

from intake.submission import accepted_of, as_row, taken_mailboxes
from policy.requirements import AssisterType
from policy.roster import Collisions, judge
from records.tables import Affiliation, AuditEntry, ClosedCase, Mailbox, Submission, SubmissionRow
from workflows.contract import roster_workflow_id


async def changes_nothing(session: AsyncSession, last: Submission) -> bool:
    """Whether judging the agency's last roster again would change nothing.

    It would change something if staff discarded it, if another roster, a correction or the end of
    an access came after it, or if a rejected row would now be accepted. In these cases our own
    mails tell people to send the roster again.
    """
    if await _discarded(session, last):
        return False
    own = (
        select(SubmissionRow.line)
        .where(SubmissionRow.submission_id == last.id, SubmissionRow.verdict == "accepted")
        .join(Affiliation, col(Affiliation.training_id) == col(SubmissionRow.training_id))
        .join(Mailbox, col(Mailbox.id) == col(Affiliation.mailbox_id))
        .outerjoin(ClosedCase, col(ClosedCase.training_id) == col(SubmissionRow.training_id))
        .where(
            or_(
                col(Affiliation.sequence) > last.sequence,
                col(Mailbox.corrected),
                col(ClosedCase.ended) >= last.sequence,
            )
        )
    )
    if (await session.exec(own.limit(1))).first() is not None:
        return False
    return not await _accepts_more(session, last)


async def _discarded(session: AsyncSession, last: Submission) -> bool:
    found = exists().where(
        col(AuditEntry.case_id) == roster_workflow_id(last.id), col(AuditEntry.act) == "discard"
    )
    return bool((await session.exec(select(found))).one())


async def _accepts_more(session: AsyncSession, last: Submission) -> bool:
    """Whether a rejected row would be accepted now."""
    own = select(SubmissionRow).where(SubmissionRow.submission_id == last.id)
    rejected = [
        as_row(each) for each in await session.exec(own.where(SubmissionRow.verdict == "rejected"))
    ]
    if not rejected:
        return False
    collisions = Collisions()
    for each in await session.exec(own.execution_options(yield_per=1000)):
        collisions.add(as_row(each))
    taken = await taken_mailboxes(session, rejected)
    addresses = await accepted_of(session, rejected)
    kind = AssisterType(last.roster_type)
    verdicts = (judge(each, kind, collisions, taken, addresses) for each in rejected)
    return any(each.verdict == "accepted" for each in verdicts)
