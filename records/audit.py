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

from sqlalchemy import ColumnElement, ScalarSelect, bindparam, func, text
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from records.database import Database, insert_new, lock_each
from records.tables import AuditEntry

Values = Mapping[str, Any]
"""An entry's columns."""
_HASHED = ("case_id", "sequence", "at", "act", "clause", "by", "key", "details", "previous")


class Link(NamedTuple):
    """An entry's place in its chain."""

    sequence: int
    hash: str


BEFORE_ALL = Link(0, "")


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


_CHAIN = select(AuditEntry.sequence, AuditEntry.hash).where(
    col(AuditEntry.case_id) == bindparam("case")
)
_WITH_KEY = _CHAIN.where(col(AuditEntry.key) == bindparam("key"))
_ADD = insert_new(AuditEntry, col(AuditEntry.case_id))


def newest_of(case: ColumnElement[str]) -> tuple[ScalarSelect[Any], ScalarSelect[Any]]:
    """The newest entry's place and hash, for a statement that gives them back with its own rows.

    Example: ``update(MailDelivery).returning(*newest_of(bindparam("case")))``
    """
    chain = select(AuditEntry).where(col(AuditEntry.case_id) == case)
    newest = chain.order_by(col(AuditEntry.sequence).desc()).limit(1)
    place, hash_ = (
        newest.with_only_columns(each).scalar_subquery()
        for each in (col(AuditEntry.sequence), col(AuditEntry.hash))
    )
    return place, hash_


def link(sequence: int | None, hash_: str | None) -> Link:
    """What `newest_of` found; a case without an entry has neither."""
    return BEFORE_ALL if sequence is None or hash_ is None else Link(sequence, hash_)


_NEWEST = select(*newest_of(bindparam("case")))


async def append(
    connection: AsyncConnection,
    case_id: str,
    act: str,
    *,
    at: datetime,
    by: str,
    clause: str = "",
    key: str | None = None,
    after: Link | None = None,
    **details: Any,
) -> Link:
    """Adds an entry to a case's chain, in the caller's transaction.

    Details hold ids, dates and scores, no personal data: people may ask to have their data removed,
    and the trail stays.

    Args:
        key: Names the act within its case. If the case has an entry with this key, no entry is
            added and that one is returned.
        after: The case's newest entry, if this transaction has just added or read it.
    """
    while True:
        if after is None:
            if key is not None:
                named = {"case": case_id, "key": key}
                written = (await connection.execute(_WITH_KEY, named)).first()
                if written is not None:
                    return Link(*written)
            after = link(*(await connection.execute(_NEWEST, {"case": case_id})).one())
        entry = _entry(case_id, act, after, at, by, clause, key, details)
        if await _added(connection, [entry]):
            return Link(entry["sequence"], entry["hash"])
        # Another transaction's entry came first at this place.
        after = None


async def append_order(
    connection: AsyncConnection,
    case_id: str,
    act: str,
    order_id: str,
    *,
    at: datetime,
    by: str,
    reason: str,
) -> None:
    """Enters what staff ordered, each order once, whether its case was open or closed."""
    await append(connection, case_id, act, key=f"order-{order_id}", at=at, by=by, reason=reason)


async def append_each(
    connection: AsyncConnection,
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
    # An act that adds to many chains looks again while it holds some of them: two such acts would
    # wait for each other. One that adds to a single chain holds no other.
    await lock_each(connection, list(details))
    missing = sorted(details)
    while missing:
        chains = select(AuditEntry.case_id).where(col(AuditEntry.case_id).in_(missing))
        written = set(await connection.scalars(chains.where(col(AuditEntry.key) == key)))
        missing = [each for each in missing if each not in written]
        newest = select(AuditEntry.case_id, func.max(AuditEntry.sequence)).where(
            col(AuditEntry.case_id).in_(missing)
        )
        ends = newest.group_by(AuditEntry.case_id).subquery()
        last = select(AuditEntry.case_id, AuditEntry.sequence, AuditEntry.hash).join(
            ends, (ends.c[0] == AuditEntry.case_id) & (ends.c[1] == AuditEntry.sequence)
        )
        before = {
            case_id: Link(place, hash_) for case_id, place, hash_ in await connection.execute(last)
        }
        entries = [
            _entry(
                each, act, before.get(each, BEFORE_ALL), at, by, clause, key, dict(details[each])
            )
            for each in missing
        ]
        added = await _added(connection, entries)
        missing = [each for each in missing if each not in added]


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
        if entry.hash != _hash(entry.model_dump()):
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


async def _added(connection: AsyncConnection, entries: Sequence[Values]) -> set[str]:
    """Adds entries; returns the cases of those that no other transaction's entry came before.

    While another transaction has added an entry at the same place, PostgreSQL waits for its end.
    """
    if not entries:
        return set()
    added = await connection.execute(_ADD[connection.dialect.name], entries)
    return {case_id for (case_id,) in added}


def _entry(
    case_id: str,
    act: str,
    after: Link,
    at: datetime,
    by: str,
    clause: str,
    key: str | None,
    details: dict[str, Any],
) -> Values:
    entry = {
        "case_id": case_id,
        "sequence": after.sequence + 1,
        "at": at.astimezone(UTC),
        "act": act,
        "clause": clause,
        "by": by,
        "key": key,
        "details": details,
        "previous": after.hash,
    }
    return entry | {"hash": _hash(entry)}


def _hash(entry: Values) -> str:
    content = [entry[name] for name in _HASHED]
    content[_HASHED.index("at")] = entry["at"].isoformat()
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()
