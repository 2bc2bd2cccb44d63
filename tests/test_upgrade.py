"""A filled database of the recorded version is migrated to the newest schema and loses nothing."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from alembic import command
from sqlmodel import select

from portal.embedded import EmbeddedPortal
from portal.tables import PortalAccount
from records import audit
from records.database import Database
from records.schema import config, migrate
from tests.support.databases import new_database
from tests.support.system import SECRET
from tests.support.upgrade import dump, fill, kept


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'older.db'}"
    template = request.getfixturevalue("postgres_template")
    return new_database(template, empty=True)


@pytest.fixture
async def upgraded(empty_url: str) -> AsyncIterator[Database]:
    """Fills a database with the recorded rows, then migrates it to the newest schema twice."""
    await asyncio.to_thread(command.upgrade, config(empty_url), kept()["version"])
    database = Database(empty_url)
    await fill(database)
    await migrate(empty_url)
    await migrate(empty_url)
    yield database
    await database.close()


async def test_nothing_is_lost(upgraded: Database, empty_url: str) -> None:
    await asyncio.to_thread(command.check, config(empty_url))
    recorded, now = kept()["tables"], (await dump(upgraded))["tables"]
    assert {name: len(rows) for name, rows in recorded.items() if rows and name in now} == {
        name: len(now[name]) for name, rows in recorded.items() if rows and name in now
    }
    for name in ("auditentry", "maildelivery", "portalaccount", "portalregistration"):
        rows = [{column: row.get(column) for column in recorded[name][0]} for row in now[name]]
        assert sorted(rows, key=str) == sorted(recorded[name], key=str)


async def test_what_was_there_goes_on(upgraded: Database) -> None:
    async with upgraded.transaction() as session:
        assert (await audit.verify(session)).breaks == []
        found = await session.exec(select(PortalAccount).where(PortalAccount.status == "pending"))
        training_id = found.one().training_id
        now = datetime.now(UTC)
        await audit.append(
            await session.connection(), f"assister-{training_id}", "upgraded", at=now, by="a test"
        )
    portal = EmbeddedPortal(upgraded, SECRET, lambda: datetime(2020, 1, 1, tzinfo=UTC))
    assert await portal.has_its_secret()
    number = await portal.registration_number(training_id, 1)
    assert (await portal.activate(number)).training_id == training_id
    async with upgraded.snapshot(streams=True) as session:
        assert (await audit.verify(session)).breaks == []
