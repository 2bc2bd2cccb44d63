"""What each agency's newest accepted roster row says of a person."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from policy.addresses import mailbox_key
from policy.roster import Entry
from records.people import holders
from records.tables import Affiliation, Mailbox, Submission


async def record_affiliations(
    session: AsyncSession, submission: Submission, entries: Mapping[int, Entry]
) -> dict[int, int]:
    """Records accepted rows, unless a newer one of the agency is recorded; in a few statements.

    Args:
        entries: What the rows say, by line.

    Returns:
        The mailboxes' ids, by line. A row is missing if an agency's newest row names its mailbox
        for another assister (clause 1.2a).
    """
    # The lock keeps the agency's other rosters out; its one order prevents a deadlock.
    found = select(Affiliation).where(
        Affiliation.agency_id == submission.agency_id,
        col(Affiliation.training_id).in_([each.training_id for each in entries.values()]),
    )
    locked = found.order_by(col(Affiliation.training_id)).with_for_update()
    known = {each.training_id: each for each in await session.exec(locked)}
    newer = {
        line: known[each.training_id].mailbox_id
        for line, each in entries.items()
        if each.training_id in known and known[each.training_id].sequence > submission.sequence
    }
    taken_over = {line: each for line, each in entries.items() if line not in newer}
    mailboxes = await _mailboxes(session, list(taken_over.values()))
    recorded = {}
    for line, entry in taken_over.items():
        mailbox = mailboxes.get(entry.training_id)
        if mailbox is None:
            continue
        assert mailbox.id is not None
        said: dict[str, Any] = {
            "assister_type": submission.roster_type,
            "first_name": entry.first_name,
            "last_name": entry.last_name,
            "mailbox_id": mailbox.id,
            "public_phone": entry.public_phone,
            "public_email": entry.public_email,
            "business_address": entry.business_address,
            "languages": entry.languages,
            "counties": entry.counties,
            "approved": entry.approved,
            "employed": entry.employed,
            "sequence": submission.sequence,
            "submission_id": submission.id,
            "line": line,
        }
        affiliation = known.get(entry.training_id) or Affiliation(
            training_id=entry.training_id, agency_id=submission.agency_id, **said
        )
        session.add(affiliation.sqlmodel_update(said))
        recorded[line] = mailbox.id
    await session.flush()
    return recorded | newer


async def _mailboxes(session: AsyncSession, entries: Sequence[Entry]) -> dict[str, Mailbox]:
    """The mailboxes that the rows name, by Training ID, without those of other assisters.

    An address stays as a roster first named it, or as staff corrected it.
    """
    keys = {mailbox_key(each.email): each for each in entries}
    found = select(Mailbox).where(col(Mailbox.mailbox_key).in_(sorted(keys)))
    recorded = {each.mailbox_key: each for each in await session.exec(found)}
    others = [
        key
        for key, entry in keys.items()
        if key in recorded and recorded[key].training_id != entry.training_id
    ]
    held = await holders(session, others) if others else {}
    for key in others:
        if key not in held:
            recorded.pop(key).mailbox_key = None
    # Mailboxes that are free lose their key first, so that others can take it.
    await session.flush()
    own = {}
    for key, entry in keys.items():
        if key in held:
            continue
        mailbox = recorded.get(key) or Mailbox(
            training_id=entry.training_id, email=entry.email, mailbox_key=key
        )
        session.add(mailbox)
        own[entry.training_id] = mailbox
    await session.flush()
    return own
