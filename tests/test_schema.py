"""Several workers that start at once find one schema."""

import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

ROOT = Path(__file__).resolve().parent.parent
WORKERS = 4
MIGRATE = """
import asyncio, sys
from records.schema import migrate
print("ready", flush=True)
sys.stdin.readline()
asyncio.run(migrate(sys.argv[1]))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database of each kind with nothing in it; SQLite's file does not exist yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'records.db'}"
        return
    template: str = request.getfixturevalue("postgres_template")
    name = f"test_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(
        template.replace("/template_records?", "/postgres?"), autocommit=True
    ) as c:
        c.execute(f'CREATE DATABASE "{name}"')
    yield template.replace("/template_records?", f"/{name}?")


def test_workers_that_start_at_once_on_an_empty_database_all_run(empty_url: str) -> None:
    with tempfile.TemporaryFile("w+") as said:
        started = [
            subprocess.Popen(
                [sys.executable, "-c", MIGRATE, empty_url],
                cwd=ROOT,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                text=True,
            )
            for _ in range(WORKERS)
        ]
        for each in started:
            assert each.stdout is not None
            assert each.stdout.readline() == "ready\n"
        for each in started:
            assert each.stdin is not None
            each.stdin.write("go\n")
            each.stdin.flush()
        codes = [each.wait(timeout=60) for each in started]
        for each in started:
            each.communicate()
        said.seek(0)
        assert codes == [0] * WORKERS, said.read()
