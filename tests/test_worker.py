"""A worker process ends when it is told to, at any moment and while another service is away."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import pytest

import worker
from tests.conftest import MakeSystem
from tests.support.forks import forked, gone
from tests.support.programs import ROOT, hears_sigterm, worker_process
from tests.support.system import SECRET, System, eventually, facts, new_training_id, record_people

PATIENCE = 60.0
"""Seconds after which a process counts as one that does not end."""


@asynccontextmanager
async def worker_to_end(
    folder: Path, longest_end: float, **environment: str
) -> AsyncIterator[None]:
    """Runs a worker, and tells it to end when the context ends.

    Args:
        longest_end: Takes the place of the product's limit: 24 seconds would hide whether the
            worker ends by itself.
    """
    own = {"ASSISTER_DATA_DIR": str(folder), "ASSISTER_PORTAL_SECRET": SECRET}
    process = forked(folder / "worker.log", own | environment, _work, longest_end)
    try:
        yield
        process.terminate()
        async with asyncio.timeout(PATIENCE):
            await gone(process)
        assert process.exitcode == 0, (folder / "worker.log").read_text()
    finally:
        process.kill()


def _work(longest_end: float) -> None:
    worker.LONGEST_END = longest_end
    asyncio.run(worker.main())


def test_the_last_resort_comes_within_the_time_that_is_promised() -> None:
    assert worker.LONGEST_END < 25


@pytest.mark.parametrize("after", [0.1, 0.3, 1.0, 3.0])
async def test_told_to_end_while_it_starts(tmp_path: Path, after: float) -> None:
    async with worker_process(tmp_path, TEMPORAL_ADDRESS="127.0.0.1:1") as process:
        await eventually(partial(asyncio.to_thread, hears_sigterm, process.pid), bool)
        await asyncio.sleep(after)
        process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE):
            assert await process.wait() == 0, (tmp_path / "worker.log").read_text()


@pytest.mark.parametrize("program", [["worker.py"], ["-m", "gateway"]])
async def test_nobody_starts_with_another_secret(
    system: System, tmp_path: Path, program: list[str]
) -> None:
    await system.portal.enroll("ABC1234", 1, datetime(2099, 1, 1, tzinfo=UTC), {})
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *program,
        cwd=ROOT,
        env=os.environ
        | {
            "TEMPORAL_ADDRESS": system.client.service_client.config.target_host,
            "ASSISTER_DATA_DIR": str(tmp_path),
            "ASSISTER_GATEWAY_PORT": "0",
            "ASSISTER_PORTAL_SECRET": f"not {SECRET}",
        },
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    assert process.returncode == 2
    assert b"\nASSISTER_PORTAL_SECRET: the open registration numbers were made with" in said


@pytest.mark.parametrize("program", [["worker.py"], ["-m", "gateway"]])
def test_help_is_short_and_a_wrong_argument_ends_a_program(program: list[str]) -> None:
    def run(argument: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, *program, argument]
        return subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60)

    helped, wrong = run("--help"), run("--hepl")
    assert (helped.returncode, helped.stderr) == (0, "")
    assert "until SIGTERM" in " ".join(helped.stdout.split())
    assert (wrong.returncode, wrong.stderr.count("\n")) == (2, 1), wrong.stderr


def test_a_gateway_without_a_database_says_what_to_do(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "gateway"],
        cwd=ROOT,
        env=os.environ | {"ASSISTER_DATABASE_URL": f"sqlite:///{tmp_path}/none/records.db"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (ran.returncode, "Traceback" in ran.stderr) == (2, False), ran.stderr
    assert "ASSISTER_DATABASE_URL: the database cannot be opened" in ran.stderr.splitlines()[-1]


async def _accept_and_say_nothing(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await reader.read()
    writer.close()


async def test_told_to_end_while_temporal_does_not_answer(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await _accept_and_say_nothing(reader, writer)

    silent = await asyncio.start_server(note, "127.0.0.1", 0)
    address = "{}:{}".format(*silent.sockets[0].getsockname())
    async with silent, worker_to_end(tmp_path, 1.0, TEMPORAL_ADDRESS=address):
        await asyncio.wait_for(asked.wait(), 60)


async def test_told_to_end_while_the_relay_does_not_answer(
    make_system: MakeSystem, sqlite_url: str, tmp_path: Path
) -> None:
    asked = asyncio.Event()

    async def note(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await _accept_and_say_nothing(reader, writer)

    system = await make_system(sqlite_url)
    training_id = new_training_id()
    await record_people(system.database, training_id)
    relay = await asyncio.start_server(note, "127.0.0.1", 0)
    queue = f"silent-{training_id}"
    environment = {
        "TEMPORAL_ADDRESS": system.client.service_client.config.target_host,
        "ASSISTER_DATABASE_URL": sqlite_url,
        "ASSISTER_TASK_QUEUE": queue,
        "ASSISTER_SMTP_PORT": str(relay.sockets[0].getsockname()[1]),
        "ASSISTER_SMTP_TIMEOUT": "2",
    }
    system.settings.task_queue = queue
    async with relay, worker_to_end(tmp_path, 2 * PATIENCE, **environment):
        for name, fact in facts().items():
            await system.tell(training_id, name, fact)
        await asyncio.wait_for(asked.wait(), 60)
    await system.case(training_id).terminate()
