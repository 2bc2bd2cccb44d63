"""The audit trail: append-only, one hash chain per case.

An entry is written in the transaction of the act that it records, so one never exists without the
other. Each entry's hash covers its content and the hash before it: an altered, removed or inserted
entry breaks the chain. A chain cannot show that its newest entries were removed, or that somebody
wrote all of it anew with fitting hashes. Heads that are kept elsewhere show that: one for each
case, or one for the whole trail.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import func, text
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from records.database import Database, lock, lock_each
from records.tables import AuditEntry


class Break(NamedTuple):
    """A place where a chain is broken."""

    case_id: str
    sequence: int
    problem: str


class Verification(NamedTuple):
    """The result of a check of the whole trail."""

    entries: int
    heads: dict[str, str]
    breaks: list[Break]


async def append(
    session: AsyncSession,
    case_id: str,
    act: str,
    *,
    at: datetime,
    by: str,
    clause: str = "",
    key: str | None = None,
    after: AuditEntry | None = None,
    **details: Any,
) -> AuditEntry:
    """Adds an entry to a case's chain, in the caller's transaction.

    Details hold ids, dates and scores, no personal data: people may ask to have their data removed,
    and the trail stays.

    Args:
        key: Names the act within its case. If the case has an entry with this key, no entry is
            added and that one is returned.
        after: The case's newest entry, if this transaction has just added it.
    """
    last = after
    if last is None:
        # Without the lock, two transactions on one case could both read the same last entry.
        await lock(session, case_id)
        chain = select(AuditEntry).where(AuditEntry.case_id == case_id)
        if key is not None:
            written = (await session.exec(chain.where(AuditEntry.key == key))).first()
            if written is not None:
                return written
        newest = chain.order_by(col(AuditEntry.sequence).desc()).limit(1)
        last = (await session.exec(newest)).first()
    entry = _entry(case_id, act, last, at, by, clause, key, details)
    session.add(entry)
    await session.flush()
    return entry


async def append_order(
    session: AsyncSession,
    case_id: str,
    act: str,
    order_id: str,
    *,
    at: datetime,
    by: str,
    reason: str,
) -> None:
    """Enters what staff ordered, each order once, whether its case was open or closed."""
    await append(session, case_id, act, key=f"order-{order_id}", at=at, by=by, reason=reason)


async def append_each(
    session: AsyncSession,
    act: str,
    details: Mapping[str, Mapping[str, Any]],
    *,
    key: str,
    at: datetime,
    by: str,
    clause: str,
) -> None:
    """Adds the same act to many chains, as `append` does, in a few statements.

    Args:
        details: By case.
    """
    await lock_each(session, sorted(details))
    chains = select(AuditEntry).where(col(AuditEntry.case_id).in_(list(details)))
    written = {each.case_id for each in await session.exec(chains.where(AuditEntry.key == key))}
    newest = select(AuditEntry.case_id, func.max(AuditEntry.sequence)).where(
        col(AuditEntry.case_id).in_([each for each in details if each not in written])
    )
    ends = newest.group_by(AuditEntry.case_id).subquery()
    last = select(AuditEntry).join(
        ends, (ends.c[0] == AuditEntry.case_id) & (ends.c[1] == AuditEntry.sequence)
    )
    before = {each.case_id: each for each in await session.exec(last)}
    for case_id, said in details.items():
        if case_id not in written:
            entry = _entry(case_id, act, before.get(case_id), at, by, clause, key, dict(said))
            session.add(entry)
    await session.flush()


async def entries_of(session: AsyncSession, case_id: str) -> Sequence[AuditEntry]:
    """A case's entries, oldest first."""
    found = select(AuditEntry).where(AuditEntry.case_id == case_id)
    return (await session.exec(found.order_by(col(AuditEntry.sequence)))).all()


async def head(database: Database) -> str:
    """The head of the whole trail: the newest entry's id, and a hash over all entries up to it."""
    async with database.transaction() as session:
        if session.get_bind().dialect.name == "postgresql":
            # An entry of an open transaction may have a lower id than one that is visible already.
            await (await session.connection()).execute(text("LOCK TABLE auditentry IN SHARE MODE"))
        newest = (await session.exec(select(func.max(AuditEntry.id)))).one() or 0
    async with database.snapshot(streams=True) as session:
        return f"{newest}-{await _digest(session, newest)}"


async def holds(session: AsyncSession, kept: str) -> bool:
    """Whether every entry that an earlier `head` covers is still there and unchanged."""
    newest, _, digest = kept.partition("-")
    return await _digest(session, int(newest)) == digest


async def _digest(session: AsyncSession, newest: int) -> str:
    digest = hashlib.sha256()
    hashes = select(AuditEntry.hash).where(col(AuditEntry.id) <= newest)
    ordered = hashes.order_by(col(AuditEntry.id)).execution_options(yield_per=1000)
    for each in await session.exec(ordered):
        digest.update(each.encode())
    return digest.hexdigest()


async def verify(session: AsyncSession, kept: Mapping[str, str] | None = None) -> Verification:
    """Recomputes every chain.

    Args:
        kept: Heads of an earlier check, by case: each must still be in its chain.
    """
    gone = dict(kept or {})
    breaks: list[Break] = []
    heads: dict[str, str] = {}
    sequences: dict[str, int] = {}
    ordered = select(AuditEntry).order_by(col(AuditEntry.case_id), col(AuditEntry.sequence))
    for entry in await session.exec(ordered.execution_options(yield_per=1000)):
        expected = sequences.get(entry.case_id, 0) + 1
        if entry.sequence != expected:
            breaks.append(Break(entry.case_id, expected, "entry missing"))
        elif entry.previous != heads.get(entry.case_id, ""):
            breaks.append(Break(entry.case_id, entry.sequence, "does not follow the entry before"))
        if entry.hash != _hash(entry):
            breaks.append(Break(entry.case_id, entry.sequence, "content was altered"))
        if gone.get(entry.case_id) == entry.hash:
            del gone[entry.case_id]
        heads[entry.case_id] = entry.hash
        sequences[entry.case_id] = entry.sequence
    breaks += [
        Break(case_id, sequences.get(case_id, 0), "the head kept elsewhere is not in the chain")
        for case_id in sorted(gone)
    ]
    count = (await session.exec(select(func.count()).select_from(AuditEntry))).one()
    return Verification(count, heads, breaks)


def _entry(
    case_id: str,
    act: str,
    last: AuditEntry | None,
    at: datetime,
    by: str,
    clause: str,
    key: str | None,
    details: dict[str, Any],
) -> AuditEntry:
    entry = AuditEntry(
        case_id=case_id,
        sequence=last.sequence + 1 if last else 1,
        at=at.astimezone(UTC),
        act=act,
        clause=clause,
        by=by,
        key=key,
        details=details,
        previous=last.hash if last else "",
        hash="",
    )
    entry.hash = _hash(entry)
    return entry


def _hash(entry: AuditEntry) -> str:
    content = [
        entry.case_id,
        entry.sequence,
        entry.at.isoformat(),
        entry.act,
        entry.clause,
        entry.by,
        entry.key,
        entry.details,
        entry.previous,
    ]
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
