"""What each agency's newest accepted roster row says of a person."""

from collections.abc import Sequence

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from policy.addresses import mailbox_key
from policy.roster import Entry
from records.people import holders
from records.tables import Affiliation, Mailbox, Submission


class MailboxTaken(Exception):
    """An agency names the mailbox for another assister (clause 1.2a)."""


async def lock_affiliations(
    session: AsyncSession, agency_id: str, training_ids: Sequence[str]
) -> None:
    """Reads what the agency said of these people before: no other of its rosters comes between."""
    found = select(Affiliation).where(
        Affiliation.agency_id == agency_id, col(Affiliation.training_id).in_(training_ids)
    )
    await session.exec(found.order_by(col(Affiliation.training_id)).with_for_update())


async def record_affiliation(
    session: AsyncSession, submission: Submission, line: int, entry: Entry
) -> int:
    """Takes an accepted row over, unless a newer one is recorded; returns its mailbox's id.

    Raises:
        MailboxTaken: If an agency's newest row names the mailbox for another assister.
    """
    known = await session.get(Affiliation, (entry.training_id, submission.agency_id))
    if known is not None and known.sequence > submission.sequence:
        return known.mailbox_id
    mailbox = await _mailbox(session, entry)
    assert mailbox.id is not None
    await session.merge(
        Affiliation(
            training_id=entry.training_id,
            agency_id=submission.agency_id,
            assister_type=submission.roster_type,
            first_name=entry.first_name,
            last_name=entry.last_name,
            mailbox_id=mailbox.id,
            public_phone=entry.public_phone,
            public_email=entry.public_email,
            business_address=entry.business_address,
            languages=entry.languages,
            counties=entry.counties,
            approved=entry.approved,
            employed=entry.employed,
            sequence=submission.sequence,
            submission_id=submission.id,
            line=line,
        )
    )
    await session.flush()
    return mailbox.id


async def _mailbox(session: AsyncSession, entry: Entry) -> Mailbox:
    """The mailbox that the row names: its address stays as it was named first, or corrected."""
    key = mailbox_key(entry.email)
    known = (await session.exec(select(Mailbox).where(Mailbox.mailbox_key == key))).first()
    if known is not None and known.training_id == entry.training_id:
        return known
    if known is not None:
        if await holders(session, [key]):
            raise MailboxTaken
        known.mailbox_key = None
        session.add(known)
        await session.flush()
    mailbox = Mailbox(training_id=entry.training_id, email=entry.email, mailbox_key=key)
    session.add(mailbox)
    await session.flush()
    return mailbox
