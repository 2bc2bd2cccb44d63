"""Submitting a roster: into the records first, whole or not at all."""

import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import NamedTuple, TypeVar

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from policy.addresses import mailbox_key, visible
from policy.requirements import AssisterType
from policy.roster import Collisions, Row, Verdict, judge
from records import audit
from records.database import Database
from records.people import authorized_contact, holders
from records.tables import Agency, Submission, SubmissionRow

CHUNK = 500
ItemT = TypeVar("ItemT")


class Submitted(NamedTuple):
    """What became of a roster.

    Attributes:
        new: False where the agency's last roster of this type was the same.
    """

    submission_id: str
    rows: int
    new: bool


def chunks(items: Iterable[ItemT], size: int = CHUNK) -> Iterator[list[ItemT]]:
    """The items in lists of at most ``size``."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


async def submit(
    database: Database,
    roster: Iterable[Row],
    *,
    agency_id: str,
    roster_type: AssisterType,
    by: str,
    filename: str,
) -> Submitted:
    """Records a roster sent by an agency's authorized contact (clause 1).

    Args:
        roster: Its rows, read twice.
        by: The sender's e-mail address.

    Raises:
        NotAuthorized: If the sender is no authorized contact of the agency.
        UnreadableFile: If the file turns out to be damaged; then nothing is recorded.
    """
    digest, rows = hashlib.sha256(), 0
    for row in roster:
        digest.update(json.dumps([row.line, row.cells, row.fault], sort_keys=True).encode())
        rows += 1
    content = digest.hexdigest()
    async with database.transaction() as session:
        contact = await authorized_contact(session, agency_id, by)
        assert contact.id is not None
        # Submissions of one agency wait for each other: which came last decides what is new.
        await session.get(Agency, agency_id, with_for_update=True)
        last = await _last(session, agency_id, roster_type)
        if last is not None and last.digest == content:
            return Submitted(last.id, last.rows, new=False)
        number = last.number + 1 if last else 1
        identity = f"{agency_id}|{roster_type}|{content}|{number}"
        submission = Submission(
            id=hashlib.sha256(identity.encode()).hexdigest()[:12],
            agency_id=agency_id,
            roster_type=roster_type,
            contact_id=contact.id,
            filename=filename[:200],
            digest=content,
            rows=rows,
            number=number,
            submitted_at=datetime.now(UTC),
        )
        session.add(submission)
        await session.flush()
        for chunk in chunks(roster):
            session.add_all(_recorded(submission.id, row) for row in chunk)
            await session.flush()
            session.expunge_all()
        await audit.append(
            session,
            f"roster-{submission.id}",
            "roster_submitted",
            at=submission.submitted_at,
            by=f"contact-{contact.id}",
            clause="1",
            agency_id=agency_id,
            roster_type=roster_type.value,
            rows=rows,
            digest=content,
        )
        return Submitted(submission.id, rows, new=True)


async def check(
    session: AsyncSession | None, roster: Iterable[Row], roster_type: AssisterType
) -> AsyncIterator[Verdict]:
    """The verdicts that the roster would get now, in file order; changes nothing.

    Args:
        session: The records; None where there are none yet.
        roster: Its rows, read twice.
    """
    collisions = Collisions()
    for row in roster:
        collisions.add(row)
    for chunk in chunks(roster):
        taken = await taken_mailboxes(session, chunk) if session is not None else {}
        for row in chunk:
            yield judge(row, roster_type, collisions, taken)


async def taken_mailboxes(session: AsyncSession, rows: Iterable[Row]) -> dict[str, str]:
    """Who holds the mailboxes that the rows name, where somebody does."""
    return await holders(session, [mailbox_key(visible(row.cells["email"])) for row in rows])


def _recorded(submission_id: str, row: Row) -> SubmissionRow:
    # PostgreSQL stores no NUL in JSON text.
    cells = {name: cell.replace("\0", "\x01") for name, cell in row.cells.items()}
    return SubmissionRow(
        submission_id=submission_id,
        line=row.line,
        cells=cells | {"": row.fault},
        reasons=[],
    )


def as_row(recorded: SubmissionRow) -> Row:
    """A recorded row as it was read."""
    return Row(recorded.line, recorded.cells, recorded.cells.get("", ""))


async def _last(
    session: AsyncSession, agency_id: str, roster_type: AssisterType
) -> Submission | None:
    found = select(Submission).where(
        Submission.agency_id == agency_id, Submission.roster_type == roster_type
    )
    return (await session.exec(found.order_by(col(Submission.number).desc()).limit(1))).first()
