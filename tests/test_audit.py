"""The audit trail shows every change of one row, and names what it cannot show."""

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, literal, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from records import audit
from records.database import Database
from records.tables import AuditEntry

TABLE: Any = AuditEntry.__table__  # type: ignore[attr-defined]
CASES = {"assister-A": 4, "assister-B": 1, "roster-C": 3}
NOW = datetime(2026, 11, 20, 16, tzinfo=UTC)
OTHER: dict[str, Callable[[Any], Any]] = {
    "case_id": lambda value: {"assister-A": "assister-B"}.get(value, "assister-A"),
    "sequence": lambda value: value + 50,
    "at": lambda value: value + timedelta(microseconds=1),
    "act": lambda value: f"{value} ",
    "clause": lambda value: f"{value}0",
    "by": lambda value: value[:-1],
    "key": lambda value: f"{value}0",
    "details": lambda value: {**value, "number": str(value["number"])},
    "previous": lambda value: value[:-1] + "0" if value else "0" * 64,
    "hash": lambda value: value[:-1] + ("0" if value[-1] != "0" else "1"),
}
"""Another value for each column; for ``details`` the same number, but as a text."""


ADMINISTRATOR = {
    "sqlite": tuple(f"DROP TRIGGER audit_no_{each}" for each in ("update", "delete", "replace")),
    "postgresql": ("DROP TRIGGER audit_append_only ON auditentry",),
}


@pytest.fixture
async def trail(records_url: str) -> AsyncIterator[Database]:
    """A trail of three unbroken chains."""
    database = Database(records_url)
    async with database.transaction() as session:
        for case_id, count in CASES.items():
            for number in range(count):
                at = NOW + timedelta(minutes=number)
                await audit.append(
                    await session.connection(), case_id, "act", at=at, by="staff-1", clause="3",
                    key=f"k{number}", number=number, ä="é",
                )  # fmt: skip
    async with database.engine.begin() as connection:
        # An administrator of the database can do this too.
        for each in ADMINISTRATOR[database.engine.dialect.name]:
            await connection.execute(text(each))
    yield database
    await database.close()


async def rows(database: Database) -> list[dict[str, Any]]:
    async with database.engine.connect() as connection:
        found = await connection.execute(select(TABLE).order_by(TABLE.c.id))
        return [dict(entry) for entry in found.mappings()]


async def broken(database: Database, *statements: Any) -> list[audit.Break]:
    """Makes a change, finds its breaks and rolls it back."""
    async with database._sessions() as session:
        try:
            for each in statements:
                await (await session.connection()).execute(each)
        except IntegrityError:
            await session.rollback()
            return [audit.Break("", 0, "two entries of one number")]
        found = await audit.verify(session)
        await session.rollback()
    return found.breaks


def named(row: dict[str, Any]) -> Any:
    return TABLE.c.id == row["id"]


async def test_the_database_itself_refuses_a_change(records_url: str) -> None:
    database = Database(records_url)
    async with database.transaction() as session:
        await audit.append(
            await session.connection(), "assister-A", "act", at=NOW, by="t", key="order-1"
        )
    if database.engine.dialect.name == "sqlite":
        [entry] = await rows(database)
        replace = insert(TABLE).prefix_with("OR REPLACE")
        others: list[Any] = [
            replace.values({**entry, "act": "forged"}),
            replace.values({**entry, "act": "forged", "id": 9}),
            replace.values({**entry, "act": "forged", "id": 9, "sequence": 9}),
        ]
    else:
        others = [text("TRUNCATE auditentry")]
    for change in [update(TABLE).values(act="forged"), delete(TABLE), *others]:
        with pytest.raises(DBAPIError, match="append-only"):
            async with database.engine.begin() as connection:
                await connection.execute(change)
    await database.close()


async def test_an_act_with_a_key_is_entered_once_in_its_case(records_url: str) -> None:
    database = Database(records_url)

    async def enter(case_id: str, key: str | None, by: str) -> str:
        async with database.transaction() as session:
            return (
                await audit.append(
                    await session.connection(), case_id, "act", at=NOW, by=by, key=key
                )
            ).hash

    at_once = [enter("assister-A", "order-1", f"staff-{each}") for each in range(8)]
    assert len(set(await asyncio.gather(*at_once))) == 1, "all are told of the one that was first"
    await enter("assister-A", "order-2", "staff-9")
    await enter("assister-B", "order-1", "staff-9")
    for _ in range(2):
        await enter("assister-B", None, "system")
    async with database.snapshot(streams=True) as session:
        assert len(await audit.entries_of(session, "assister-A")) == 2
        assert len(await audit.entries_of(session, "assister-B")) == 3
        assert (await audit.verify(session)).breaks == []
    await database.close()


async def test_every_altered_value_is_found(trail: Database) -> None:
    assert await broken(trail) == []
    assert OTHER.keys() == {column.name for column in TABLE.columns} - {"id"}
    for row in await rows(trail):
        for column, other in OTHER.items():
            change = update(TABLE).where(named(row)).values({column: other(row[column])})
            assert await broken(trail, change), (row["case_id"], row["sequence"], column)
        # The forged entry has a hash that fits, but the next entry has the old one.
        forged = {**row, "act": "forged"}
        forged["hash"] = audit._hash(forged)
        follows = row["sequence"] < CASES[row["case_id"]]
        found = await broken(trail, update(TABLE).where(named(row)).values(forged))
        assert bool(found) == follows


async def test_every_removed_inserted_or_exchanged_entry_is_found(trail: Database) -> None:
    every = await rows(trail)
    for row in every:
        newest = row["sequence"] == CASES[row["case_id"]]
        found = await broken(trail, delete(TABLE).where(named(row)))
        assert bool(found) == (not newest), "the newest can go unseen: compare heads"
        # The entry is removed, and the later ones get new sequence numbers.
        after = (TABLE.c.case_id == row["case_id"]) & (TABLE.c.sequence > row["sequence"])
        if not newest:
            later = [each for each in every if each["case_id"] == row["case_id"]
                     and each["sequence"] > row["sequence"]]  # fmt: skip
            closed = [update(TABLE).where(named(entry)).values(sequence=entry["sequence"] - 1)
                      for entry in later]  # fmt: skip
            assert await broken(trail, delete(TABLE).where(named(row)), *closed)
        # An entry is inserted at the start, in the middle and at the end.
        apart = update(TABLE).where(after).values(sequence=TABLE.c.sequence + 100)
        together = update(TABLE).where(after).values(sequence=TABLE.c.sequence - 99)
        copy = {**row, "id": 1000, "sequence": row["sequence"] + 1}
        assert await broken(trail, apart, insert(TABLE).values(copy), together)
    for one in every:
        for two in every:
            if one["id"] < two["id"]:
                exchanged = [
                    update(TABLE).where(named(a)).values({n: b[n] for n in ("act", "at", "details",
                                                                          "hash", "previous")})
                    for a, b in ((one, two), (two, one))
                ]  # fmt: skip
                assert await broken(trail, *exchanged)


async def test_a_chain_moved_to_another_case_is_found(trail: Database) -> None:
    move = update(TABLE).where(TABLE.c.case_id == "roster-C").values(case_id="roster-D")
    assert await broken(trail, move)
    first = delete(TABLE).where((TABLE.c.case_id == "assister-A") & (TABLE.c.sequence == 1))
    counted = update(TABLE).where(TABLE.c.case_id == "assister-A").values(
        sequence=TABLE.c.sequence - 1
    )  # fmt: skip
    assert await broken(trail, first, counted)


async def test_what_no_chain_shows_the_kept_heads_show(trail: Database) -> None:
    async with trail.transaction() as session:
        kept = (await audit.verify(session)).heads
        assert (await audit.verify(session, kept)).breaks == []
    newest = delete(TABLE).where((TABLE.c.case_id == "assister-A") & (TABLE.c.sequence == 4))
    chain = delete(TABLE).where(TABLE.c.case_id == "assister-B")
    rewritten = [
        {**entry, "hash": "", "act": "forged"} for entry in await rows(trail)
        if entry["case_id"] == "roster-C"
    ]  # fmt: skip
    previous = ""
    for each in rewritten:
        each["previous"] = previous
        previous = each["hash"] = audit._hash(each)
    rewrite = [update(TABLE).where(named(entry)).values(entry) for entry in rewritten]
    assert await broken(trail, newest, chain, *rewrite) == [], "no chain shows it"
    async with trail.engine.begin() as connection:
        changes: list[Any] = [newest, chain, *rewrite]
        for each in changes:
            await connection.execute(each)
    async with trail.transaction() as session:
        await audit.append(await session.connection(), "assister-A", "another", at=NOW, by="t")
        breaks = (await audit.verify(session, kept)).breaks
    assert [fault.case_id for fault in breaks] == sorted(CASES)


async def test_one_line_shows_whatever_is_missing_or_new_until_then(trail: Database) -> None:
    kept = await audit.head(trail)
    assert kept.startswith("8-")
    async with trail.transaction() as session:
        await audit.append(await session.connection(), "assister-A", "another", at=NOW, by="t")
        assert await audit.holds(session, kept)
    assert await audit.head(trail) != kept
    for change in (
        delete(TABLE).where((TABLE.c.case_id == "assister-A") & (TABLE.c.sequence == 4)),
        delete(TABLE).where(TABLE.c.case_id == "assister-B"),
        delete(TABLE),
        update(TABLE).where(TABLE.c.id == 8).values(hash="0" * 64),
    ):
        async with trail._sessions() as session:
            await (await session.connection()).execute(change)
            assert not await audit.holds(session, kept)
            await session.rollback()


async def test_a_head_waits_for_entries_that_are_being_written(records_url: str) -> None:
    database = Database(records_url)
    async with database.transaction() as session:
        await audit.append(await session.connection(), "assister-A", "act", at=NOW, by="t")
        if database.engine.dialect.name == "postgresql":
            async with database.transaction() as other:
                await audit.append(await other.connection(), "assister-B", "act", at=NOW, by="t")
        waiting = asyncio.create_task(audit.head(database))
        await asyncio.wait({waiting}, timeout=0.5)
        assert not waiting.done()
    kept = await waiting
    async with database.snapshot(streams=True) as session:
        assert await audit.holds(session, kept)
    await database.close()


@pytest.mark.parametrize("case_id", ["assister-A", "assister-new"])
async def test_an_entry_goes_behind_one_that_came_since_the_newest_was_read(
    trail: Database, case_id: str
) -> None:
    newest = await _newest(trail, case_id)
    for act in ("came first", "comes later"):
        async with trail.begin() as connection:
            await audit.append(connection, case_id, act, at=NOW, by="staff-1", after=newest)
    assert (await _newest(trail, case_id)).sequence == newest.sequence + 2
    async with trail.snapshot(streams=True) as session:
        assert [each.act for each in await audit.entries_of(session, case_id)][-2:] == [
            "came first",
            "comes later",
        ]
        assert not (await audit.verify(session)).breaks


async def _newest(trail: Database, case_id: str) -> audit.Link:
    async with trail.reading() as connection:
        found = await connection.execute(select(*audit.newest_of(literal(case_id))))
        return audit.link(*found.one())
