"""The schema: Alembic's migrations bring it up to date, on both databases in the same way."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

ROOT = Path(__file__).resolve().parent.parent


def config(url: str) -> Config:
    """Alembic's configuration for a database."""
    alembic = Config(ROOT / "alembic.ini")
    alembic.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return alembic


def of_later_release(script: ScriptDirectory, revisions: Iterable[str]) -> bool:
    """Whether a later release has made the schema: then this one uses it as it is."""
    return not {each.revision for each in script.walk_revisions()}.issuperset(revisions)


async def migrate(url: str) -> None:
    """Brings the database to the newest schema; changes nothing if it has that already."""
    await asyncio.to_thread(command.upgrade, config(url), "head")
