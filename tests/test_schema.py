"""Several workers that start at once on an empty database make one schema."""

import sqlite3
import subprocess
import sys
import threading
from functools import partial
from pathlib import Path

import pytest
from sqlmodel import text

from records.database import Database, write_ahead
from records.schema import migrate
from tests.support.databases import new_database

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 4
TIMES = 6
MIGRATE = """
import asyncio, sys
from records.schema import migrate
print("ready", flush=True)
for url in sys.stdin:
    asyncio.run(migrate(url.strip()))
    print("done", flush=True)
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_urls(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """Empty databases of each kind; the SQLite files do not exist yet."""
    if request.param == "sqlite":
        return [f"sqlite:///{tmp_path / f'{number}.db'}" for number in range(TIMES)]
    template: str = request.getfixturevalue("postgres_template")
    return [new_database(template, empty=True) for _ in range(TIMES)]


def test_workers_that_start_at_once_all_run(empty_urls: list[str], tmp_path: Path) -> None:
    said = tmp_path / "said"
    with said.open("w") as errors:
        workers = [
            subprocess.Popen(
                [sys.executable, "-c", MIGRATE],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
            )
            for _ in range(WORKERS)
        ]
    try:
        assert {_answer(worker) for worker in workers} == {"ready\n"}
        for url in empty_urls:
            for each in workers:
                assert each.stdin is not None
                each.stdin.write(f"{url}\n")
                each.stdin.flush()
            assert {_answer(worker) for worker in workers} == {"done\n"}, said.read_text()
    finally:
        for each in workers:
            each.kill()
            each.communicate()


def _answer(worker: "subprocess.Popen[str]") -> str:
    assert worker.stdout is not None
    return worker.stdout.readline()


async def test_a_new_file_that_another_program_writes_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "new.db"
    other = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")
    ending = threading.Timer(0.5, lambda: other.execute("COMMIT"))
    ending.start()
    database = Database(f"sqlite:///{path}")
    async with database.snapshot() as session:
        mode = await (await session.connection()).execute(text("PRAGMA journal_mode"))
        assert mode.scalar_one() == "wal"
    await database.close()
    ending.join()
    other.close()


def test_what_no_waiting_mends_is_told_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "old.db"
    with sqlite3.connect(path) as made:
        made.execute("CREATE TABLE t (x)")
    read_only = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    monkeypatch.setattr("records.database.time.sleep", partial(pytest.fail, "it waits"))
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        write_ahead(read_only.cursor())
    read_only.close()
    made.close()


async def test_an_earlier_release_runs_on_a_later_ones_schema(records_url: str) -> None:
    """A release is rolled back without the database."""
    database = Database(records_url)
    async with database.transaction() as session:
        await (await session.connection()).execute(
            text("UPDATE alembic_version SET version_num = '9999'")
        )
    await migrate(records_url)
    async with database.snapshot() as session:
        found = await (await session.connection()).execute(
            text("SELECT version_num FROM alembic_version")
        )
        assert found.scalar_one() == "9999"
    await database.close()
