"""A recorded, filled database that the next releases must be able to upgrade.

`./run upgrade-fixture` records it from the present tables; run it for each release. The rows are
kept as JSON, which can fill SQLite and PostgreSQL.
"""

import asyncio
import base64
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Integer, MetaData, Table, insert, select, text
from sqlmodel import SQLModel

from activities.results import relay_results
from embedded.inbox import mail_inbox
from embedded.temporal_server import temporal_server
from policy.case import Stage
from records.database import Database
from records.inbox import Incoming, receive
from records.keys import Kind, make_key
from records.schema import migrate
from tests.support.conditions import in_stage
from tests.support.rosters import roster_row, submit_roster
from tests.support.system import (
    System,
    facts,
    meet_requirements,
    new_training_id,
    record_people,
    running,
)
from workflows.client import start_intake
from workflows.contract import roster_workflow_id

FIXTURE = Path(__file__).resolve().parent.parent / "upgrade" / "records.json"


async def _play(system: System) -> None:
    """Makes an assister in each lasting stage, results of a training system, a roster and a key."""
    people = {stage: new_training_id() for stage in Stage}
    await record_people(system.database, *people.values())
    waiting = people[Stage.COLLECTING_REQUIREMENTS]
    now = datetime.now(UTC)
    sent = [
        Incoming("lms", f"{name}-1", waiting, fact)
        for name, fact in facts().items()
        if name not in ("roster_recorded", "assessment_scored")
    ]
    async with system.database.transaction() as session:
        await receive(await session.connection(), sent, now)
        await make_key(session, Kind.TRAINING, "lms", None, now)
    settings = system.settings
    await relay_results(system.database, system.client, settings.task_queue, settings.terms)
    for stage in (Stage.AWAITING_ACTIVATION, Stage.ACTIVE, Stage.SUSPENDED, Stage.CLOSED):
        await meet_requirements(system, people[stage])
    for stage in (Stage.ACTIVE, Stage.SUSPENDED):
        await system.activate(people[stage])
        await system.until(people[stage], in_stage("active"))
    await system.act(people[Stage.SUSPENDED], "suspend_access")
    await system.act(people[Stage.CLOSED], "close_case")
    await system.case(people[Stage.CLOSED]).result()
    submission_id = await submit_roster(
        system, roster_row(new_training_id()), roster_row("mistyped")
    )
    await start_intake(system.client, settings.task_queue, submission_id, settings.terms)
    await system.client.get_workflow_handle(roster_workflow_id(submission_id)).result()
    for training_id in (people[Stage.ACTIVE], people[Stage.SUSPENDED]):
        await system.until(training_id, lambda status: all(e.sent_at for e in status.mails))


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"at": value.isoformat()}
    return {"bytes": base64.b64encode(value).decode()} if isinstance(value, bytes) else value


def _value(kept: Any) -> Any:
    match kept:
        case {"at": str(at)}:
            return datetime.fromisoformat(at)
        case {"bytes": str(content)}:
            return base64.b64decode(content)
    return kept


async def dump(database: Database) -> dict[str, Any]:
    """Every row of every table, and the version of the schema."""
    async with database.engine.connect() as connection:
        version = (
            await connection.execute(text("SELECT version_num FROM alembic_version"))
        ).scalar()
        tables = {
            table.name: [
                {name: _plain(value) for name, value in row._mapping.items()}
                for row in await connection.execute(select(table))
            ]
            for table in SQLModel.metadata.sorted_tables
        }
    return {"version": version, "tables": tables}


def kept() -> dict[str, Any]:
    """The recorded rows and the version of their schema."""
    recorded: dict[str, Any] = json.loads(FIXTURE.read_text())
    return recorded


async def fill(database: Database) -> None:
    """Fills a database with the recorded rows; its schema must have the recorded version."""
    async with database.engine.begin() as connection:
        await connection.run_sync(_fill)


def _fill(connection: Connection) -> None:
    # The tables are read from the database: the present ones may have other columns.
    there = MetaData()
    there.reflect(connection)
    for name in (table.name for table in there.sorted_tables):
        table, rows = there.tables[name], kept()["tables"].get(name, [])
        if rows:
            connection.execute(insert(table), [_typed(table, row) for row in rows])
        counted = "id" in table.c and isinstance(table.c.id.type, Integer)
        if rows and counted and connection.dialect.name == "postgresql":
            # An insert that names its id does not advance PostgreSQL's sequence.
            newest = f"SELECT setval(pg_get_serial_sequence('{name}', 'id'), max(id)) FROM {name}"
            connection.execute(text(newest))


def _typed(table: Table, row: dict[str, Any]) -> dict[str, Any]:
    return {name: _value(value) for name, value in row.items() if name in table.c}


async def record() -> None:
    """Plays the scenes and writes the fixture."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"sqlite:///{folder}/records.db"
        await migrate(url)
        async with (
            mail_inbox(Path(folder) / "inbox") as inbox,
            temporal_server() as server,
            running(server.client, url, inbox, Path(folder)) as system,
        ):
            await _play(system)
            recorded = await dump(system.database)
    FIXTURE.parent.mkdir(exist_ok=True)
    FIXTURE.write_text(json.dumps(recorded, indent=0, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    asyncio.run(record())
