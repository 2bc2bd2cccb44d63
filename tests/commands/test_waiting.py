"""No command waits in silence.

If the server, the namespace, the search attributes or the worker is missing, each command says so
within ten seconds. Ctrl-C ends each command within two.
"""

import asyncio
import logging
import os
import random
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlmodel import select
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import PollWorkflowTaskQueueRequest
from temporalio.common import SearchAttributePair, TypedSearchAttributes
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

import bootstrap
import commands.session
import starter
from embedded.temporal_server import find_server
from embedded.web_ui import free_port
from intake.files import read_roster
from policy.requirements import AssisterType
from policy.terms import Terms
from records.database import Database
from records.people import record_agency
from records.tables import Actor
from services.connections import Connections
from services.rosters import submit_roster
from settings import Settings
from tests.conftest import PATIENT
from tests.support.forks import forked, gone
from tests.support.programs import hears_sigterm
from tests.support.rosters import roster_of
from tests.support.system import (
    AGENCY,
    CONTACT,
    SECRET,
    eventually,
    facts,
    new_training_id,
    record_people,
)
from workflows import search_attributes
from workflows.client import start_intake, tell_case
from workflows.contract import ROSTER_INTAKE, assister_workflow_id, roster_workflow_id
from workflows.converter import DATA_CONVERTER
from workflows.lists import waiting_for_contact
from workflows.readiness import check_server, register_search_attributes

LOG = logging.getLogger(__name__)
ROOT = Path(__file__).resolve().parents[2]
WORKED_BY_OTHERS = 0.05
"""Seconds between two readings of how long a command waited for a processor."""
ANSWERS, ENDS = 10.0, 2.0
"""Seconds."""
A_MINUTE = timedelta(minutes=1)
FORKED_AT_ONCE, STARTED_AT_ONCE = 8, 3
"""With more commands at once, the machine's speed would decide how long they take."""
STAYING = (("up",), ("demo",))
"""Commands that do not end by themselves."""
STAFF = ("--by", "staff@arc.example.org", "--reason", "a caller")


@dataclass
class Shell:
    """Runs each command in a process of its own."""

    folder: Path
    environment: dict[str, str]
    person: str = field(default_factory=new_training_id)
    submission: str = field(default_factory=lambda: uuid.uuid4().hex[:12])
    places: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(FORKED_AT_ONCE))
    limits: dict[str, object] = field(default_factory=lambda: {"CONNECT_TIMEOUT": 60.0})
    """Limits of `commands.session` that a command has in place of the product's."""

    @property
    def asking(self) -> list[tuple[str, ...]]:
        """Commands that only a worker can answer."""
        return [
            ("status", self.person),
            ("watch", self.person),
            ("rosters", "show", self.submission),
            *(
                (each, self.person, *STAFF)
                for each in ("resend", "reissue", "suspend", "reinstate", "close")
            ),
            *(
                (each, self.person, "--agency", AGENCY, *STAFF)
                for each in ("confirm-change", "refuse-change")
            ),
            *(("rosters", each, self.submission, *STAFF) for each in ("release", "discard")),
        ]

    @property
    def beginning(self) -> list[tuple[str, ...]]:
        """Commands that give work to a worker."""
        roster, results = self.folder / "roster.csv", self.folder / "results.csv"
        roster.write_text(roster_of(self.person))
        results.write_text(f"Training ID,Event,Date\n{self.person},training,2026-02-03\n")
        submit = ("rosters", "submit", str(roster), "--agency", AGENCY, "--type", "navigator")
        return [
            (*submit, "--by", CONTACT, "--wait"),
            ("certification", "record", self.person, "--status", "certified"),
            ("training", "record", self.person),
            ("assessment", "record", self.person, "--score", "85"),
            ("results", "import", str(results)),
            ("results", "void", self.person, "--event", "training-1"),
            ("assister", "correct-email", self.person, "--email", "ann.lee@x.org", *STAFF),
            ("lookup", self.person, "--agency", AGENCY, "--by", CONTACT),
            ("reconcile",),
            ("reconcile", "--since", "2026-02-03T00:00Z", "--repair"),
        ]

    @property
    def of_contacts(self) -> list[tuple[str, ...]]:
        """Commands that tell an agency's cases of its contact."""
        contact = (AGENCY, "--email", CONTACT, *STAFF)
        return [
            ("agencies", "correct-contact", *contact, "--to", CONTACT),
            ("agencies", "revoke-contact", *contact),
            ("agencies", "restore-contact", *contact),
        ]

    @property
    def using(self) -> list[tuple[str, ...]]:
        """Further commands that do nothing without workers."""
        return [*self.of_contacts, ("activate", "--registration-number", "AAAA-BBBB")]

    @property
    def looking(self) -> list[tuple[str, ...]]:
        """Commands that need Temporal and no worker."""
        return [("list",), ("links",)]

    @property
    def alone(self) -> list[tuple[str, ...]]:
        """Commands that need only the records, or nothing."""
        roster, agencies = self.folder / "roster.csv", self.folder / "agencies.csv"
        agencies.write_text(
            f"Agency ID,Agency Name,Contact Name,Contact Email\n{AGENCY},North,Pat,{CONTACT}\n"
        )
        accepted = ("--email", "welcome@x.org", *STAFF)
        return [
            ("migrate",),
            ("agencies", "import", str(agencies)),
            ("rosters", "check", str(roster), "--type", "navigator"),
            ("results", "waiting"),
            ("find", "lee"),
            ("assister", "accept-address", self.person, *accepted),
            ("audit", "show", self.person),
            ("audit", "verify"),
            ("keys", "create", "--source", "learning-center"),
            ("keys", "list"),
            ("--help",),
        ]

    async def run(self, *words: str, **limits: object) -> tuple[int, str, float]:
        """Runs a command; returns its exit code, its output and the seconds that it took.

        Python's start does not count, nor does the time in which it waited for a processor.
        """
        async with self.places:
            begun = time.monotonic()
            output = self.folder / f"{uuid.uuid4().hex}.txt"
            limits = self.limits | limits
            process = forked(output, self.environment, _command, words, limits)
            ending = asyncio.ensure_future(gone(process))
            others = 0.0
            while not (await asyncio.wait({ending}, timeout=WORKED_BY_OTHERS))[0]:
                others = _waited_for_a_processor(process.pid) or others
            assert process.exitcode is not None
            seconds = time.monotonic() - begun - others
            return process.exitcode, " ".join(output.read_text().split()), seconds

    async def start(self, *command: str) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable, *command,
            cwd=ROOT, env=os.environ | self.environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip

    async def refuse(self, commands: Sequence[tuple[str, ...]], says: str) -> None:
        """Checks that each command is refused in time, with this text."""
        ran = await asyncio.gather(*(self.run(*words) for words in commands))
        for words, (code, said, seconds) in zip(commands, ran, strict=True):
            assert (code, says in said, "Traceback" in said) == (1, True, False), (words, said)
            least = await _least(seconds, ANSWERS - 1, partial(self.run, *words))
            assert least < ANSWERS - 1, (words, least, said)
        slowest, words = max((ran[at][2], commands[at][:2]) for at in range(len(ran)))
        LOG.info("%d commands, the slowest %s: %.1f s", len(ran), " ".join(words), slowest)


async def _least(
    seconds: float, limit: float, again: Callable[[], Awaitable[tuple[Any, Any, float]]]
) -> float:
    """The least seconds of up to three tries, if the first took too long.

    A command that waits for a limit does so each time, one that the machine held up does not.
    """
    for _ in range(2):
        if seconds >= limit:
            seconds = min(seconds, (await again())[2])
    return seconds


def _command(words: tuple[str, ...], limits: dict[str, object]) -> None:
    vars(commands.session).update(limits)
    code = starter.main(words)
    sys.stdout.flush()
    # The program ends in the same way: the SDK may abort while the interpreter exits.
    os._exit(code)


async def _read(process: asyncio.subprocess.Process, printed: bytearray) -> None:
    assert process.stdout is not None
    while chunk := await process.stdout.read(2**16):
        printed += chunk


def _waited_for_a_processor(process_id: int | None) -> float:
    """The seconds that a process has waited for a processor; 0 if the system does not tell."""
    try:
        _, nanoseconds, _ = Path(f"/proc/{process_id}/schedstat").read_text().split()
    except (OSError, ValueError):
        return 0.0
    return int(nanoseconds) / 1e9


@pytest.fixture
async def shell(temporal: WorkflowEnvironment, sqlite_url: str, tmp_path: Path) -> Shell:
    """Commands on the tests' server and a new database, without a worker."""
    shell = Shell(
        tmp_path,
        {
            "TEMPORAL_ADDRESS": temporal.client.service_client.config.target_host,
            "ASSISTER_DATABASE_URL": sqlite_url,
            "ASSISTER_DATA_DIR": str(tmp_path),
            "ASSISTER_PORTAL_SECRET": SECRET,
            "ASSISTER_TASK_QUEUE": f"nobody-{tmp_path.name}",
        },
    )
    # The fork server imports every command before it starts the first one.
    await shell.run("--help")
    return shell


@pytest.fixture
def deaf_server() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(50)
        yield f"127.0.0.1:{listening.getsockname()[1]}"


async def test_without_a_server(shell: Shell, deaf_server: str) -> None:
    shell.limits.clear()
    commands = [*shell.asking, *shell.beginning, *shell.using, *shell.looking]
    for address, some in (("127.0.0.1:1", commands), (deaf_server, commands[::5])):
        shell.environment["TEMPORAL_ADDRESS"] = address
        await shell.refuse(some, "Temporal cannot be reached")
        await shell.refuse([("doctor",)], "WRONG Temporal: ")
    for words in shell.alone:
        code, said, seconds = await shell.run(*words)
        assert code in (0, 1), (words, said)
        assert "Temporal" not in said or words == ("--help",), "they need none"
        assert await _least(seconds, ANSWERS, partial(shell.run, *words)) < ANSWERS, words


async def test_in_an_unknown_namespace(shell: Shell) -> None:
    shell.environment["TEMPORAL_NAMESPACE"] = "elsewhere"
    commands = [*shell.asking, *shell.beginning, *shell.using, *shell.looking, ("doctor",)]
    await shell.refuse(commands, "no namespace 'elsewhere'. Name one")


async def test_without_search_attributes(shell: Shell) -> None:
    async with await WorkflowEnvironment.start_local(
        data_converter=DATA_CONVERTER,
        dev_server_existing_path=find_server(),
        dev_server_log_level="error",
    ) as bare:
        shell.environment["TEMPORAL_ADDRESS"] = bare.client.service_client.config.target_host
        commands = [*shell.asking, *shell.beginning, *shell.using, *shell.looking, ("doctor",)]
        await shell.refuse(commands, "lacks the search attributes AssisterStage,")
        await register_search_attributes(bare.client)
        await check_server(bare.client)
        await register_search_attributes(bare.client)


async def test_at_a_task_queue_without_workers(shell: Shell) -> None:
    commands = [*shell.beginning, *shell.using]
    await shell.refuse(commands, "Nothing was done: no worker waits at the task queue 'nobo")
    await shell.refuse([("doctor",)], "WRONG workers: no worker asks the task queue nobo")


@pytest.fixture
async def stopped_worker(shell: Shell, temporal: WorkflowEnvironment, sqlite_url: str) -> None:
    """A worker that took a roster and a result and has just ended: the server still lists it."""
    settings = Settings(
        _env_file=None,
        database_url=sqlite_url,
        data_dir=shell.folder,
        task_queue=shell.environment["ASSISTER_TASK_QUEUE"],
        portal_secret=SECRET,
    )
    database = Database(sqlite_url)
    await record_people(database, shell.person)
    portal, relay = bootstrap.make_portal(settings, database), bootstrap.make_transport(settings)
    to = Connections(database, temporal.client, portal, settings.task_queue, settings.terms)
    file = shell.folder / "earlier.csv"
    file.write_text(roster_of(shell.person))
    async with bootstrap.make_worker(temporal.client, settings, database, portal, relay):
        done = await submit_roster(
            to,
            read_roster(file),
            agency_id=AGENCY,
            roster_type=AssisterType.NAVIGATOR,
            by=CONTACT,
            filename=file.name,
        )
        shell.submission = done.submission_id
        record = ("training", "record", shell.person)
        code, said, _ = await shell.run(*record, ANSWER_TIMEOUT=60.0)
        assert code == 0, said
    async with database.transaction() as session:
        await record_agency(session, AGENCY, "North Star Health", [("Kim Oh", "kim@x.org")])
    await database.close()
    await relay.close()


@pytest.mark.usefixtures("stopped_worker")
async def test_with_the_worker_stopped(shell: Shell) -> None:
    await shell.refuse(shell.asking, "No worker answered in 5 seconds. Start one")
    await shell.refuse(shell.beginning, "No worker answered in 5 seconds. Start one")
    _, said, _ = await shell.run("suspend", shell.person, *STAFF)
    assert said.startswith("The order may still be carried out when a worker runs.")
    _, said, _ = await shell.run("training", "record", shell.person)
    assert said.startswith("The result is recorded.")


@pytest.mark.usefixtures("stopped_worker")
async def test_a_forecast_with_the_worker_stopped(shell: Shell) -> None:
    file = str(shell.folder / "earlier.csv")
    check = ("rosters", "check", file, "--type", "navigator", "--agency", AGENCY, "--json")
    await shell.refuse([check], "No worker answered in 5 seconds. Start one")
    assert "{" not in (await shell.run(*check))[1], "no half of an answer"


@pytest.mark.usefixtures("stopped_worker")
async def test_an_agency_is_told_of_its_contact_with_the_worker_stopped(
    shell: Shell, temporal: WorkflowEnvironment
) -> None:
    waiting = await temporal.client.start_workflow(
        ROSTER_INTAKE,
        id=roster_workflow_id(shell.submission[::-1]),
        task_queue=shell.environment["ASSISTER_TASK_QUEUE"],
        search_attributes=TypedSearchAttributes(
            [
                SearchAttributePair(search_attributes.AGENCY, AGENCY),
                SearchAttributePair(search_attributes.ATTENTION, "mail:summary"),
            ]
        ),
    )

    async def listed() -> int:
        found = temporal.client.list_workflows(waiting_for_contact(AGENCY))
        return sum([case.id == waiting.id async for case in found])

    await eventually(listed, bool)
    for command in shell.of_contacts:
        # One after the other: a contact who is revoked cannot be corrected.
        await shell.refuse(
            [command], "run it again once a worker runs. No worker answered in 5 sec"
        )
    await waiting.terminate()


@pytest.fixture
async def silent_worker(shell: Shell, temporal: WorkflowEnvironment) -> AsyncIterator[None]:
    """A worker that takes tasks and never does them, so that commands wait until Ctrl-C."""
    client, queue = temporal.client, shell.environment["ASSISTER_TASK_QUEUE"]
    for signal_name, fact in facts().items():
        await tell_case(client, queue, shell.person, signal_name, fact, Terms())
    await start_intake(client, queue, shell.submission, Terms())
    poll = PollWorkflowTaskQueueRequest(
        namespace=client.namespace, task_queue=TaskQueue(name=queue), identity="silent"
    )

    async def take() -> None:
        while True:
            with suppress(RPCError):
                await client.workflow_service.poll_workflow_task_queue(poll, timeout=A_MINUTE)

    taking = asyncio.create_task(take())
    yield
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    for workflow_id in (assister_workflow_id(shell.person), roster_workflow_id(shell.submission)):
        await client.get_workflow_handle(workflow_id).terminate()


@pytest.mark.usefixtures("silent_worker")
@pytest.mark.parametrize("attempt", range(int(os.environ.get("INTERRUPTIONS", "1"))))
async def test_ctrl_c_ends_a_command_at_any_moment(
    shell: Shell, sqlite_url: str, attempt: int
) -> None:
    chance = random.Random(attempt)
    database = Database(sqlite_url)
    await record_people(database, shell.person)
    await database.close()
    commands = [
        *shell.asking,
        *shell.beginning,
        *shell.using,
        *shell.looking,
        *shell.alone,
        *((each,) for each in ("doctor", "up", "demo")),
    ]
    moments = [chance.uniform(0, 4) for _ in commands]
    shell.environment["ASSISTER_SMTP_PORT"] = str(free_port())

    places = asyncio.Semaphore(STARTED_AT_ONCE)

    async def interrupt(words: tuple[str, ...], moment: float) -> tuple[int | None, bytes, float]:
        async with places:
            process = await shell.start("starter.py", *words)
            printed = bytearray()
            reading = asyncio.ensure_future(_read(process, printed))
            await eventually(partial(asyncio.to_thread, hears_sigterm, process.pid), bool)
            await asyncio.sleep(moment)
            begun = time.monotonic()
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)
            await asyncio.wait_for(asyncio.gather(reading, process.wait()), 60)
            took = time.monotonic() - begun
            # The command may have ended before the signal, or found its port in use.
            over = words not in STAYING or b"is in use" in printed
            assert process.returncode == 130 or over, (words, process.returncode, printed)
            assert b"Traceback" not in printed, (words, printed)
            return process.returncode, bytes(printed), took

    ended = await asyncio.gather(*map(interrupt, commands, moments))
    for words, moment, (_, printed, took) in zip(commands, moments, ended, strict=True):
        least = await _least(took, ENDS, partial(interrupt, words, moment))
        assert least < ENDS, (words, least, printed)
    under_way = sum(code == 130 for code, _, _ in ended)
    slowest = max(took for _, _, took in ended)
    LOG.info("%d of %d interrupted, the last after %.2f s", under_way, len(ended), slowest)
    assert under_way > len(commands) / 2, "too few were interrupted to show anything"


@pytest.mark.usefixtures("silent_worker")
async def test_an_interrupted_order_is_said_to_be_on_its_way(shell: Shell, sqlite_url: str) -> None:
    database = Database(sqlite_url)

    async def signed() -> bool:
        async with database.snapshot() as session:
            return (await session.exec(select(Actor))).first() is not None

    process = await shell.start("-c", PATIENT, "suspend", shell.person, *STAFF)
    await eventually(signed, bool)
    process.send_signal(signal.SIGINT)
    said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 130
    assert "Interrupted. The order may still be carried out" in " ".join(said.decode().split())
    await database.close()


@pytest.mark.usefixtures("silent_worker")
async def test_a_busy_worker_is_not_taken_for_a_dead_one(shell: Shell, sqlite_url: str) -> None:
    database = Database(sqlite_url)
    await record_people(database, shell.person)
    await database.close()
    code, said, _ = await shell.run("training", "record", shell.person, BUSY=A_MINUTE)
    assert (code, said.startswith("Recorded for")) == (0, True), said


CONVERTS = """
import runpy, signal, sys, types
def run(words):
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        pass
    raise ValueError("a schema cannot be made")
sys.modules["commands.line"] = types.SimpleNamespace(run=run)
runpy.run_path("starter.py", run_name="__main__")
"""


@pytest.mark.parametrize(("signalled", "code"), [(True, 130), (False, 1)])
def test_an_error_in_place_of_ctrl_c_shows_no_traceback(signalled: bool, code: int) -> None:
    script = CONVERTS if signalled else CONVERTS.replace("raise_signal(signal.SIGINT)", "SIGINT")
    ran = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (ran.returncode, "Traceback" in ran.stderr) == (code, not signalled), ran.stderr
