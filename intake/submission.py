"""A roster's rows: in chunks, as recorded, and with the verdicts that they would get now."""

from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from sqlmodel.ext.asyncio.session import AsyncSession

from policy.addresses import mailbox_key
from policy.requirements import AssisterType
from policy.roster import COLUMNS, Collisions, Entry, Row, Verdict, judge
from policy.text import visible
from records.people import accepted_addresses, holders
from records.tables import SubmissionRow

CHUNK = 500
ItemT = TypeVar("ItemT")


def chunks(items: Iterable[ItemT], size: int = CHUNK) -> Iterator[list[ItemT]]:
    """The items in lists of at most ``size``."""
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


async def check(
    session: AsyncSession | None, roster: Iterable[Row], roster_type: AssisterType
) -> AsyncIterator[Verdict]:
    """Judges the roster as it would be judged now, in file order; changes nothing.

    Args:
        session: The records; None if there are none yet.
        roster: Its rows; they are read twice.
    """
    collisions = Collisions()
    for row in roster:
        collisions.add(row)
    for chunk in chunks(roster):
        taken = await taken_mailboxes(session, chunk) if session is not None else {}
        accepted = await accepted_of(session, chunk) if session is not None else frozenset()
        for row in chunk:
            yield judge(row, roster_type, collisions, taken, accepted)


async def taken_mailboxes(session: AsyncSession, rows: Iterable[Row]) -> dict[str, str]:
    """The Training IDs that hold the mailboxes which the rows name."""
    return await holders(session, _mailboxes(rows))


async def accepted_of(session: AsyncSession, rows: Iterable[Row]) -> frozenset[tuple[str, str]]:
    """Those of the rows' desk-like addresses that staff accepted as personal."""
    return await accepted_addresses(session, _mailboxes(rows))


def _mailboxes(rows: Iterable[Row]) -> list[str]:
    return [mailbox_key(visible(row.cells["email"])) for row in rows]


def as_entry(recorded: SubmissionRow) -> Entry:
    """What an accepted row says, as the verdict recorded it."""
    assert recorded.entry is not None, "an accepted row keeps what it says"
    return Entry(**recorded.entry)


def as_row(recorded: SubmissionRow) -> Row:
    """A recorded row as it was read; without its cells if the person's data were destroyed."""
    cells = dict.fromkeys(COLUMNS, "") | recorded.cells
    return Row(recorded.line, cells, recorded.cells.get("", ""))
