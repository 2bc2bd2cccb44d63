"""The schema: Alembic's migrations bring it up to date, on both databases in the same way."""

import asyncio
from pathlib import Path

from alembic import command
from alembic.config import Config

ROOT = Path(__file__).resolve().parent.parent


def config(url: str) -> Config:
    """Alembic's configuration for a database."""
    alembic = Config(ROOT / "alembic.ini")
    alembic.set_main_option("sqlalchemy.url", url.replace("%", "%%"))
    return alembic


async def migrate(url: str) -> None:
    """Brings the database to the newest schema; changes nothing if it has that already."""
    await asyncio.to_thread(command.upgrade, config(url), "head")
