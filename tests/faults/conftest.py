"""Fixtures: the matrix of the session, and a new database for every run."""

import os
import shutil
import sys
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from rich.console import Console
from temporalio.testing import WorkflowEnvironment

from tests.faults.disturbed import disturbed, nothing
from tests.faults.matrix import Matrix
from tests.support.databases import new_database

FULL = "FAULTS" in os.environ
"""``./run faults`` runs every fault; ``./run test`` runs a part of them."""
full = pytest.mark.skipif(not FULL, reason="only in ./run faults")
RELIABILITY = Path(__file__).resolve().parents[2] / "docs" / "reliability.md"
_matrix = Matrix()

NewRecords = Callable[[], str]


@pytest.fixture(scope="session")
def matrix() -> Matrix:
    return _matrix


def pytest_terminal_summary() -> None:
    _matrix.show(Console(file=sys.stdout, width=150))
    if "FAULTS_WRITE" in os.environ:
        _matrix.write(RELIABILITY)


@pytest.fixture(params=["SQLite", "PostgreSQL"])
def database_kind(request: pytest.FixtureRequest) -> str:
    kind: str = request.param
    if kind == "PostgreSQL" and not FULL:
        pytest.skip("on PostgreSQL with ./run faults")
    return kind


@pytest.fixture
def new_records(
    request: pytest.FixtureRequest, database_kind: str, tmp_path: Path
) -> Iterator[NewRecords]:
    """Makes new, migrated databases of one kind."""
    if database_kind == "SQLite":
        template = request.getfixturevalue("sqlite_template")

        def copied() -> str:
            path = tmp_path / f"records-{uuid.uuid4().hex[:8]}.db"
            shutil.copy(template, path)
            return f"sqlite:///{path}"

        yield copied
        return
    postgres: str = request.getfixturevalue("postgres_template")
    yield partial(new_database, postgres)


@pytest.fixture(scope="session")
async def undisturbed(
    temporal: WorkflowEnvironment, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Counter[str]:
    """The evidence that the journeys of all assisters leave without a fault."""
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copy(sqlite_template, folder / "records.db")
    url = f"sqlite:///{folder / 'records.db'}"
    # A relay that is only slow must not double a mail here.
    trial = await disturbed(temporal.client, url, folder, nothing, smtp_timeout=30.0)
    assert not trial.stuck
    return trial.evidence
