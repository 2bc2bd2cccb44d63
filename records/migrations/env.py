"""Runs the migrations with the application's own engine, so that both use the same settings."""

import asyncio
import logging

from alembic import context
from sqlalchemy import Connection, text
from sqlmodel import SQLModel

import portal.tables  # noqa: F401
import records.drafts
import records.keys
import records.statements
import records.tables
import records.visits  # noqa: F401
from records.database import make_engine
from records.schema import of_later_release

MIGRATING = 5_372_160_481
"""Any number that nothing else locks."""


def _run(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":
        # Workers that start at once would all find no schema and all make it.
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATING})
    context.configure(
        connection=connection,
        target_metadata=SQLModel.metadata,
        render_as_batch=True,
        compare_type=True,
        # SQLite's as well: in one transaction for each migration, two workers take turns at them.
        transactional_ddl=True,
    )
    if of_later_release(context.script, context.get_context().get_current_heads()):
        logging.getLogger(__name__).warning("the schema is a later release's: used as it is")
        return
    with context.begin_transaction():
        context.run_migrations()


async def _connect() -> None:
    url = context.config.get_main_option("sqlalchemy.url")
    assert url is not None, "run migrations with `starter.py migrate`, which knows the database"
    engine = make_engine(url)
    async with engine.connect() as connection:
        await connection.run_sync(_run)
        await connection.commit()
    await engine.dispose()


asyncio.run(_connect())
