"""The gateway's tables on both databases: of simultaneous requests, each is counted once."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlmodel import select

from records.database import Database
from records.drafts import MOST, RosterDraft, draft_of, drop_draft, drop_ended, keep_draft
from records.keys import Kind, key_sent, make_key, working_keys
from records.statements import Kept, XapiStatement, keep, kept, of_others, take_turn, voids_of
from records.visits import end_visit, make_link, may_try, use_link, visiting
from tests.support.system import AGENCY, record_people

NOW = datetime(2026, 11, 2, 21, 30, tzinfo=UTC)


@pytest.fixture
async def database(records_url: str) -> AsyncIterator[Database]:
    made = Database(records_url)
    await record_people(made)
    yield made
    await made.close()


async def test_tries_at_the_same_moment_are_all_counted(database: Database) -> None:
    async def once() -> bool:
        async with database.transaction() as session:
            return await may_try(session, "activation", "ABCD", 10, NOW)

    assert sum(await asyncio.gather(*(once() for _ in range(25)))) == 10
    async with database.transaction() as session:
        assert not await may_try(session, "activation", "ABCD", 10, NOW)
        assert await may_try(session, "activation", "EFGH", 10, NOW)
        assert await may_try(session, "activation", "ABCD", 10, NOW + timedelta(hours=1))


async def test_a_link_is_used_once_though_it_is_clicked_twice(database: Database) -> None:
    async with database.transaction() as session:
        token = await make_link(session, "pat@x.org", "browser", NOW)

    async def click() -> str | None:
        async with database.transaction() as session:
            return await use_link(session, token, "browser", NOW)

    [cookie] = [cookie for cookie in await asyncio.gather(*(click() for _ in range(8))) if cookie]
    async with database.transaction() as session:
        assert await visiting(session, cookie, NOW) == "pat@x.org"
        assert await visiting(session, cookie, NOW + timedelta(hours=8)) is None
        await end_visit(session, cookie)
        assert await visiting(session, cookie, NOW) is None


async def test_keys_and_drafts(database: Database) -> None:
    async with database.transaction() as session:
        key, sent = await make_key(session, Kind.EVENTS, "lms", None, NOW)
        draft = await keep_draft(session, AGENCY, "cac", "cp1252", "r.csv", b"\0\xff" * 9, NOW)
    async with database.transaction() as session:
        found = await key_sent(session, sent, NOW)
        assert found is not None
        working = await working_keys(await session.connection(), Kind.EVENTS, NOW)
        assert working == [(key.id, key.holder)]
        chosen = await draft_of(session, AGENCY, draft, NOW)
        assert chosen is not None
        assert chosen.content == b"\0\xff" * 9
        assert await draft_of(session, "AG-200", draft, NOW) is None
        assert await draft_of(session, AGENCY, draft, NOW + timedelta(hours=1)) is None
        await drop_draft(session, draft)
    async with database.snapshot() as session:
        assert await draft_of(session, AGENCY, draft, NOW) is None


async def test_a_draft_that_nobody_submits_is_deleted(database: Database) -> None:
    async with database.transaction() as session:
        await keep_draft(session, AGENCY, "cac", "utf-8", "r.csv", b"Ann,Lee", NOW)
    for later, left in ((timedelta(minutes=59), 1), (timedelta(hours=2), 0)):
        async with database.transaction() as session:
            await drop_ended(session, NOW + later)
        async with database.snapshot() as session:
            assert len((await session.exec(select(RosterDraft))).all()) == left


async def test_an_agency_cannot_fill_the_disk_with_drafts(database: Database) -> None:
    async def choose(second: int) -> str:
        at = NOW + timedelta(seconds=second)
        async with database.transaction() as session:
            return await keep_draft(session, AGENCY, "cac", "cp1252", "r.csv", b"", at)

    chosen = [await choose(number) for number in range(MOST + 2)]
    async with database.snapshot() as session:
        found = [await draft_of(session, AGENCY, draft, NOW) is not None for draft in chosen]
    assert found == [False] * 2 + [True] * MOST


async def test_a_statement_is_kept_once_and_never_changed(database: Database) -> None:
    def statement(digest: str = "d", identity: str = "s1", voids: str = "") -> XapiStatement:
        return XapiStatement(
            source="lms",
            id=identity,
            digest=digest,
            content={"a": "ünï", "n": 0.1},
            voids=voids,
            stored_at=NOW,
        )

    async def once(digest: str) -> Kept:
        async with database.transaction() as session:
            await take_turn(session, "lms")
            return await keep(session, statement(digest))

    said = await asyncio.gather(*(once("d") for _ in range(6)))
    assert sorted(said) == [Kept.KNOWN] * 5 + [Kept.NEW]
    assert await once("other") is Kept.CONFLICT
    async with database.transaction() as session:
        assert await of_others(session, "other", "s1")
        assert not await of_others(session, "lms", "s1")
        await keep(session, statement(identity="v1", voids="s1"))
        assert await voids_of(session, "lms", "s1") == ["v1"]
        assert await voids_of(session, "other", "s1") == []
        found = await kept(session, "lms", "s1")
        assert found is not None
        assert found.content == {"a": "ünï", "n": 0.1}
