"""The records on both databases: schema, times and concurrent writers."""

import asyncio
import random
import sys
import traceback
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from alembic import command
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError, StatementError
from sqlmodel import select

from records import audit
from records.database import Database, UnsupportedDatabase, async_url
from records.people import staff_id
from records.schema import config
from records.tables import Agency, ClosedCase, Mailbox
from tests.support.databases import new_database
from tests.support.system import record_people
from workflows.contract import StaffAct


async def test_migrations_and_tables_agree(records_url: str) -> None:
    await asyncio.to_thread(command.check, config(records_url))


async def test_concurrent_acts_of_one_case_form_one_chain(records_url: str) -> None:
    database = Database(records_url)

    async def act(number: int) -> None:
        async with database.transaction() as session:
            await audit.append(
                await session.connection(),
                "assister-X",
                "act",
                at=datetime.now(UTC),
                by="t",
                number=number,
            )

    await asyncio.gather(*(act(number) for number in range(30)))
    async with database.transaction() as session:
        found = await audit.verify(session)
    assert (found.entries, found.breaks) == (30, [])
    await database.close()


async def test_an_act_in_many_chains_meets_other_acts_on_its_way(records_url: str) -> None:
    database = Database(records_url)
    cases = [f"assister-{each}" for each in range(20)]

    async def in_all(key: str) -> None:
        details = {each: {"number": 1} for each in random.sample(cases, len(cases))}
        async with database.transaction() as session:
            await audit.append_each(
                await session.connection(),
                "act",
                details,
                key=key,
                at=datetime.now(UTC),
                by="t",
                clause="1",
            )

    async def in_one(case_id: str) -> None:
        async with database.transaction() as session:
            await audit.append(
                await session.connection(), case_id, "other", at=datetime.now(UTC), by="t"
            )

    keys = ["roster-1", "roster-2", "roster-3", "roster-1"]
    await asyncio.gather(*map(in_all, keys), *map(in_one, cases))
    async with database.transaction() as session:
        found = await audit.verify(session)
    assert (found.entries, found.breaks) == (len(cases) * 4, [])
    await database.close()


async def test_a_fault_says_nothing_of_the_values_it_met(records_url: str) -> None:
    database = Database(records_url)
    await record_people(database, "SAME001")

    async def take_the_mailbox() -> None:
        async with database.transaction() as session:
            taken = select(Mailbox.mailbox_key).where(Mailbox.training_id == "SAME001")
            key = (await session.exec(taken)).one()
            session.add(Mailbox(training_id="SAME002", email=str(key), mailbox_key=key))

    with pytest.raises(IntegrityError) as fault:
        await take_the_mailbox()
    told = "".join(traceback.format_exception(fault.value))
    assert "constraint" in told.lower()
    assert "same001@" not in told
    assert "Ann" not in told
    await database.close()


async def test_who_only_reads_holds_up_no_writer(records_url: str) -> None:
    database = Database(records_url)
    async with database.snapshot() as reading:
        assert await reading.get(Agency, "A") is None
        async with database.transaction() as session:
            session.add(Agency(id="A", name="A"))
    async with database.snapshot() as reading:
        assert await reading.get(Agency, "A") is not None
    await database.close()


async def test_connections_that_the_database_closed_are_opened_anew(postgres_template: str) -> None:
    url = new_database(postgres_template)
    database = Database(url)

    async def used() -> int:
        async with database.snapshot() as session:
            found = text("SELECT pg_backend_pid(), pg_sleep(0.1)")
            return int((await (await session.connection()).execute(found)).one()[0])

    before = set(await asyncio.gather(used(), used(), used()))
    assert len(before) == 3
    ended = "SELECT pg_terminate_backend(%s, 60000)"  # and gone within a minute
    with psycopg.connect(url, autocommit=True) as administrator:
        for process in before:
            assert administrator.execute(ended, [process]).fetchone() == (True,)
    after = set(await asyncio.gather(used(), used(), used()))
    assert len(after) == 3
    assert not before & after
    await database.close()


async def test_an_inserted_entry_breaks_the_chain(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    async with database.transaction() as session:
        await audit.append(await session.connection(), "c", "act", at=datetime.now(UTC), by="t")
        [entry] = await audit.entries_of(session, "c")
        forged = entry.model_copy(update={"id": None, "sequence": 2})
        session.add(type(entry)(**forged.model_dump()))
    async with database.transaction() as session:
        found = await audit.verify(session)
    assert {fault.problem for fault in found.breaks} == {
        "does not follow the entry before",
        "content was altered",
    }
    await database.close()


async def test_a_time_without_a_zone_is_refused_and_others_return_in_utc(records_url: str) -> None:
    database = Database(records_url)
    naive = datetime(2026, 1, 1)  # noqa: DTZ001
    closed = ClosedCase(training_id="A", evidence={}, fence=1, ended=0, closed_at=naive)
    with pytest.raises(StatementError, match="time zone"):
        async with database.transaction() as session:
            session.add(closed)
    moment = datetime.fromisoformat("2026-01-01T12:00:00-06:00")
    async with database.transaction() as session:
        session.add(ClosedCase(training_id="A", evidence={}, fence=1, ended=0, closed_at=moment))
    async with database.transaction() as session:
        read = await session.get_one(ClosedCase, "A")
        assert read.closed_at == moment
        assert read.closed_at.tzinfo == UTC
    await database.close()


async def test_a_failed_transaction_leaves_nothing(records_url: str) -> None:
    database = Database(records_url)

    async def fail() -> None:
        async with database.transaction() as session:
            session.add(Agency(id="A", name="A"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()
    async with database.transaction() as session:
        assert await session.get(Agency, "A") is None
    await database.close()


def test_other_databases_are_refused() -> None:
    with pytest.raises(UnsupportedDatabase, match="mysql"):
        async_url("mysql://x")


async def test_a_staff_id_is_never_taken_for_a_phone_number(records_url: str) -> None:
    database = Database(records_url)
    # With hexadecimal ids, about one of 120 looked like a phone number, and its owner could do
    # nothing.
    async with database.transaction() as session:
        for number in range(300):
            by = await staff_id(session, f"staff{number}@arc.example.org")
            StaffAct(by=by, reason="a test")
    await database.close()


async def test_another_program_that_comes_and_goes_is_seen_by_every_connection(
    sqlite_url: str,
) -> None:
    path = sqlite_url.removeprefix("sqlite:///")
    log = Path(f"{path}-wal")
    database = Database(sqlite_url)
    for name in ("A", "B", "C"):
        async with database.snapshot() as one, database.snapshot() as two:
            for session in (one, two):
                await session.get(Agency, "none")
        code = (
            "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]);"
            f"c.execute(\"INSERT INTO agency (id, name) VALUES ('{name}', 'x')\"); c.commit();"
            "c.close()"
        )
        other = await asyncio.create_subprocess_exec(sys.executable, "-c", code, path)
        assert await other.wait() == 0
        assert await asyncio.to_thread(log.exists), "it was deleted under our connections"
        async with database.snapshot() as one, database.snapshot() as two:
            for session in (one, two):
                assert await session.get(Agency, name) is not None
    await database.close()
